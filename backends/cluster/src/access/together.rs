//! Several futures at once, without tasks of their own: whoever waits may be dropped, and nothing
//! goes on unseen.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// One of several.
pub(crate) type Branch<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Some that begin together, and their head start over the next ones.
pub(crate) type Group<'a, T> = (Vec<Branch<'a, T>>, Duration);

/// All answers, in the order of the questions.
pub(crate) async fn all<T>(mut branches: Vec<Branch<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = branches.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (branch, answer) in branches.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(value) = branch.as_mut().poll(cx)
            {
                *answer = Some(value);
            }
        }
        if answers.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// The first answer that is good; else all of them, as they came. Each group begins when the ones
/// before it have all answered, or when its head start over it is used up.
pub(crate) async fn first<'a, T>(
    groups: Vec<Group<'a, T>>,
    good: impl Fn(&T) -> bool,
) -> Result<T, Vec<T>> {
    let mut running: Vec<Branch<'a, T>> = Vec::new();
    let mut bad = Vec::new();
    let mut groups = groups.into_iter();
    loop {
        let next = groups.next();
        let last = next.is_none();
        let head_start = match next {
            Some((branches, head_start)) => {
                running.extend(branches);
                head_start
            }
            None if running.is_empty() => return Err(bad),
            None => Duration::MAX,
        };
        let waited = tokio::time::timeout(head_start, async {
            while !running.is_empty() {
                let answer = one(&mut running).await;
                if good(&answer) {
                    return Some(answer);
                }
                bad.push(answer);
            }
            None
        });
        match waited.await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) if last => return Err(bad),
            Ok(None) | Err(_) => {}
        }
    }
}

/// The next answer; its branch is taken out.
async fn one<T>(running: &mut Vec<Branch<'_, T>>) -> T {
    poll_fn(|cx| {
        for at in 0..running.len() {
            if let Poll::Ready(answer) = running[at].as_mut().poll(cx) {
                drop(running.swap_remove(at));
                return Poll::Ready(answer);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn after(ms: u64, value: u32) -> Branch<'static, u32> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            value
        })
    }

    #[tokio::test]
    async fn answers_stand_in_the_order_of_questions() {
        let begun = Instant::now();
        let answers = all(vec![after(60, 1), after(5, 2), after(60, 3)]).await;
        assert_eq!(answers, [1, 2, 3]);
        assert!(begun.elapsed() < Duration::from_millis(115), "at once");
        assert!(all(Vec::<Branch<'_, u32>>::new()).await.is_empty());
    }

    #[tokio::test]
    async fn the_first_good_answer_wins_and_the_dead_cost_a_head_start() {
        let dead = || Box::pin(std::future::pending()) as Branch<'static, u32>;
        let start = Duration::from_millis(20);
        let groups = vec![
            (vec![dead()], start),
            (vec![after(5, 7), after(1, 4)], start),
        ];
        assert_eq!(first(groups, |n| *n == 7).await, Ok(7));
        let groups = vec![
            (vec![after(1, 4)], Duration::MAX),
            (vec![after(1, 7)], start),
        ];
        assert_eq!(
            first(groups, |n| *n == 7).await,
            Ok(7),
            "nobody is left before"
        );
    }

    #[tokio::test]
    async fn without_a_good_answer_all_are_heard() {
        let start = Duration::from_millis(1);
        let groups = vec![(vec![after(30, 1)], start), (vec![after(5, 2)], start)];
        assert_eq!(first(groups, |_| false).await, Err(vec![2, 1]));
        let none: Vec<Group<'_, u32>> = Vec::new();
        assert_eq!(first(none, |_| true).await, Err(vec![]));
    }
}

//! Who carries acts out and takes them back; and how that is kept safe: nothing is done before its
//! undoing is on disk, and everything on that list is undone at the end, whatever the end is.

use crate::act::{Act, Undo};
use crate::undo::Undoing;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Why an act was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This machine cannot do it, now or ever: the fault is skipped.
    #[error("{0}")]
    Cannot(String),
    /// It was tried, and went wrong.
    #[error("{0}")]
    Failed(String),
}

/// Carries acts out. Both may be dropped at any instant, and repeated.
pub trait Hands: Send + Sync + 'static {
    /// Does it; the instant from which on it was felt: the victim's death, not the return of the
    /// command that killed it.
    ///
    /// # Errors
    /// See [`Refused`]. What was begun may have to be undone nevertheless.
    fn strike(&self, act: &Act) -> impl Future<Output = Result<Instant, Refused>> + Send;

    /// Takes it back. Right also where it never happened, or was taken back before.
    ///
    /// # Errors
    /// What stands in the way, for people.
    fn heal(&self, undo: &Undo) -> impl Future<Output = Result<(), String>> + Send;
}

/// The list of promises, shared.
pub type Promises = Arc<Mutex<Undoing>>;

/// Acts that were carried out together.
#[derive(Debug)]
pub struct Struck {
    /// When the first of them was felt.
    pub from: Instant,
    /// What takes them back.
    pub promises: Vec<(u64, Undo)>,
}

/// Carries acts out, all at once, each with its undoing on disk before.
///
/// # Errors
/// Why one of them was refused; then none of them lasts.
pub async fn strike<H: Hands>(
    hands: &Arc<H>,
    promises: &Promises,
    acts: &[Act],
) -> Result<Struck, Refused> {
    assert!(!acts.is_empty(), "a fault that is planned hits somebody");
    let mut open = Vec::new();
    {
        let mut list = promises.lock().await;
        for act in acts {
            let undo = act.undo();
            let number = list.promise(&undo);
            let number = number.map_err(|error| Refused::Failed(error.to_string()))?;
            open.push((number, undo));
        }
    }
    let mut under_way = JoinSet::new();
    for act in acts {
        let (hands, act) = (Arc::clone(hands), act.clone());
        under_way.spawn(async move { hands.strike(&act).await });
    }
    let mut first: Option<Instant> = None;
    let mut refused = None;
    while let Some(ended) = under_way.join_next().await {
        match ended.expect("hands do not panic") {
            Ok(at) => first = Some(first.map_or(at, |known| known.min(at))),
            Err(why) => refused = Some(refused.unwrap_or(why)),
        }
    }
    if let Some(why) = refused {
        let trouble = undo(hands, promises, &open).await;
        return Err(match trouble.is_empty() {
            true => why,
            false => Refused::Failed(format!("{why}; and then: {}", trouble.join("; "))),
        });
    }
    Ok(Struck {
        from: first.expect("there was an act, and nobody refused"),
        promises: open,
    })
}

/// Takes acts back, the latest first. What went wrong, for people; that stays on the list.
pub async fn undo<H: Hands>(
    hands: &Arc<H>,
    promises: &Promises,
    open: &[(u64, Undo)],
) -> Vec<String> {
    let mut under_way = JoinSet::new();
    for (number, undo) in open.iter().rev().cloned() {
        let hands = Arc::clone(hands);
        under_way.spawn(async move { (number, hands.heal(&undo).await) });
    }
    let mut trouble = Vec::new();
    while let Some(ended) = under_way.join_next().await {
        match ended {
            Ok((number, Ok(()))) => {
                if let Err(error) = promises.lock().await.kept(number) {
                    trouble.push(error.to_string());
                }
            }
            Ok((_, Err(text))) => trouble.push(text),
            Err(panic) => trouble.push(format!("our own fault: {panic}")),
        }
    }
    trouble
}

/// Takes back everything that is on the list.
pub async fn undo_all<H: Hands>(hands: &Arc<H>, promises: &Promises) -> Vec<String> {
    let open = promises.lock().await.open_promises();
    undo(hands, promises, &open).await
}

/// How a guarded piece of work ended.
#[derive(Debug)]
pub enum Ended<T> {
    /// It came to its end.
    Done(T),
    /// Somebody asked to stop.
    Stopped,
    /// It broke: our own fault.
    Broke(String),
}

/// Does a piece of work that injects faults. However it ends, by itself, by a panic or because
/// `stop` is there, everything on the list is undone before this returns; what could not be is told.
pub async fn guarded<H: Hands, T: Send + 'static>(
    hands: &Arc<H>,
    promises: &Promises,
    work: impl Future<Output = T> + Send + 'static,
    stop: impl Future<Output = ()>,
) -> (Ended<T>, Vec<String>) {
    let mut work = tokio::spawn(work);
    let ended = tokio::select! {
        ended = &mut work => Some(ended),
        () = stop => None,
    };
    let ended = match ended {
        Some(Ok(value)) => Ended::Done(value),
        Some(Err(broke)) => Ended::Broke(broke.to_string()),
        None => {
            work.abort();
            // Only when it is gone does nobody add to the list any more.
            let _ = work.await;
            Ended::Stopped
        }
    };
    (ended, undo_all(hands, promises).await)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::act::Domain;
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::time::Duration;

    /// Hands that keep book: who is off now.
    #[derive(Debug, Default)]
    pub(crate) struct Book {
        pub(crate) off: std::sync::Mutex<BTreeSet<String>>,
        /// Whom they refuse to strike.
        pub(crate) spared: Option<String>,
        /// Whom they cannot heal.
        pub(crate) lost: Option<String>,
        /// The state directory: what is struck must be promised there.
        pub(crate) state: Option<std::path::PathBuf>,
    }

    impl Book {
        fn off(&self) -> Vec<String> {
            self.off.lock().unwrap().iter().cloned().collect()
        }
    }

    impl Hands for Book {
        async fn strike(&self, act: &Act) -> Result<Instant, Refused> {
            let Undo::Start(domain) = act.undo() else {
                return Err(Refused::Cannot("only power cuts here".to_owned()));
            };
            if let Some(state) = &self.state {
                let list = std::fs::read_to_string(state.join("drill-undo.jsonl")).unwrap();
                assert!(list.contains(&domain.name), "{} was promised", domain.name);
            }
            if self.spared.as_ref() == Some(&domain.name) {
                return Err(Refused::Cannot("spared".to_owned()));
            }
            self.off.lock().unwrap().insert(domain.name);
            Ok(Instant::now())
        }

        async fn heal(&self, undo: &Undo) -> Result<(), String> {
            let Undo::Start(domain) = undo else {
                return Ok(());
            };
            if self.lost.as_ref() == Some(&domain.name) {
                return Err(format!("{} does not start", domain.name));
            }
            self.off.lock().unwrap().remove(&domain.name);
            Ok(())
        }
    }

    fn cut(name: &str) -> Act {
        Act::PowerCut(Domain {
            uri: "lxc:///".to_owned(),
            name: name.to_owned(),
            container: true,
        })
    }

    fn promises(dir: &Path) -> Promises {
        Arc::new(Mutex::new(Undoing::open(dir).unwrap()))
    }

    #[tokio::test]
    async fn what_is_struck_was_promised_and_one_refusal_undoes_all() {
        let dir = tempfile::tempdir().unwrap();
        let list = promises(dir.path());
        let hands = Arc::new(Book {
            state: Some(dir.path().to_owned()),
            spared: Some("c".to_owned()),
            ..Book::default()
        });
        let struck = strike(&hands, &list, &[cut("a"), cut("b")]).await.unwrap();
        assert_eq!(hands.off(), ["a", "b"]);
        assert!(undo(&hands, &list, &struck.promises).await.is_empty());
        assert!(hands.off().is_empty());
        let refused = strike(&hands, &list, &[cut("a"), cut("c")]).await;
        assert_eq!(refused.unwrap_err(), Refused::Cannot("spared".to_owned()));
        assert!(hands.off().is_empty(), "{:?}", hands.off());
        assert!(list.lock().await.open_promises().is_empty());
    }

    #[tokio::test]
    async fn everything_is_undone_whatever_the_end_is() {
        for end in ["done", "panic", "stop"] {
            let dir = tempfile::tempdir().unwrap();
            let list = promises(dir.path());
            let hands = Arc::new(Book::default());
            let (begun, told) = tokio::sync::oneshot::channel();
            let work = {
                let (hands, list) = (Arc::clone(&hands), Arc::clone(&list));
                async move {
                    strike(&hands, &list, &[cut("a"), cut("b")]).await.unwrap();
                    assert_eq!(hands.off().len(), 2);
                    begun.send(()).unwrap();
                    assert!(end != "panic", "our own fault");
                    if end == "stop" {
                        tokio::time::sleep(Duration::from_secs(600)).await;
                    }
                }
            };
            let stop = async {
                told.await.unwrap();
                if end != "stop" {
                    std::future::pending::<()>().await;
                }
            };
            let (ended, trouble) = guarded(&hands, &list, work, stop).await;
            match (end, &ended) {
                ("done", Ended::Done(()))
                | ("panic", Ended::Broke(_))
                | ("stop", Ended::Stopped) => {}
                (_, other) => panic!("{end}: {other:?}"),
            }
            assert!(trouble.is_empty(), "{trouble:?}");
            assert!(hands.off().is_empty(), "{end}");
            assert!(list.lock().await.open_promises().is_empty());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_undone_is_told_and_stays_on_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let list = promises(dir.path());
        let mut book = Book {
            lost: Some("a".to_owned()),
            ..Book::default()
        };
        let hands = Arc::new(book);
        strike(&hands, &list, &[cut("a"), cut("b")]).await.unwrap();
        assert_eq!(undo_all(&hands, &list).await, ["a does not start"]);
        drop(list);
        let list = promises(dir.path());
        assert_eq!(list.lock().await.open_promises().len(), 1);
        book = Arc::into_inner(hands).unwrap();
        book.lost = None;
        let hands = Arc::new(book);
        assert!(undo_all(&hands, &list).await.is_empty());
        assert!(hands.off().is_empty());
    }
}

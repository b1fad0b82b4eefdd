//! What people get to see of a run while it is under way.

use super::world::{Fate, live, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_engine::seam::{Ending, FaultClass, Verb};
use quorate_engine::time::Span;
use quorate_live::{Board, News, Observer as _, Row, Stage};

/// The stage of a step in every picture that the board gave.
fn stages<'a>(pictures: &'a [Vec<Row>], title: &str) -> Vec<&'a Stage> {
    let rows = pictures.iter().flatten().filter(|row| row.title == title);
    let mut stages: Vec<&Stage> = rows.map(|row| &row.stage).collect();
    stages.dedup();
    stages
}

#[test]
fn the_board_shows_what_runs_and_what_waits_for_what() {
    let dir = tempdir().unwrap();
    let world = world(|call, nth| match (call.target.as_str(), call.verb, nth) {
        ("shop/left/1/host", Verb::Create, 1) => Fate::Fault(FaultClass::Busy),
        ("shop/right/2", Verb::Create, _) => Fate::Fault(FaultClass::Quota),
        _ => Fate::Fine,
    });
    let (mut board, mut pictures, mut remaining) = (Board::default(), Vec::new(), Vec::new());
    let mut longest = 0;
    let observe = |now, news: News<'_>| {
        board.see(now, news);
        if let News::InFlight(calls) = news
            && board.plans() == 1
        {
            assert_eq!(board.calls().len(), calls.len());
            longest = longest.max(calls.len());
            pictures.push(board.rows());
            remaining.push(board.remaining(now));
        }
    };
    let ended = live(dir.path(), &world, Mode::Apply, observe, None).unwrap();
    assert!(matches!(ended.unwrap(), Ending::Incomplete(_)));
    assert!(longest >= 4, "things run side by side");

    let host = stages(&pictures, "create shop/left/1/host");
    let waits = Stage::Waits(vec!["await shop/left/1".to_owned()]);
    assert_eq!(host[0], &waits);
    let kinds: Vec<_> = host
        .iter()
        .map(|stage| std::mem::discriminant(*stage))
        .collect();
    assert!(kinds.len() >= 4, "{host:?}");
    let retried = host.iter().any(
        |stage| matches!(stage, Stage::Retries { fault, .. } if fault.class == FaultClass::Busy),
    );
    assert!(retried, "{host:?}");
    assert!(matches!(host.last(), Some(Stage::Done { took }) if *took >= Span::from_secs(5)));

    let lost = stages(&pictures, "create shop/right/2/peer");
    let skipped = Stage::Skipped("create shop/right/2".to_owned());
    assert_eq!(lost.last(), Some(&&skipped));
    let failed = stages(&pictures, "create shop/right/2");
    assert!(
        matches!(failed.last(), Some(Stage::Failed(fault)) if fault.class == FaultClass::Quota)
    );

    assert!(remaining[0] > Span::from_secs(60), "{}", remaining[0]);
    let last = pictures.last().unwrap();
    let open = last
        .iter()
        .filter(|row| matches!(row.stage, Stage::Waits(_) | Stage::Runs { .. }));
    assert_eq!(open.count(), 0, "{last:?}");
}

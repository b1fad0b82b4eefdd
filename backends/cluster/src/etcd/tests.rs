use crate::fake::{Etcd, FakeApi, Lab, access, call, credentials, plane};
use crate::{Access, Snapshots};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{ClusterView, FaultClass, MemberView, Reply, Verb};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Ground = (Etcd, FakeApi, Arc<Lab>, Access<crate::fake::Shared>);

/// Real etcd with so many members, and nodes for them.
async fn ground(members: u32) -> Ground {
    let etcd = Etcd::found(members);
    let api = FakeApi::serve(&etcd.pki).await;
    let mut lab = Lab::default();
    let here = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    for number in 1..=9 {
        let machine = plane(number);
        let member = SocketAddr::from((etcd.address(number), 2379));
        lab.routes.insert((machine.clone(), here(2379)), member);
        lab.routes.insert((machine.clone(), here(6443)), api.at);
        lab.credentials.insert(machine, credentials(&etcd.pki));
        let address = etcd.address(number).to_string();
        let labels = json!({"node-role.kubernetes.io/control-plane": ""});
        api.node(&format!("shop-cp-{number}"), &address, labels);
    }
    let lab = Arc::new(lab);
    let access = access(&lab);
    (etcd, api, lab, access)
}

fn known(count: u32) -> Vec<ResourceId> {
    (1..=count).map(plane).collect()
}

async fn look(access: &Access<crate::fake::Shared>, count: u32) -> ClusterView {
    let call = call(Verb::Cluster, &plane(1), &known(count));
    access.view(&call).await.unwrap()
}

fn member(view: &ClusterView, number: u32) -> &MemberView {
    let mut members = view.members.iter();
    members
        .find(|member| member.machine == plane(number))
        .unwrap()
}

#[tokio::test]
async fn members_are_seen_as_they_are() {
    if !Etcd::there() {
        return;
    }
    let (mut etcd, _api, _lab, access) = ground(3).await;
    let view = look(&access, 3).await;
    assert_eq!(view.members.len(), 3);
    assert!(
        view.members
            .iter()
            .all(|m| m.healthy && m.started && !m.learner),
        "{view:?}"
    );
    let leaders: Vec<_> = view.members.iter().filter(|m| m.leader).collect();
    assert_eq!(leaders.len(), 1);
    assert_eq!(leaders[0].machine, Etcd::machine(etcd.leader()));

    // A learner that was never started is on the machine whose address its peers have.
    etcd.add_learner(4);
    let view = look(&access, 3).await;
    let learner = member(&view, 4);
    assert!(learner.learner && !learner.started && !learner.healthy && !learner.leader);

    // It starts, and counts once it has answered for 5 s.
    etcd.start(4, "existing", &[1, 2, 3, 4]);
    let limit = Instant::now() + Duration::from_secs(20);
    while !member(&look(&access, 4).await, 4).started {
        assert!(Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let first = Instant::now();
    while !member(&look(&access, 4).await, 4).healthy {
        assert!(Instant::now() < limit + Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        first.elapsed() > Duration::from_secs(4),
        "{:?}",
        first.elapsed()
    );

    // A learner is nobody's way: it answers hardly anything.
    access.lost();
    let only = call(Verb::Cluster, &plane(4), &[plane(4)]);
    let fault = access.view(&only).await.unwrap_err();
    assert!(fault.detail.contains("has no vote yet"), "{fault}");

    // One that is gone is not healthy, whoever leads by then.
    etcd.kill(3);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let view = look(&access, 4).await;
    assert!(
        !member(&view, 3).healthy && member(&view, 3).started,
        "{view:?}"
    );
    assert!(
        member(&view, 1).healthy && member(&view, 2).healthy,
        "{view:?}"
    );
}

#[tokio::test]
async fn a_learner_is_promoted_a_leader_moves_a_member_goes() {
    if !Etcd::there() {
        return;
    }
    let (mut etcd, _api, _lab, access) = ground(3).await;
    let folder = tempfile::tempdir().unwrap();
    let kept = Snapshots::new(folder.path().join("snapshots"), 2);
    let access = access.with_snapshots(kept.clone());

    // Leadership: away from whoever has it, and nothing to do the second time.
    let leader = etcd.leader();
    let hand_over = call(Verb::MoveLeader, &plane(leader), &known(3));
    let done = access.move_leader(&hand_over, &plane(leader)).await;
    assert_eq!(done, Ok(Reply::Done));
    let second = etcd.leader();
    assert_ne!(second, leader);
    let done = access.move_leader(&hand_over, &plane(leader)).await;
    assert_eq!((done, etcd.leader()), (Ok(Reply::Done), second));

    // Promotion: refused while it has nothing, done later, done again.
    let promote = call(Verb::Promote, &plane(4), &known(4));
    let absent = access.promote(&promote, &plane(4)).await.unwrap_err();
    assert_eq!(absent.class, FaultClass::NotFound, "{absent}");
    etcd.add_learner(4);
    let empty = access.promote(&promote, &plane(4)).await.unwrap_err();
    assert_eq!(empty.class, FaultClass::Busy, "{empty}");
    etcd.start(4, "existing", &[1, 2, 3, 4]);
    let limit = Instant::now() + Duration::from_secs(30);
    while let Err(fault) = access.promote(&promote, &plane(4)).await {
        assert!(Instant::now() < limit, "{fault}");
        assert!(
            matches!(fault.class, FaultClass::Busy | FaultClass::Refused),
            "{fault}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(access.promote(&promote, &plane(4)).await, Ok(Reply::Done));
    assert!(!member(&look(&access, 4).await, 4).learner);

    // Removal: never asked of the member itself; done again is done.
    let remove = call(Verb::RemoveMember, &plane(2), &known(4));
    let limit = Instant::now() + Duration::from_secs(30);
    while let Err(fault) = access.remove_member(&remove, &plane(2)).await {
        assert!(Instant::now() < limit, "{fault}");
        assert_eq!(fault.class, FaultClass::Refused, "{fault}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(
        access.remove_member(&remove, &plane(2)).await,
        Ok(Reply::Done)
    );
    let view = look(&access, 4).await;
    assert_eq!(view.members.len(), 3, "{view:?}");

    // Before each change a snapshot was taken, and the newest stay.
    assert_eq!(kept.of("shop").unwrap().len(), 2);
}

#[tokio::test]
async fn what_etcd_refuses_comes_in_its_own_words() {
    if !Etcd::there() {
        return;
    }
    let (mut etcd, _api, _lab, access) = ground(3).await;
    look(&access, 3).await;
    etcd.kill(3);
    tokio::time::sleep(Duration::from_secs(4)).await;
    access.lost();
    // At 2 of 3 no healthy member may go.
    let remove = call(Verb::RemoveMember, &plane(2), &known(2));
    let fault = access.remove_member(&remove, &plane(2)).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Refused, "{fault}");
    assert!(fault.detail.contains("etcdserver:"), "{fault}");
    // The dead one may.
    let remove = call(Verb::RemoveMember, &plane(3), &known(2));
    assert_eq!(
        access.remove_member(&remove, &plane(3)).await,
        Ok(Reply::Done)
    );
    assert_eq!(look(&access, 2).await.members.len(), 2);
}

#[tokio::test]
async fn only_what_never_started_is_cleared_away() {
    if !Etcd::there() {
        return;
    }
    let (etcd, _api, _lab, access) = ground(1).await;
    etcd.add_learner(2);
    let addresses = call(Verb::Cluster, &plane(1), &known(2)).addresses;
    // Somebody else's is left alone, and so is one that was started.
    access
        .remove_unstarted(&addresses, &plane(3))
        .await
        .unwrap();
    assert_eq!(look(&access, 1).await.members.len(), 2);
    access
        .remove_unstarted(&addresses, &plane(2))
        .await
        .unwrap();
    assert_eq!(look(&access, 1).await.members.len(), 1);
    let only = known(1);
    let remove = call(Verb::RemoveMember, &plane(1), &only);
    let fault = access.remove_member(&remove, &plane(1)).await.unwrap_err();
    assert_eq!(
        fault.class,
        FaultClass::Retryable,
        "the last one is not asked: {fault}"
    );
    let hand_over = call(Verb::MoveLeader, &plane(1), &only);
    let fault = access.move_leader(&hand_over, &plane(1)).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Refused, "{fault}");
}

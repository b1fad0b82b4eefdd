use super::*;
use crate::fake::{self, Etcd, FakeApi, Lab, access, credentials, plane};
use quorate_engine::seam::Verb;
use std::net::SocketAddr;

/// Control planes 1 to 3 with real etcd, each with the same API server; 4 is known, too.
async fn lab(etcd: &Etcd) -> (Lab, FakeApi) {
    let api = FakeApi::serve(&etcd.pki).await;
    let mut lab = Lab::default();
    for number in 1..=4 {
        let machine = plane(number);
        let member = SocketAddr::from((etcd.address(number), 2379));
        lab.routes.insert((machine.clone(), MEMBER_HERE), member);
        lab.routes.insert((machine.clone(), API_HERE), api.at);
        if number < 4 {
            lab.credentials.insert(machine, credentials(&etcd.pki));
        }
    }
    (lab, api)
}

fn known(machines: &[ResourceId]) -> Vec<(ResourceId, Ipv4Addr)> {
    fake::call(Verb::Cluster, &plane(1), machines).addresses
}

#[tokio::test]
async fn a_way_is_found_remembered_and_left() {
    if !Etcd::there() {
        return;
    }
    let mut etcd = Etcd::found(3);
    let (lab, _api) = lab(&etcd).await;
    let lab = Arc::new(lab);
    let access = access(&lab);
    let all = known(&[plane(1), plane(2), plane(3), plane(4)]);

    let first = access.via(&all, None).await.unwrap();
    assert_ne!(first, plane(4), "it is no control plane");
    let asked = lab.asked.lock().unwrap().len();
    assert_eq!(
        access.via(&all, None).await.unwrap(),
        first,
        "it is remembered"
    );
    assert_eq!(
        lab.asked.lock().unwrap().len(),
        asked,
        "nobody is asked again"
    );
    let other = access.via(&all, Some(&first)).await.unwrap();
    assert_ne!(other, first);

    // The one that answered last is dead: it costs little.
    access.lost();
    lab.kill(&other);
    let begun = Instant::now();
    let found = access.via(&all, None).await.unwrap();
    assert_ne!(found, other);
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );

    // Without a quorum nobody knows a leader.
    let number = |id: &ResourceId| id.as_str().rsplit('/').next().unwrap().parse().unwrap();
    let left: u32 = number(&found);
    for member in (1..=3).filter(|member| *member != left) {
        etcd.kill(member);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    access.lost();
    let fault = access.via(&known(&[found]), None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(fault.detail.contains("knows no leader"), "{fault}");
}

#[tokio::test]
async fn a_control_plane_that_the_manifest_has_forgotten_is_found() {
    if !Etcd::there() {
        return;
    }
    let etcd = Etcd::found(1);
    let (mut lab, _api) = lab(&etcd).await;
    let old = ResourceId::new("shop/former/1");
    lab.credentials = [(old.clone(), credentials(&etcd.pki))].into();
    lab.routes
        .insert((old.clone(), MEMBER_HERE), (etcd.address(1), 2379).into());
    let lab = Arc::new(lab);
    let all = known(&[plane(1), old.clone()]);
    let access = access(&lab);
    assert_eq!(access.via(&all, None).await.unwrap(), old);
    let order = lab.asked.lock().unwrap().clone();
    assert_eq!(order, [plane(1), old], "those of the manifest come first");
    // Its member answers, and no API server does.
    let fault = access.api(&all).await.err().expect("no API server");
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(fault.detail.contains("no API server answers"), "{fault}");
}

#[tokio::test]
async fn nobody_answers_and_why() {
    let lab = Arc::new(Lab::default());
    let access = access(&lab);
    let fault = access.via(&[], None).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
    let fault = access
        .via(&known(&[plane(1), plane(2)]), None)
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(
        fault.detail.contains("shop/cp/1: it is no control plane"),
        "{fault}"
    );
    assert!(
        fault.detail.contains("shop/cp/2: it is no control plane"),
        "{fault}"
    );
}

#[test]
fn closed_doors_are_a_matter_of_credentials() {
    let fault = |class| Fault::new(class, "x");
    let all = [fault(FaultClass::Auth), fault(FaultClass::Auth)];
    assert_eq!(nobody(&all).class, FaultClass::Auth);
    let some = [fault(FaultClass::Auth), fault(FaultClass::Retryable)];
    assert_eq!(nobody(&some).class, FaultClass::Retryable);
}

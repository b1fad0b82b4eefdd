use crate::Access;
use crate::fake::{Etcd, FakeApi, Lab, Shared, access, call, credentials, plane};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, FaultClass, Reply, Verb};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

const NODE: &str = "/api/v1/nodes/shop-w-1";

/// A control plane with real etcd, an API server with one worker, and a call about that one.
async fn ground() -> (Etcd, FakeApi, Access<Shared>, Call, ResourceId) {
    let etcd = Etcd::found(1);
    let api = FakeApi::serve(&etcd.pki).await;
    let here = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let mut lab = Lab::default();
    let member = SocketAddr::from((etcd.address(1), 2379));
    lab.routes.insert((plane(1), here(2379)), member);
    lab.routes.insert((plane(1), here(6443)), api.at);
    lab.credentials.insert(plane(1), credentials(&etcd.pki));
    let access = access(&Arc::new(lab));
    api.node("shop-w-1", "10.88.0.4", json!({}));
    let worker = ResourceId::new("shop/w/1");
    let call = call(Verb::Drain, &worker, &[plane(1)]);
    (etcd, api, access, call, worker)
}

#[tokio::test]
async fn a_drain_moves_pods_round_by_round() {
    if !Etcd::there() {
        return;
    }
    for old in [false, true] {
        let (_etcd, api, access, call, worker) = ground().await;
        api.store.lock().unwrap().old = old;
        let daemon = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u",
            "controller": true}]);
        api.pod("web-1", "shop-w-1", json!({}));
        api.pod("db-1", "shop-w-1", json!({}));
        api.pod(
            "agent",
            "shop-w-1",
            json!({"metadata": {"ownerReferences": daemon}}),
        );
        api.pod("elsewhere", "shop-w-2", json!({}));
        api.store.lock().unwrap().guarded = vec!["db-1".to_owned()];

        let fault = access.drain(&call, &worker).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Busy, "{fault}");
        assert!(fault.detail.contains("default/db-1"), "{fault}");
        assert!(
            fault.detail.contains("db-1-pdb"),
            "the budget is named: {fault}"
        );
        assert_eq!(api.get(NODE).unwrap()["spec"]["unschedulable"], true);
        assert_eq!(
            api.get("/api/v1/namespaces/default/pods/web-1"),
            None,
            "it is on its way"
        );

        api.store.lock().unwrap().guarded.clear();
        let fault = access.drain(&call, &worker).await.unwrap_err();
        assert_eq!(
            fault.class,
            FaultClass::Busy,
            "asked to go is not gone: {fault}"
        );
        assert_eq!(access.drain(&call, &worker).await, Ok(Reply::Done));
        for pod in ["agent", "elsewhere"] {
            let path = format!("/api/v1/namespaces/default/pods/{pod}");
            assert!(api.get(&path).is_some(), "{pod} stays");
        }
        let place = quorate_engine::resource::Workplace {
            labels: Vec::new(),
            taints: Vec::new(),
        };
        access
            .label(&call.addresses, &worker, &place)
            .await
            .unwrap();
        let node = api.get(NODE).unwrap();
        assert_eq!(node["spec"]["unschedulable"], false, "it takes pods again");
        assert_eq!(
            node["metadata"]["annotations"].get("quorate.dev/drained"),
            None
        );
    }
}

#[tokio::test]
async fn pods_of_a_silent_node_are_not_waited_for() {
    if !Etcd::there() {
        return;
    }
    let (_etcd, api, access, call, worker) = ground().await;
    let going = json!({"metadata": {"deletionTimestamp": "2026-11-22T15:44:00Z"}});
    api.pod("web-1", "shop-w-1", going);
    let fault = access.drain(&call, &worker).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy, "{fault}");
    let mut node = api.get(NODE).unwrap();
    node["status"]["conditions"][0]["status"] = json!("Unknown");
    api.put(NODE, node);
    assert_eq!(access.drain(&call, &worker).await, Ok(Reply::Done));
}

#[tokio::test]
async fn a_node_is_labelled_and_forgotten() {
    if !Etcd::there() {
        return;
    }
    let (_etcd, api, access, call, worker) = ground().await;
    let place = quorate_engine::resource::Workplace {
        labels: vec![("quorate.dev/provider".to_owned(), "own".to_owned())],
        taints: Vec::new(),
    };
    access
        .label(&call.addresses, &worker, &place)
        .await
        .unwrap();
    let labels = &api.get(NODE).unwrap()["metadata"]["labels"];
    let expected = json!({"quorate.dev/provider": "own", "node-role.kubernetes.io/worker": ""});
    assert_eq!(*labels, expected);
    let before = api.store.lock().unwrap().bodies.len();
    access
        .label(&call.addresses, &worker, &place)
        .await
        .unwrap();
    assert_eq!(
        api.store.lock().unwrap().bodies.len(),
        before,
        "nothing is left to change"
    );
    let nobody = ResourceId::new("shop/w/7");
    let fault = access
        .label(&call.addresses, &nobody, &place)
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy, "{fault}");

    let map = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";
    let status = "apiEndpoints:\n  shop-w-1:\n    bindPort: 6443\nkind: ClusterStatus\n";
    api.put(
        map,
        json!({"metadata": {"name": "kubeadm-config"}, "data": {"ClusterStatus": status}}),
    );
    assert_eq!(access.forget(&call, &worker).await, Ok(Reply::Done));
    assert_eq!(api.get(NODE), None);
    let left = &api.get(map).unwrap()["data"]["ClusterStatus"];
    assert_eq!(*left, "apiEndpoints:\nkind: ClusterStatus\n");
    assert_eq!(
        access.forget(&call, &worker).await,
        Ok(Reply::Done),
        "absent is success"
    );
}

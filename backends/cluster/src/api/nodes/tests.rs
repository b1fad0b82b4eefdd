use super::*;
use serde_json::{Value, json};

fn pod(more: Value) -> Pod {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {}});
    for (part, fields) in more.as_object().unwrap() {
        for (key, value) in fields.as_object().unwrap() {
            pod[part][key] = value.clone();
        }
    }
    serde_json::from_value(pod).unwrap()
}

fn node(name: &str, more: Value) -> Node {
    let mut node = json!({"metadata": {"name": name}, "spec": {}, "status": {}});
    for (part, fields) in more.as_object().unwrap() {
        for (key, value) in fields.as_object().unwrap() {
            node[part][key] = value.clone();
        }
    }
    serde_json::from_value(node).unwrap()
}

#[test]
fn a_drain_moves_what_nobody_keeps() {
    let owner = |kind: &str| json!({"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true});
    let owned = |kind| pod(json!({"metadata": {"ownerReferences": [owner(kind)]}}));
    assert!(moves(&pod(json!({}))));
    assert!(moves(&owned("ReplicaSet")));
    assert!(!moves(&owned("DaemonSet")));
    assert!(!moves(&pod(
        json!({"metadata": {"annotations": {MIRROR: "x"}}})
    )));
    assert!(!moves(&pod(json!({"status": {"phase": "Succeeded"}}))));
}

#[test]
fn nodes_are_seen_with_what_is_on_them() {
    let ready = |status: &str| {
        json!({
            "conditions": [{"type": "Ready", "status": status}],
            "allocatable": {"cpu": "2", "memory": "4Gi"},
            "addresses": [{"type": "Hostname", "address": "h"},
                          {"type": "InternalIP", "address": "10.88.0.1"}],
        })
    };
    let nodes = [
        node(
            "shop-w-2",
            json!({"status": ready("Unknown"), "spec": {"unschedulable": true}}),
        ),
        node(
            "shop-cp-1",
            json!({"status": ready("True"),
            "metadata": {"labels": {"node-role.kubernetes.io/master": ""}}}),
        ),
        node("somebody", json!({"status": ready("True")})),
    ];
    let asks = json!([{"name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]);
    let on = |node: &str, phase: &str| {
        pod(json!({"spec": {"nodeName": node, "containers": asks}, "status": {"phase": phase}}))
    };
    let nowhere = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"});
    let gated = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"});
    let pods = [
        on("shop-cp-1", "Running"),
        on("shop-cp-1", "Pending"),
        on("shop-cp-1", "Succeeded"),
        on("somebody", "Running"),
        pod(json!({"status": {"phase": "Pending", "conditions": [nowhere]}})),
        pod(json!({"status": {"phase": "Pending", "conditions": [gated]}})),
    ];
    let view = view("shop", &nodes, &pods);
    let machine = ResourceId::new("shop/cp/1");
    let expected = NodeView {
        machine: machine.clone(),
        ready: true,
        schedulable: true,
        control_plane: true,
        version: String::new(),
        pods: 2,
        load_permille: 500,
    };
    assert_eq!(view.nodes[0], expected);
    let other = &view.nodes[1];
    assert!(!other.ready && !other.schedulable && !other.control_plane);
    assert_eq!((view.nodes.len(), view.pending_pods), (2, 1));
    assert!(view.seats.contains_key(&Ipv4Addr::new(10, 88, 0, 1)));
}

#[test]
fn quantities_are_read_as_kubernetes_writes_them() {
    let milli = |text: &str| milli(&Quantity(text.to_owned()));
    for (text, value) in [
        ("2", 2000),
        ("500m", 500),
        ("0.1", 100),
        ("1Ki", 1_024_000),
        ("4Gi", 4 * 1024 * 1024 * 1024 * 1000),
        ("1M", 1_000_000_000),
        ("1e3", 1_000_000),
        ("100u", 1),
        ("nonsense", 0),
    ] {
        assert_eq!(milli(text), value, "{text}");
    }
}

#[test]
fn a_pod_asks_for_what_its_largest_phase_needs() {
    let container = |cpu: &str, always: bool| {
        let mut made = json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        if always {
            made["restartPolicy"] = json!("Always");
        }
        made
    };
    let asks = |init: Value, main: Value| {
        let pod = pod(json!({"spec": {"initContainers": init, "containers": main,
            "overhead": {"cpu": "10m"}}}));
        super::asks(pod.spec.as_ref().unwrap(), "cpu")
    };
    let main = || json!([container("200m", false), container("100m", false)]);
    assert_eq!(asks(json!([]), main()), 310);
    assert_eq!(asks(json!([container("700m", false)]), main()), 710);
    let sidecar = json!([container("100m", true), container("700m", false)]);
    assert_eq!(asks(sidecar, main()), 810);
    assert_eq!(asks(json!([container("50m", true)]), main()), 360);
}

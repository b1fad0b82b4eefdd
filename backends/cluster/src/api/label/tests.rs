use super::*;
use quorate_engine::manifest::Taint;

fn node(text: Value) -> Node {
    serde_json::from_value(text).unwrap()
}

fn place(labels: &[(&str, &str)], taints: &[(&str, TaintEffect)]) -> Workplace {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let taint = |(key, effect): &(&str, TaintEffect)| Taint {
        key: (*key).to_owned(),
        value: String::new(),
        effect: *effect,
    };
    Workplace {
        labels: labels.iter().map(own).collect(),
        taints: taints.iter().map(taint).collect(),
    }
}

/// The node after its patch, as the API server merges it.
fn after(node: &Node, patch: &Value) -> Node {
    let mut text = serde_json::to_value(node).unwrap();
    let meta = &mut text["metadata"];
    for field in ["labels", "annotations"] {
        for (key, value) in patch["metadata"][field].as_object().unwrap() {
            meta[field][key] = value.clone();
            if value.is_null() {
                meta[field].as_object_mut().unwrap().remove(key);
            }
        }
    }
    if let Some(taints) = patch["spec"].get("taints") {
        text["spec"]["taints"] = taints.clone();
    }
    serde_json::from_value(text).unwrap()
}

#[test]
fn labels_come_change_and_go_and_others_stay() {
    let bare = node(json!({"metadata": {"labels": {"theirs": "1"}}, "spec": {}}));
    let first = place(&[("disk", "ssd"), ("zone", "a")], &[]);
    let patch = change(&bare, &first, true, None).unwrap();
    let labelled = after(&bare, &patch);
    let labels = labelled.metadata.labels.clone().unwrap();
    let expected = [
        ("disk", "ssd"),
        (WORKER, ""),
        ("theirs", "1"),
        ("zone", "a"),
    ];
    assert_eq!(
        labels,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(change(&labelled, &first, true, None), None, "done is done");

    let second = place(&[("zone", "b")], &[]);
    let patch = change(&labelled, &second, true, None).unwrap();
    let expected = json!({"disk": null, "zone": "b"});
    assert_eq!(patch["metadata"]["labels"], expected);
    let changed = after(&labelled, &patch);
    assert_eq!(change(&changed, &second, true, None), None);
}

#[test]
fn taints_of_a_node_s_life_stay() {
    use TaintEffect::{NoExecute, NoSchedule};
    let life = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute",
        "timeAdded": "2026-11-22T15:44:00Z"});
    let bare = node(json!({"metadata": {"labels": {}}, "spec": {"taints": [life]}}));
    let tainted = place(&[], &[("gpu", NoSchedule), ("spot", NoExecute)]);
    let patch = change(&bare, &tainted, false, None).unwrap();
    let keys = |patch: &Value| {
        let taints = patch["spec"]["taints"].as_array().unwrap().iter();
        taints
            .map(|taint| taint["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&patch),
        ["node.kubernetes.io/not-ready", "gpu", "spot"]
    );
    let there = after(&bare, &patch);
    assert_eq!(change(&there, &tainted, false, None), None);
    let patch = change(&there, &place(&[], &[("spot", NoExecute)]), false, None).unwrap();
    assert_eq!(keys(&patch), ["node.kubernetes.io/not-ready", "spot"]);
}

#[test]
fn kubeadm_s_own_taint_is_as_its_release_says() {
    use TaintEffect::NoSchedule;
    let with = |key: &str| {
        let taint = json!({"key": key, "effect": "NoSchedule"});
        node(json!({"metadata": {"labels": {}}, "spec": {"taints": [taint]}}))
    };
    let reserved = place(&[], &[(CONTROL_PLANE, NoSchedule)]);
    for key in [CONTROL_PLANE, MASTER] {
        let patch = change(&with(key), &reserved, false, None).unwrap();
        assert_eq!(patch.get("spec"), None, "{key} stays alone");
        let open = change(&with(key), &place(&[], &[]), true, None).unwrap();
        assert_eq!(
            open["spec"]["taints"],
            json!([]),
            "{key} goes for workloads"
        );
    }
    let both = json!([{"key": MASTER, "effect": "NoSchedule"},
        {"key": CONTROL_PLANE, "effect": "NoSchedule"}]);
    let both = node(json!({"metadata": {"labels": {}}, "spec": {"taints": both}}));
    assert_eq!(
        change(&both, &reserved, false, None).unwrap().get("spec"),
        None
    );
}

#[test]
fn only_our_own_cordon_is_lifted() {
    let node = |annotations: Value| {
        node(json!({"metadata": {"annotations": annotations}, "spec": {"unschedulable": true}}))
    };
    let empty = place(&[], &[]);
    assert_eq!(
        change(&node(json!({})), &empty, false, None),
        None,
        "somebody else's stays"
    );
    let patch = change(&node(json!({DRAINED: "true"})), &empty, false, None).unwrap();
    assert_eq!(patch["spec"], json!({"unschedulable": false}));
    assert_eq!(patch["metadata"]["annotations"][DRAINED], Value::Null);
}

#[test]
fn tags_of_the_storage_s_own_are_written_once() {
    let tags = (
        "node.longhorn.io/default-node-tags".to_owned(),
        "[\"a\"]".to_owned(),
    );
    let bare = node(json!({"metadata": {"labels": {}, "annotations": {}}, "spec": {}}));
    let empty = place(&[], &[]);
    let patch = change(&bare, &empty, false, Some(&tags)).unwrap();
    assert_eq!(patch["metadata"]["annotations"][&tags.0], tags.1);
    let tagged = after(&bare, &patch);
    assert_eq!(change(&tagged, &empty, false, Some(&tags)), None);
}

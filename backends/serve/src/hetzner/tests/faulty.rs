//! Faults change what the model does, and no more than that.

use super::*;
use crate::faults::Place;

#[test]
fn quotas_and_lack_of_machines_refuse_servers_only() {
    let mut project = Project::with(&Settings {
        machines: Some(2),
        ..Settings::new(crate::Vendor::Hetzner)
    });
    project.server("a");
    let squeeze = Fault {
        limit: Some(1),
        ..Fault::new(FaultVerb::Quota)
    };
    let squeeze = project.faults.begin(project.now, squeeze);
    let refused = |project: &mut Project| {
        let (status, body) = project.ask("POST", "/servers", &server("b"));
        (status, code(&body).to_owned())
    };
    let quota = (403, "resource_limit_exceeded".to_owned());
    assert_eq!(refused(&mut project), quota);
    project.network();
    project.faults.end(squeeze);
    let sold_out = Fault {
        place: Place {
            region: Some("fsn1".to_owned()),
            machine_type: Some("cx23".to_owned()),
        },
        ..Fault::new(FaultVerb::StockOut)
    };
    project.faults.begin(project.now, sold_out.clone());
    let gone = (412, "resource_unavailable".to_owned());
    assert_eq!(refused(&mut project), gone);
    let types = project.get("/server_types?name=cx23");
    let places = types["server_types"][0]["locations"].clone();
    assert_eq!(
        (&places[0]["name"], &places[0]["available"]),
        (&json!("fsn1"), &json!(false))
    );
    assert_eq!(
        (&places[1]["name"], &places[1]["available"]),
        (&json!("nbg1"), &json!(true))
    );
    project.faults.clear();
    let told = Fault {
        code: Some("placement_error".to_owned()),
        ..sold_out
    };
    let told = project.faults.begin(project.now, told);
    assert_eq!(refused(&mut project), (422, "placement_error".to_owned()));
    assert_eq!(project.faults.hits(told), 1);
    let mut elsewhere = server("b");
    elsewhere["location"] = json!("hel1");
    project.make("/servers", &elsewhere);
    project.faults.clear();
    let (status, body) = project.ask("POST", "/servers", &server("c"));
    assert_eq!(
        (status, code(&body)),
        (403, "resource_limit_exceeded"),
        "the account's own limit"
    );
}

#[test]
fn slow_actions_take_longer_and_failed_builds_never_run() {
    let mut project = Project::new();
    let slow = Fault {
        factor: Some(100.0),
        ..Fault::new(FaultVerb::Slow)
    };
    let slow = project.faults.begin(project.now, slow);
    let a = project.server("a");
    project.faults.end(slow);
    project
        .faults
        .begin(project.now, Fault::new(FaultVerb::FailedBuild));
    let made = project.make("/servers", &server("b"));
    project.wait(300);
    let status = |project: &mut Project, id: u64| {
        let shown = project.get(&format!("/servers/{id}"));
        shown["server"]["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(status(&mut project, a), "initializing");
    assert_eq!(status(&mut project, id(&made["server"])), "unknown");
    let action = project.get(&format!("/actions/{}", id(&made["action"])));
    assert_eq!(action["action"]["status"], "error");
    assert_eq!(action["action"]["error"]["code"], "action_failed");
    project.wait(20_000);
    assert_eq!(status(&mut project, a), "running");
}

#[test]
fn stale_lists_miss_what_is_new_and_show_what_is_gone() {
    let mut project = Project::new();
    let stale = Fault {
        lag: Some(Duration(Span::from_secs(1_000))),
        ..Fault::new(FaultVerb::StaleList)
    };
    project.faults.begin(project.now, stale);
    let mut ids = Vec::new();
    for nth in 0..10 {
        ids.push(project.server(&format!("s{nth}")));
    }
    let listed = |project: &mut Project, path: &str| {
        project.get(path)["meta"]["pagination"]["total_entries"].as_u64()
    };
    assert!(
        listed(&mut project, "/servers") < Some(5),
        "most are not to be seen yet"
    );
    assert_eq!(listed(&mut project, "/servers?name=s0"), Some(0));
    project.get(&format!("/servers/{}", ids[0]));
    project.wait(1_001);
    assert_eq!(listed(&mut project, "/servers"), Some(10));
    for id in &ids {
        let (status, _) = project.ask("DELETE", &format!("/servers/{id}"), &Value::Null);
        assert_eq!(status, 200);
    }
    project.wait(60);
    assert_eq!(
        project
            .ask("GET", &format!("/servers/{}", ids[0]), &Value::Null)
            .0,
        404
    );
    assert!(
        listed(&mut project, "/servers") > Some(5),
        "most are still to be seen"
    );
    project.wait(2_000);
    assert_eq!(listed(&mut project, "/servers"), Some(0));
}

#[test]
fn a_share_of_builds_fails() {
    let mut project = Project::new();
    let some = Fault {
        share: Some(Percent(300_000)),
        ..Fault::new(FaultVerb::FailedBuild)
    };
    project.faults.begin(project.now, some);
    for nth in 0..40 {
        project.server(&format!("s{nth}"));
    }
    project.wait(600);
    let things = project.cloud.things(project.now);
    let failed = things
        .iter()
        .filter(|thing| thing.state == "unknown")
        .count();
    assert!((4..20).contains(&failed), "{failed} of 40");
}

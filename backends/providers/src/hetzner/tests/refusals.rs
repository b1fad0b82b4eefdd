//! Refusals of each request that an answer is made of.

use super::*;

#[tokio::test]
async fn what_the_api_says_is_what_the_engine_hears() {
    use FaultClass::{Auth, Busy, Capacity, Exists, Invalid, NotFound, Quota, Retryable, Unknown};
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let table = [
        (401, "unauthorized", Auth),
        (403, "forbidden", Auth),
        (403, "resource_limit_exceeded", Quota),
        (412, "resource_unavailable", Capacity),
        (503, "placement_error", Capacity),
        (409, "uniqueness_error", Exists),
        (423, "locked", Busy),
        (409, "conflict", Busy),
        (429, "rate_limit_exceeded", Retryable),
        (503, "maintenance", Retryable),
        (503, "unavailable", Retryable),
        (422, "invalid_input", Invalid),
        (400, "json_error", Invalid),
        (404, "not_found", NotFound),
        (504, "timeout", Unknown),
        (502, "bad_gateway", Unknown),
        (500, "service_error", Unknown),
        (500, "a code of 2027", Unknown),
    ];
    for (status, code, expected) in table {
        project.refuse("POST /servers", status, code);
        let made = adapter.call(&call(Verb::Create, &machine(2))).await;
        assert_eq!(class(&made), expected, "{status} {code}");
    }
    project.relent();
    assert_eq!(project.holds("servers"), 1);
}

#[tokio::test]
async fn a_protected_or_locked_server_is_said_to_be_so() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    project.furnish(&adapter).await;
    let id = project.store.lock().unwrap().of("servers")[0]["id"].to_string();
    let request = format!("DELETE /servers/{id}");
    project.refuse(&request, 403, "protected");
    let kept = adapter.call(&call(Verb::Delete, &machine(1))).await;
    assert_eq!(class(&kept), FaultClass::Invalid);
    let detail = kept.unwrap_err().detail;
    assert!(detail.contains("disable-protection"), "{detail}");
    project.refuse(&request, 423, "locked");
    let kept = adapter.call(&call(Verb::Delete, &machine(1))).await;
    assert_eq!(class(&kept), FaultClass::Busy);
    project.refuse(&request, 404, "not_found");
    let gone = adapter.call(&call(Verb::Delete, &machine(1))).await;
    assert_eq!(gone, Ok(Reply::Done), "somebody was quicker");
    project.with(|store| {
        store.alter("servers", |server| server["status"] = json!("deleting"));
    });
    project.refuse(&request, 423, "locked");
    let going = adapter.call(&call(Verb::Delete, &machine(1))).await;
    assert_eq!(going, Ok(Reply::Done), "it goes already");
}

#[tokio::test]
async fn an_action_that_failed_at_once_is_a_fault() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    let error = json!({"code": "resource_unavailable", "message": "sold out"});
    let action = json!({"command": "create_server", "status": "error", "error": error});
    project.furnish(&adapter).await;
    project.with(|store| {
        let answer = json!({"server": {}, "action": action, "next_actions": []});
        store
            .refusals
            .insert("POST /servers".to_owned(), (201, answer));
    });
    let made = adapter.call(&call(Verb::Create, &machine(2))).await;
    assert_eq!(class(&made), FaultClass::Capacity);
}

#[tokio::test]
async fn an_answer_that_does_not_read_leaves_the_outcome_open() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    for answer in [
        json!({}),
        json!({"network": {"id": 5, "name": "x", "ip_range": "y"}}),
    ] {
        project.with(|store| {
            store
                .refusals
                .insert("POST /networks".to_owned(), (201, answer));
        });
        let made = adapter
            .call(&call(Verb::Create, &network("10.0.0.0/24")))
            .await;
        assert_eq!(class(&made), FaultClass::Unknown);
    }
}

#[tokio::test]
async fn a_machine_waits_for_nothing_that_is_gone_and_asks_for_nothing_that_is_not_sold() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    let early = adapter.call(&call(Verb::Create, &machine(1))).await;
    assert_eq!(class(&early), FaultClass::NotFound);
    project.furnish(&adapter).await;
    project.refuse("POST /servers", 404, "not_found");
    project.with(|store| {
        let error = json!({"code": "not_found", "message": "SSH key not found"});
        let refusal = (404, json!({ "error": error }));
        store.refusals.insert("POST /servers".to_owned(), refusal);
    });
    let made = adapter.call(&call(Verb::Create, &machine(2))).await;
    assert_eq!(
        class(&made),
        FaultClass::Busy,
        "the key is made the next time"
    );
    let mut spot = (*machine(3)).clone();
    if let Spec::Machine { spot, .. } = &mut spot.spec {
        *spot = true;
    }
    let made = adapter.call(&call(Verb::Create, &Arc::new(spot))).await;
    assert_eq!(class(&made), FaultClass::Invalid);
}

#[tokio::test]
async fn verbs_and_kinds_of_others_are_refused() {
    let project = Project::start().await;
    let adapter = project.adapter(1);
    for verb in [Verb::Probe, Verb::Drain, Verb::Init] {
        let done = adapter.call(&call(verb, &machine(1))).await;
        assert_eq!(class(&done), FaultClass::Invalid);
    }
    let mut record = call(Verb::Create, &machine(1));
    record.kind = Kind::RecordSet;
    assert_eq!(class(&adapter.call(&record).await), FaultClass::Invalid);
    assert!(project.fake.asked().is_empty());
}

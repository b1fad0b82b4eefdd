//! The server as a client meets it: sockets, lost answers, and the way in for faults.

mod client;
mod openapi;

use client::ask;
use quorate_engine::time::Span;
use quorate_serve::{Ended, Fault, FaultVerb, Handle, Requests, Settings, Vendor, serve};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;

async fn start(settings: Settings) -> Handle {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback is there");
    serve(listener, settings).await.expect("it is on loopback")
}

fn fast() -> Settings {
    Settings {
        speed: 100.0,
        ..Settings::new(Vendor::Hetzner)
    }
}

fn server(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "ubuntu-24.04", "location": "fsn1"})
}

fn creations() -> Requests {
    Requests {
        method: Some("POST".to_owned()),
        path: Some("/servers".to_owned()),
    }
}

#[tokio::test]
async fn it_answers_under_its_version_and_at_its_root() {
    let cloud = start(fast()).await;
    for path in ["/v1/locations", "/locations"] {
        let reply = ask(&cloud, "GET", path, &Value::Null)
            .await
            .expect("an answer");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json")
        );
        assert_eq!(reply.body["locations"][0]["name"], "fsn1");
        assert_eq!(reply.header("ratelimit-limit"), "3600");
    }
    let reply = ask(&cloud, "GET", "/v1x/locations", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 404);
    cloud.stop().await.expect("it stops");
}

#[tokio::test]
async fn it_is_not_served_to_the_world() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a socket");
    assert!(serve(listener, fast()).await.is_err());
}

#[tokio::test]
async fn a_lost_reply_leaves_the_work_done_or_not() {
    let cloud = start(fast()).await;
    for (name, done) in [("kept", true), ("dropped", false)] {
        let lost = cloud.begin(Fault {
            requests: creations(),
            times: Some(1),
            done: Some(done),
            ..Fault::new(FaultVerb::LostReply)
        });
        let outcome = ask(&cloud, "POST", "/v1/servers", &server(name)).await;
        assert!(outcome.is_err(), "{outcome:?}");
        assert_eq!(cloud.hits(lost), 1);
        let there = cloud.things().iter().any(|thing| thing.name == name);
        assert_eq!(there, done);
    }
    let again = ask(&cloud, "POST", "/v1/servers", &server("kept"))
        .await
        .expect("an answer");
    assert_eq!(again.status, 409);
    assert_eq!(cloud.made()[&("server".to_owned(), "kept".to_owned())], 1);
    let ended: Vec<Ended> = cloud.asked().iter().map(|asked| asked.ended).collect();
    assert_eq!(
        ended,
        [Ended::Unheard(201), Ended::Dropped, Ended::Answered(409)]
    );
    cloud.stop().await.expect("it stops");
}

#[tokio::test]
async fn an_outage_is_silent_or_says_so() {
    let cloud = start(fast()).await;
    let loud = cloud.begin(Fault {
        status: Some(503),
        ..Fault::new(FaultVerb::Outage)
    });
    let reply = ask(&cloud, "GET", "/v1/servers", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, &reply.body["error"]["code"]),
        (503, &json!("unavailable"))
    );
    assert!(cloud.end(loud));
    cloud.begin(Fault::new(FaultVerb::Outage));
    let body = server("a");
    let hung = ask(&cloud, "POST", "/v1/servers", &body);
    let patience = Duration::from_millis(200);
    assert!(
        tokio::time::timeout(patience, hung).await.is_err(),
        "nothing comes"
    );
    assert!(cloud.things().is_empty());
    let stopped = tokio::time::timeout(Duration::from_secs(5), cloud.stop()).await;
    stopped
        .expect("a hanging connection does not hold it up")
        .expect("it stops");
}

#[tokio::test]
async fn faults_come_and_go_while_it_runs() {
    let cloud = start(fast()).await;
    let fault = json!({"faults": [
        {"do": "provider.api-error", "status": 502, "requests": {"path": "/servers*"}},
        {"do": "provider.api-throttle", "rate": "1/h", "limit": 1, "requests": {"path": "/images"}},
    ]});
    let begun = ask(&cloud, "POST", "/_quorate/faults", &fault)
        .await
        .expect("an answer");
    assert_eq!((begun.status, &begun.body["ids"]), (201, &json!([0, 1])));
    let reply = ask(&cloud, "GET", "/v1/servers", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, &reply.body["error"]["code"]),
        (502, &json!("bad_gateway"))
    );
    for (status, left) in [(200, "3598"), (429, "0")] {
        let reply = ask(&cloud, "GET", "/v1/images", &Value::Null)
            .await
            .expect("an answer");
        assert_eq!(
            (reply.status, reply.header("ratelimit-remaining")),
            (status, left)
        );
    }
    let given = ask(&cloud, "GET", "/_quorate/faults", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(given.body["faults"][0]["hits"], 1);
    let ended = ask(&cloud, "DELETE", "/_quorate/faults/0", &Value::Null).await;
    assert_eq!(ended.expect("an answer").status, 204);
    let reply = ask(&cloud, "GET", "/v1/servers", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200);
    ask(&cloud, "DELETE", "/_quorate/faults", &Value::Null)
        .await
        .expect("an answer");
    let reply = ask(&cloud, "GET", "/v1/images", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 200);
    let wrong = json!({"faults": [{"do": "provider.outages"}]});
    let wrong = ask(&cloud, "POST", "/_quorate/faults", &wrong)
        .await
        .expect("an answer");
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body["mistakes"][0]
            .as_str()
            .is_some_and(|told| told.starts_with("1:"))
    );
    cloud.stop().await.expect("it stops");
}

#[tokio::test]
async fn time_can_be_skipped() {
    let cloud = start(fast()).await;
    ask(&cloud, "POST", "/v1/servers", &server("a"))
        .await
        .expect("an answer");
    cloud.skip(Span::from_secs(600));
    let things = ask(&cloud, "GET", "/_quorate/things", &Value::Null)
        .await
        .expect("an answer");
    assert_eq!(things.body["things"][0]["state"], "running");
    cloud.stop().await.expect("it stops");
}

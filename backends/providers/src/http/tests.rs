//! Against a server that misbehaves in every way a network can.

use super::*;
use crate::fake::{Asked, Fake, Reaction};
use quorate_engine::time::Span;
use serde_json::json;
use tokio::net::TcpListener;

const SECRET: &str = "hunter2-hunter2";

fn refusal(body: &Value) -> Option<Told> {
    Some(Told {
        code: body["code"].as_str()?.to_owned(),
        message: body["message"].as_str()?.to_owned(),
    })
}

fn meaning(code: &str) -> Option<Meaning> {
    (code == "taken").then_some(Meaning::Class(FaultClass::Exists))
}

fn next_page(body: &Value) -> Option<Query> {
    Some(vec![("page".to_owned(), body["next"].as_str()?.to_owned())])
}

fn api_at(endpoint: &str) -> Api {
    let dialect = Dialect {
        vendor: "Testcloud",
        token_fix: "give another token",
        refusal,
        meaning,
        next_page,
    };
    let patience = Patience {
        connect: Duration::from_millis(700),
        whole: Duration::from_millis(1_000),
    };
    Api::new(endpoint, Secret::new(SECRET), dialect, patience).unwrap()
}

async fn both(api: &Api) -> (Fault, Fault) {
    let read = api.get("/things", &[]).await.unwrap_err();
    let body = json!({"name": "a"});
    let change = api.change(Method::POST, "/things", Some(&body)).await;
    (read, change.unwrap_err())
}

async fn classes(api: &Api) -> (FaultClass, FaultClass) {
    let (read, change) = both(api).await;
    for fault in [&read, &change] {
        assert!(!format!("{fault:?}").contains(SECRET), "{fault:?}");
    }
    (read.class, change.class)
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_unknown_if_it_changes_anything() {
    for make in [|| Reaction::Cut, || Reaction::Hang, || Reaction::Half] {
        let fake = Fake::start(move |_| make()).await;
        let expected = (FaultClass::Retryable, FaultClass::Unknown);
        assert_eq!(classes(&api_at(&fake.url())).await, expected);
        assert_eq!(fake.asked().len(), 2, "an adapter does not try again");
    }
}

#[tokio::test]
async fn what_was_never_sent_may_be_tried_again() {
    let retryable = (FaultClass::Retryable, FaultClass::Retryable);
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    assert_eq!(
        classes(&api_at(&format!("http://{address}"))).await,
        retryable
    );
    assert_eq!(classes(&api_at("https://name.invalid")).await, retryable);
    // Whoever speaks no TLS is never told the token.
    let fake = Fake::start(|_| Reaction::Hang).await;
    let plain = format!("https://{}", fake.address);
    assert_eq!(classes(&api_at(&plain)).await, retryable);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_code_stands_above_the_status_and_says_what_to_do() {
    let body = json!({"code": "taken", "message": format!("{SECRET} has that name")});
    let fake = Fake::start(move |_| Reaction::json(422, &body)).await;
    let api = api_at(&fake.url());
    let (_, fault) = both(&api).await;
    assert_eq!(fault.class, FaultClass::Exists);
    assert_eq!(
        fault.detail,
        "Testcloud answers 422 to POST /things: (token) has that name (taken)"
    );
    let fake = Fake::start(|_| Reaction::json(401, &json!({}))).await;
    let (fault, _) = both(&api_at(&fake.url())).await;
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(fault.detail.ends_with("give another token"), "{fault}");
    let key = json!({"code": "odd", "message": "-----BEGIN OPENSSH PRIVATE KEY-----"});
    let fake = Fake::start(move |_| Reaction::json(400, &key)).await;
    let (fault, _) = both(&api_at(&fake.url())).await;
    assert_eq!(fault.class, FaultClass::Invalid);
    assert!(!fault.detail.contains("OPENSSH"), "{fault}");
}

#[tokio::test]
async fn the_token_is_sent_and_not_shown() {
    let fake = Fake::start(|_| Reaction::json(200, &json!({}))).await;
    let api = api_at(&fake.url());
    api.get("/things", &[("name", "a b&c")]).await.unwrap();
    let asked = &fake.asked()[0];
    assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(asked.path, "/v1/things");
    assert_eq!(asked.query["name"], "a b&c");
    assert!(!format!("{api:?}").contains(SECRET));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Fake::start(|_| Reaction::json(200, &json!({}))).await;
    let url = elsewhere.url();
    let fake =
        Fake::start(move |_| Reaction::Answer(307, vec![("location", url.clone())], String::new()))
            .await;
    let expected = (FaultClass::Invalid, FaultClass::Invalid);
    assert_eq!(classes(&api_at(&fake.url())).await, expected);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_throttled_client_is_told_when_to_come_again() {
    let limits = |remaining: &str| {
        vec![
            ("RateLimit-Limit", "3600".to_owned()),
            ("RateLimit-Remaining", remaining.to_owned()),
            ("RateLimit-Reset", "3600".to_owned()),
        ]
    };
    let fake = Fake::start(move |asked: &Asked| match asked.path.as_str() {
        "/v1/fine" => Reaction::Answer(200, limits("3599"), "{}".to_owned()),
        "/v1/full" => Reaction::Answer(429, limits("0"), String::new()),
        "/v1/wait" => Reaction::Answer(429, vec![("retry-after", "7".to_owned())], String::new()),
        _ => Reaction::Answer(503, vec![("retry-after", "9".to_owned())], String::new()),
    })
    .await;
    let api = api_at(&fake.url());
    assert_eq!(api.rate(), None);
    api.get("/fine", &[]).await.unwrap();
    assert_eq!(api.rate().map(|rate| rate.remaining), Some(3599));
    for (path, after) in [("/full", 10), ("/wait", 7), ("/away", 9)] {
        let fault = api.change(Method::POST, path, None).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Retryable, "{path}");
        assert_eq!(fault.after, Some(Span::from_secs(after)), "{path}");
    }
    assert_eq!(api.rate().map(|rate| rate.remaining), Some(0));
}

#[tokio::test]
async fn pages_are_read_to_the_last() {
    let fake = Fake::start(|asked: &Asked| {
        let page = asked.query.get("page").map(String::as_str);
        let body = match page {
            None => json!({"things": [1, 2], "next": "b"}),
            Some("b") => json!({"things": [], "next": "c"}),
            Some(_) => json!({"things": [3], "next": null}),
        };
        Reaction::json(200, &body)
    })
    .await;
    let query = [("label", "x=y")];
    let all: Vec<u8> = api_at(&fake.url())
        .list("/things", &query, "things")
        .await
        .unwrap();
    assert_eq!(all, [1, 2, 3]);
    let asked = fake.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| asked.query["label"] == "x=y"));
}

#[tokio::test]
async fn a_listing_without_end_or_sense_is_refused() {
    let bodies = [
        json!({"things": [1], "next": "a"}),
        json!({"others": [1]}),
        json!({"things": ["text"]}),
    ];
    for body in bodies {
        let answer = body.clone();
        let fake = Fake::start(move |_| Reaction::json(200, &answer)).await;
        let listed = api_at(&fake.url())
            .list::<u8>("/things", &[], "things")
            .await;
        assert_eq!(listed.unwrap_err().class, FaultClass::Invalid, "{body}");
        assert!(fake.asked().len() <= 2, "{body}");
    }
    // A page of something else is on the way: it may be right the next time.
    let page = || Reaction::Answer(200, Vec::new(), "<html>".to_owned());
    let fake = Fake::start(move |_| page()).await;
    let expected = (FaultClass::Retryable, FaultClass::Unknown);
    assert_eq!(classes(&api_at(&fake.url())).await, expected);
}

//! What a server says of itself over HTTP: for people, for Prometheus, and for other instances.

use super::shared::Shared;
use crate::authority::Authority;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use quorate_engine::time::Time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Everything at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Drawn when the instance began, so that it knows itself.
    pub(super) instance: String,
    pub(super) zones: Vec<ZoneStatus>,
    pub(super) addresses: Vec<AddressStatus>,
    /// Record sets of which every address is sick, and is given out all the same.
    pub(super) all_sick: Vec<String>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ZoneStatus {
    pub(super) zone: String,
    pub(super) serial: u32,
    pub(super) names: usize,
}

/// A watched address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressStatus {
    /// What is asked of it.
    pub(super) target: String,
    /// Left out of answers.
    pub(super) sick: bool,
    /// What this instance has seen itself; none before its first look.
    pub(super) own: Option<OwnStatus>,
    /// Vantage points that say that it is sick.
    pub(super) votes_against: usize,
    /// All that looked lately.
    pub(super) votes: usize,
}

/// What an instance has seen itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnStatus {
    pub(super) sick: bool,
    /// Milliseconds since its last look.
    pub(super) age_ms: u64,
}

/// The name of this instance among others.
pub(super) fn instance(shared: &Shared) -> String {
    format!("{:016x}", shared.seed.stream("instance", "name").bits())
}

/// Answers until the server ends.
pub(super) async fn answer(listener: TcpListener, shared: Arc<Shared>) {
    let routes = Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Arc::clone(&shared));
    let served = axum::serve(listener, routes);
    tokio::select! {
        // It ends by itself only when its socket breaks: the name server goes on without it.
        _ = served.into_future() => {}
        () = shared.ended() => {}
    }
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let instance = instance(&shared);
    Json(shared.asked(|authority, now| read(authority, now, instance)))
}

fn read(authority: &Authority, now: Time, instance: String) -> Status {
    let zones = authority.zones();
    let address = |target: &crate::health::Target| {
        let condition = authority.condition(now, target)?;
        let own = condition.own.map(|own| OwnStatus {
            sick: own.sick,
            age_ms: now.since(own.at).as_ms(),
        });
        Some(AddressStatus {
            target: target.to_string(),
            sick: condition.sick,
            own,
            votes_against: condition.votes.0,
            votes: condition.votes.1,
        })
    };
    let zone = |zone: &crate::zone::Zone| ZoneStatus {
        zone: zone.apex.to_string(),
        serial: zone.soa.serial,
        names: zone.nodes.len(),
    };
    Status {
        instance,
        zones: zones.zones.values().map(zone).collect(),
        addresses: zones.watches.iter().filter_map(address).collect(),
        all_sick: authority.all_sick().iter().cloned().collect(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let status = shared.asked(|authority, now| read(authority, now, String::new()));
    let mut text = shared.counters.metrics();
    text.push_str("# TYPE quorate_dns_zone_serial gauge\n");
    for ZoneStatus { zone, serial, .. } in &status.zones {
        text.push_str(&format!(
            "quorate_dns_zone_serial{{zone=\"{zone}\"}} {serial}\n"
        ));
    }
    text.push_str("# TYPE quorate_dns_address_sick gauge\n");
    for address in &status.addresses {
        let (target, sick) = (escaped(&address.target), u8::from(address.sick));
        text.push_str(&format!(
            "quorate_dns_address_sick{{target=\"{target}\"}} {sick}\n"
        ));
    }
    let all_sick = status.all_sick.len();
    text.push_str("# TYPE quorate_dns_all_sick_record_sets gauge\n");
    text.push_str(&format!("quorate_dns_all_sick_record_sets {all_sick}\n"));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// As a value in Prometheus' text format.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

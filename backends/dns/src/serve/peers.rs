//! Hears what other instances have seen themselves: other vantage points on the same addresses.

use super::shared::Shared;
use super::status::{Status, instance};
use crate::health::{Opinion, Target};
use quorate_engine::time::{Span, Time};
use reqwest::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Between two questions to an instance, and how long one may take.
const ASK: Duration = Duration::from_secs(1);

/// The most that an instance says, in bytes.
const STATUS_MAX: usize = 4 << 20;

/// Listens until the server ends.
pub(super) async fn listen(shared: Arc<Shared>) {
    let mut peers = shared.peers.subscribe();
    peers.mark_changed();
    let mut tasks = JoinSet::new();
    // Somebody else in this process may have chosen first: then that choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().timeout(ASK);
    let client = client
        .build()
        .expect("a client without options can be made");
    loop {
        tokio::select! {
            () = shared.ended() => return,
            changed = peers.changed() => if changed.is_err() { return },
        }
        let addresses = Arc::clone(&peers.borrow_and_update());
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        for address in addresses.iter().copied() {
            tasks.spawn(hear(address, client.clone(), Arc::clone(&shared)));
        }
    }
}

async fn hear(address: SocketAddr, client: Client, shared: Arc<Shared>) {
    let ourselves = instance(&shared);
    loop {
        // An instance that does not answer has no vote once its last one is old.
        if let Some(status) = ask(address, &client).await
            && status.instance != ourselves
        {
            let watched = Arc::clone(&shared.watched.borrow());
            shared.hear(&status.instance, |now| opinions(&status, &watched, now));
        }
        tokio::time::sleep(ASK).await;
    }
}

async fn ask(address: SocketAddr, client: &Client) -> Option<Status> {
    let answer = client.get(format!("http://{address}/status")).send();
    let mut answer = answer.await.ok()?.error_for_status().ok()?;
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        text.extend(part);
        if text.len() > STATUS_MAX {
            return None;
        }
    }
    serde_json::from_slice(&text).ok()
}

/// What it says of what we watch too.
fn opinions(status: &Status, watched: &[Target], now: Time) -> Vec<(Target, Opinion)> {
    let opinion = |target: &Target| {
        let name = target.to_string();
        let said = status.addresses.iter().find(|said| said.target == name)?;
        let own = said.own?;
        let at = Time(now.0.saturating_sub(Span::from_ms(own.age_ms).0));
        Some((target.clone(), Opinion { sick: own.sick, at }))
    };
    watched.iter().filter_map(opinion).collect()
}

//! The heartbeat benchmark on madsim: prints one line, as `measure.rs` describes.
//!
//! Not a test of madsim: it only asks how fast its simulated time passes. madsim makes every
//! send and every receive take at least 1 ms of simulated time in the task that awaits it, so
//! one task for all followers could not keep to the period. The leader therefore has one socket
//! and one task per follower, which is also the cheapest shape: no message is searched for.

#[path = "../../../src/measure.rs"]
mod measure;

use madsim::net::Endpoint;
use madsim::runtime::Runtime;
use madsim::time::{MissedTickBehavior, interval, sleep};
use measure::{PERIOD, Traffic};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const PORT: u16 = 7000;

#[derive(Default)]
struct Counters {
    heartbeats: AtomicU64,
    acks: AtomicU64,
}

fn address(node: usize, port: u16) -> SocketAddr {
    let [.., a, b] = (node as u32 + 1).to_be_bytes();
    SocketAddr::from(([10, 0, a, b], port))
}

async fn follower(node: usize, counters: Arc<Counters>) {
    let endpoint = Endpoint::bind(address(node, PORT))
        .await
        .expect("the port is free");
    let mut round = [0; 8];
    loop {
        let (_, leader) = endpoint
            .recv_from(0, &mut round)
            .await
            .expect("the network is up");
        counters.heartbeats.fetch_add(1, Relaxed);
        endpoint
            .send_to(leader, 0, &round)
            .await
            .expect("the network is up");
    }
}

async fn lead(node: usize, counters: Arc<Counters>) {
    let port = PORT + node as u16;
    let endpoint = Endpoint::bind(address(0, port))
        .await
        .expect("the port is free");
    let mut beat = interval(PERIOD);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    beat.tick().await; // an interval's first tick is at once
    for round in 0u64.. {
        beat.tick().await;
        let to = address(node, PORT);
        endpoint
            .send_to(to, 0, &round.to_le_bytes())
            .await
            .expect("the network is up");
        let mut echo = [0; 8];
        endpoint
            .recv_from(0, &mut echo)
            .await
            .expect("the network is up");
        assert_eq!(
            u64::from_le_bytes(echo),
            round,
            "an acknowledgement of another round"
        );
        counters.acks.fetch_add(1, Relaxed);
    }
}

fn main() -> ExitCode {
    let request = match measure::request(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut config = madsim::Config::default();
    config.net.send_latency = Duration::from_micros(500)..Duration::from_micros(1500);
    let runtime = Runtime::with_seed_and_config(7, config);
    let counters = Arc::new(Counters::default());
    let leader = runtime.create_node().ip(address(0, PORT).ip()).build();
    for node in 1..request.nodes {
        let host = runtime.create_node().ip(address(node, PORT).ip()).build();
        host.spawn(follower(node, counters.clone()));
        leader.spawn(lead(node, counters.clone()));
    }
    // Everybody binds; the first heartbeats are still to come.
    runtime.block_on(async { sleep(PERIOD / 2).await });
    let sample = measure::measure(request, PERIOD, |slice| {
        // The clock is madsim's inside `block_on` and the real one outside.
        if !slice.is_zero() {
            runtime.block_on(async { sleep(slice).await });
        }
        Traffic {
            heartbeats: counters.heartbeats.load(Relaxed),
            acks: counters.acks.load(Relaxed),
        }
    });
    println!("{}", sample.line());
    match sample.verify() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

//! The heartbeat benchmark on turmoil: prints one line, as `measure.rs` describes.
//!
//! Not a test of turmoil: it only asks how fast its simulated time passes. The tick is the
//! 1 ms that turmoil starts with; its latencies are whole milliseconds.

#[path = "../../../src/measure.rs"]
mod measure;

use measure::{PERIOD, Request, Traffic};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::interval_at;
use turmoil::net::UdpSocket;
use turmoil::{Builder, Sim};

const PORT: u16 = 7000;
const TICK: Duration = Duration::from_millis(1);
/// The least that is simulated: one round of heartbeats and acknowledgements fits in, because
/// the first is sent 1 ms into it and a message is at most 2 ms and a tick on its way.
const LEAST: Duration = Duration::from_millis(8);
/// Lets every host bind its socket before the first heartbeat, in simulated time.
const BIND: Duration = Duration::from_millis(2);

type Counter = Rc<Cell<u64>>;

fn address(node: usize) -> SocketAddr {
    let [.., a, b] = (node as u32 + 1).to_be_bytes();
    SocketAddr::from(([10, 0, a, b], PORT))
}

async fn follower(heartbeats: Counter) -> turmoil::Result {
    let socket = UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    let mut round = [0; 8];
    loop {
        let (_, leader) = socket.recv_from(&mut round).await?;
        heartbeats.set(heartbeats.get() + 1);
        socket.send_to(&round, leader).await?;
    }
}

async fn lead(nodes: usize, acks: Counter) -> turmoil::Result {
    let socket = Rc::new(UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?);
    let hearing = socket.clone();
    tokio::task::spawn_local(async move {
        let mut round = [0; 8];
        while hearing.recv_from(&mut round).await.is_ok() {
            acks.set(acks.get() + 1);
        }
    });
    let mut beat = interval_at(tokio::time::Instant::now() + BIND, PERIOD);
    for round in 0u64.. {
        beat.tick().await;
        for node in 1..nodes {
            socket.send_to(&round.to_le_bytes(), address(node)).await?;
        }
    }
    Ok(())
}

fn world(request: Request, heartbeats: &Counter, acks: &Counter) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(7)
        .epoch(UNIX_EPOCH)
        .tick_duration(TICK)
        .simulation_duration(Duration::MAX)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(2))
        .udp_capacity(request.nodes * 2)
        .build();
    let (nodes, acks) = (request.nodes, acks.clone());
    sim.host(address(0).ip(), move || lead(nodes, acks.clone()));
    for node in 1..request.nodes {
        let heartbeats = heartbeats.clone();
        sim.host(address(node).ip(), move || follower(heartbeats.clone()));
    }
    sim
}

fn main() -> ExitCode {
    let request = match measure::request(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let (heartbeats, acks) = (Counter::default(), Counter::default());
    let mut sim = world(request, &heartbeats, &acks);
    sim.step().expect("every host binds its socket");
    let sample = measure::measure(request, LEAST, |slice| {
        for _ in 0..slice.as_millis() / TICK.as_millis() {
            sim.step().expect("no host fails");
        }
        Traffic {
            heartbeats: heartbeats.get(),
            acks: acks.get(),
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

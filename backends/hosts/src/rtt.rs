//! Round trips over the mesh, sample by sample, as one machine measures them.
//!
//! Makes nothing of the samples: what a place is, and which figure counts, is for whoever asks.

use crate::job::Runner;
use crate::{Hosts, job};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use quorate_engine::time::Span;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

const RTT: &str = include_str!("../scripts/rtt.sh");

/// Addresses that one machine measures at the same time.
const AT_ONCE: u32 = 16;
/// The slowest ping that is used: five a second.
const SAMPLE: Duration = Duration::from_millis(200);
/// The last answers, and logging in.
const MARGIN: Duration = Duration::from_secs(60);

impl<R: Runner> Hosts<R> {
    /// Samples of the round trip from `machine` to each of `peers`; fewer where some did not come
    /// back, none where nobody answers.
    ///
    /// # Errors
    /// The machine does not answer, or has nothing to measure with.
    pub async fn round_trips(
        &self,
        machine: &ResourceId,
        peers: &[Ipv4Addr],
        samples: u32,
        addresses: &[(ResourceId, Ipv4Addr)],
    ) -> Result<BTreeMap<Ipv4Addr, Vec<Span>>, Fault> {
        let at = self.at(machine, addresses)?;
        let list: Vec<_> = peers.iter().map(ToString::to_string).collect();
        let rounds = (peers.len() as u32).div_ceil(AT_ONCE);
        let limit = SAMPLE * samples * rounds + MARGIN;
        let job = job("measure round trips", &[RTT], limit)
            .with("Q_PEERS", list.join(" "))
            .with("Q_SAMPLES", samples.to_string())
            .with("Q_AT_ONCE", AT_ONCE.to_string());
        let said = at.run(job).await?.stdout;
        Ok(said.lines().filter_map(line).collect())
    }
}

/// `10.88.0.2 0.412 0.390`.
fn line(text: &str) -> Option<(Ipv4Addr, Vec<Span>)> {
    let mut words = text.split_whitespace();
    let peer = words.next()?.parse().ok()?;
    let span = |ms: &str| {
        let ms: f64 = ms.parse().ok()?;
        (ms > 0.0 && ms < 3_600_000.0).then(|| Span::from_us((ms * 1_000.0).round() as u64))
    };
    Some((peer, words.filter_map(span).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script says on this machine, of which all loopback addresses answer.
    fn said(peers: &str, samples: u32) -> String {
        let job = job("measure", &[RTT], MARGIN)
            .with("Q_PEERS", peers.to_owned())
            .with("Q_SAMPLES", samples.to_string())
            .with("Q_AT_ONCE", "2".to_owned());
        let output = std::process::Command::new("sh")
            .args(["-c", &job.text()])
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{why}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn every_sample_is_counted() {
        let there = std::process::Command::new("ping")
            .arg("-V")
            .output()
            .is_ok();
        if !there {
            eprintln!("SKIPPED: apt-get install iputils-ping");
            return;
        }
        let said = said("127.0.0.1 127.0.0.2 127.0.0.3", 5);
        let found: BTreeMap<_, _> = said.lines().filter_map(line).collect();
        assert_eq!(found.len(), 3, "{said}");
        for (peer, samples) in found {
            assert_eq!(samples.len(), 5, "{peer}: {said}");
            assert!(samples.iter().all(|s| *s < Span::from_secs(1)), "{said}");
        }
    }

    #[test]
    fn what_is_no_time_is_no_sample() {
        let us = Span::from_us;
        let two = Ipv4Addr::new(10, 88, 0, 2);
        let read = |text: &str| line(text);
        assert_eq!(
            read("10.88.0.2 0.412 12.5"),
            Some((two, vec![us(412), us(12_500)]))
        );
        assert_eq!(read("10.88.0.2 "), Some((two, vec![])));
        assert_eq!(
            read("10.88.0.2 0 -1 x nan inf 3"),
            Some((two, vec![us(3_000)]))
        );
        assert_eq!(read("note"), None);
    }
}

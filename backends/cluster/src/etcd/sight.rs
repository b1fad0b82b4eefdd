//! Since when each member answers: what makes it healthy in the sense of etcd's own rule, which
//! counts a member from 5 s without a break (`HealthInterval`, `server/etcdserver/server.go`).
//!
//! A process that has just begun has not watched yet. Then etcd's own connections decide: who has
//! an active stream from the member that is asked (`etcd_network_active_peers`) counts at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// See the head of this file.
const SETTLED: Duration = Duration::from_secs(5);

/// What was seen of members until now.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    begun: bool,
    since: BTreeMap<u64, Instant>,
}

impl Sight {
    /// Whether nobody has looked yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.begun
    }

    /// Takes a look at `now`: who answers, and whom etcd itself is connected with. Gives those that
    /// are healthy.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        answering: &BTreeSet<u64>,
        connected: &BTreeSet<u64>,
    ) -> BTreeSet<u64> {
        let first = !std::mem::replace(&mut self.begun, true);
        self.since.retain(|id, _| answering.contains(id));
        for id in answering {
            let settled = first && connected.contains(id);
            let since = if settled {
                now.checked_sub(SETTLED).unwrap_or(now)
            } else {
                now
            };
            self.since.entry(*id).or_insert(since);
        }
        let settled =
            |(id, since): (&u64, &Instant)| (now.duration_since(*since) >= SETTLED).then_some(*id);
        self.since.iter().filter_map(settled).collect()
    }
}

/// Members that the one which is asked has an active stream to, from its metrics.
pub(crate) fn active_peers(metrics: &str) -> BTreeSet<u64> {
    let peer = |line: &str| {
        let rest = line.strip_prefix("etcd_network_active_peers{")?;
        let (labels, value) = rest.split_once("} ")?;
        if value.trim().parse::<f64>().ok()? < 1.0 {
            return None;
        }
        let (_, remote) = labels.split_once("Remote=\"")?;
        u64::from_str_radix(remote.split('"').next()?, 16).ok()
    };
    metrics.lines().filter_map(peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<u64> {
        ids.iter().copied().collect()
    }

    #[test]
    fn at_first_etcd_s_own_connections_decide() {
        let mut sight = Sight::default();
        assert!(sight.is_new());
        let now = Instant::now() + Duration::from_secs(60);
        assert_eq!(sight.look(now, &set(&[1, 2]), &set(&[1, 3])), set(&[1]));
        assert!(!sight.is_new());
        let later = now + Duration::from_secs(5);
        assert_eq!(sight.look(later, &set(&[1, 2]), &set(&[])), set(&[1, 2]));
    }

    #[test]
    fn a_newcomer_and_one_that_was_away_count_after_five_seconds() {
        let mut sight = Sight::default();
        let start = Instant::now() + Duration::from_secs(60);
        let at = |s: u64| start + Duration::from_secs(s);
        sight.look(at(0), &set(&[1]), &set(&[1]));
        let connected = set(&[1, 2]);
        assert_eq!(sight.look(at(1), &set(&[1, 2]), &connected), set(&[1]));
        assert_eq!(sight.look(at(5), &set(&[1, 2]), &connected), set(&[1]));
        assert_eq!(sight.look(at(6), &set(&[1, 2]), &connected), set(&[1, 2]));
        assert_eq!(
            sight.look(at(7), &set(&[1]), &connected),
            set(&[1]),
            "it is away"
        );
        assert_eq!(sight.look(at(8), &set(&[1, 2]), &connected), set(&[1]));
        assert_eq!(sight.look(at(13), &set(&[1, 2]), &connected), set(&[1, 2]));
    }

    #[test]
    fn peers_are_read_from_metrics() {
        let text = "# TYPE etcd_network_active_peers gauge\n\
            etcd_network_active_peers{Local=\"ee5\",Remote=\"52c3d60a3d789\"} 1\n\
            etcd_network_active_peers{Local=\"ee5\",Remote=\"77\"} 0\n\
            etcd_network_client_grpc_sent_bytes_total 12\n";
        assert_eq!(active_peers(text), set(&[0x52c3d60a3d789]));
    }
}

//! What a server has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the server began.
#[derive(Debug, Default)]
pub struct Counters {
    udp: AtomicU64,
    tcp: AtomicU64,
    silent: AtomicU64,
    truncated: AtomicU64,
    codes: [AtomicU64; 16],
}

/// Names of the response codes that we give (RFC 1035, 2136).
const CODES: [(usize, &str); 7] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (9, "NOTAUTH"),
];

impl Counters {
    pub(super) fn udp(&self, answer: Option<&[u8]>) {
        self.udp.fetch_add(1, Ordering::Relaxed);
        self.answer(answer);
    }

    pub(super) fn tcp(&self, answer: Option<&[u8]>) {
        self.tcp.fetch_add(1, Ordering::Relaxed);
        self.answer(answer);
    }

    fn answer(&self, answer: Option<&[u8]>) {
        let Some(answer) = answer else {
            self.silent.fetch_add(1, Ordering::Relaxed);
            return;
        };
        assert!(answer.len() >= 12, "an answer has a header");
        if answer[2] & 2 != 0 {
            self.truncated.fetch_add(1, Ordering::Relaxed);
        }
        self.codes[usize::from(answer[3] & 15)].fetch_add(1, Ordering::Relaxed);
    }

    /// Packets that came.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.udp.load(Ordering::Relaxed) + self.tcp.load(Ordering::Relaxed)
    }

    /// As Prometheus reads it.
    pub(super) fn metrics(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (udp, tcp) = (read(&self.udp), read(&self.tcp));
        let (silent, truncated) = (read(&self.silent), read(&self.truncated));
        let mut text = format!(
            "# TYPE quorate_dns_queries_total counter\n\
             quorate_dns_queries_total{{transport=\"udp\"}} {udp}\n\
             quorate_dns_queries_total{{transport=\"tcp\"}} {tcp}\n\
             # TYPE quorate_dns_unanswered_total counter\n\
             quorate_dns_unanswered_total {silent}\n\
             # TYPE quorate_dns_truncated_total counter\n\
             quorate_dns_truncated_total {truncated}\n\
             # TYPE quorate_dns_answers_total counter\n"
        );
        for (code, name) in CODES {
            let count = read(&self.codes[code]);
            text.push_str(&format!(
                "quorate_dns_answers_total{{rcode=\"{name}\"}} {count}\n"
            ));
        }
        text
    }
}

//! How operating systems open TCP connections: when they send SYNs and when they give up.
//!
//! Pure tables and arithmetic; knows neither addresses nor the network. Sources: Linux kernel
//! documentation `ip-sysctl.rst` (`tcp_syn_retries` 6, `tcp_syn_linear_timeouts` 4 since 6.5);
//! the other rows are packet captures of single devices, good to about a second.

use quorate_engine::time::Span;

/// The operating system of a client, as far as TCP shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    /// Linux 6.5 and later: four linear retransmissions before the exponential ones.
    Linux,
    /// Linux before 6.5: exponential from the start.
    LinuxOld,
    /// Windows 11.
    Windows,
    /// macOS.
    Macos,
    /// iOS 26.
    Ios,
    /// Android 16.
    Android,
}

impl Os {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] = [
        Self::Linux,
        Self::LinuxOld,
        Self::Windows,
        Self::Macos,
        Self::Ios,
        Self::Android,
    ];

    /// A short name for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::LinuxOld => "linux-before-6.5",
            Self::Windows => "windows",
            Self::Macos => "macos",
            Self::Ios => "ios",
            Self::Android => "android",
        }
    }

    /// Milliseconds between one SYN and the next.
    const fn gaps_ms(self) -> &'static [u64] {
        const S: u64 = 1_000;
        match self {
            Self::Linux | Self::Macos => &[S, S, S, S, S, 2 * S, 4 * S, 8 * S, 16 * S, 32 * S],
            Self::LinuxOld => &[S, 2 * S, 4 * S, 8 * S, 16 * S, 32 * S],
            Self::Windows => &[S, 2 * S, 4 * S, 8 * S],
            Self::Ios => &[60, 60, 60, 60, 60, 120, 240, 480, 960, 1_920, 3_650],
            Self::Android => &[S, 2 * S, 4 * S, 8 * S, 16 * S],
        }
    }

    /// From the first SYN to the error that the application sees.
    ///
    /// Linux waits one more doubled gap after its last SYN: 67 + 64 s, and 63 + 64 s before 6.5;
    /// Android likewise with five retransmissions. macOS stops at its 75 s initial keepalive.
    #[must_use]
    pub const fn gives_up_after(self) -> Span {
        Span::from_ms(match self {
            Self::Linux => 131_000,
            Self::LinuxOld => 127_000,
            Self::Windows => 21_000,
            Self::Macos => 75_000,
            Self::Ios => 11_200,
            Self::Android => 63_000,
        })
    }

    /// When the `n`-th SYN is sent, counted from the first (`n` = 0); `None` after the last.
    #[must_use]
    pub fn syn(self, n: usize) -> Option<Span> {
        let gaps = self.gaps_ms();
        (n <= gaps.len()).then(|| Span::from_ms(gaps[..n].iter().sum()))
    }

    /// The first SYN later than `elapsed` and earlier than `limit`, counted from the first SYN.
    #[must_use]
    pub fn next_syn(self, elapsed: Span, limit: Span) -> Option<Span> {
        let limit = limit.min(self.gives_up_after());
        let mut at = Span::ZERO;
        for gap_ms in self.gaps_ms() {
            at += Span::from_ms(*gap_ms);
            if at > elapsed {
                return (at < limit).then_some(at);
            }
        }
        None
    }
}

/// Whether a client races IPv6 against IPv4.
///
/// Races run between families only: among several IPv4 addresses nobody races, so a dead one of
/// them costs its whole connect time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HappyEyeballs {
    /// IPv4 only, or one address after the other.
    Off,
    /// Where names have both kinds of addresses: IPv6 first, IPv4 after this delay. RFC 8305
    /// recommends 250 ms; Chrome and Edge use 300 ms, curl 200 ms.
    DualStack {
        /// The head start of IPv6.
        delay: Span,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_syn_and_the_error_come_when_the_sources_say() {
        // (system, SYNs, last SYN in ms, error in ms)
        let rows = [
            (Os::Linux, 11, 67_000, 131_000),
            (Os::LinuxOld, 7, 63_000, 127_000),
            (Os::Windows, 5, 15_000, 21_000),
            (Os::Macos, 11, 67_000, 75_000),
            (Os::Ios, 12, 7_670, 11_200),
            (Os::Android, 6, 31_000, 63_000),
        ];
        for (os, syns, last_ms, error_ms) in rows {
            let sent: Vec<Span> = (0..).map_while(|n| os.syn(n)).collect();
            assert_eq!(sent.len(), syns, "{os:?}");
            assert_eq!(sent.last().map(|at| at.as_ms()), Some(last_ms), "{os:?}");
            assert_eq!(os.gives_up_after().as_ms(), error_ms, "{os:?}");
        }
    }

    #[test]
    fn the_next_syn_is_after_what_has_passed_and_before_the_limit() {
        let limit = Span::from_secs(1_000);
        let next = |ms, limit| Os::LinuxOld.next_syn(Span::from_ms(ms), limit);
        assert_eq!(next(0, limit), Some(Span::from_secs(1)));
        assert_eq!(next(1_000, limit), Some(Span::from_secs(3)));
        assert_eq!(next(1_000, Span::from_secs(3)), None);
        assert_eq!(next(63_000, limit), None);
    }
}

//! Clients of a scenario, as the traffic model wants them.

use crate::scenario::{Clients, OperatingSystem};
use crate::traffic::{Arrivals, HappyEyeballs, Os, PopulationSettings, RequestKind};
use quorate_engine::time::Span;

/// Connection attempt delay of RFC 8305, section 5.
const HEAD_START: Span = Span::from_ms(250);

/// A population at a site.
pub(super) fn population(clients: &Clients, site: u16, kind: RequestKind) -> PopulationSettings {
    let weight = |(system, share): (&OperatingSystem, &quorate_engine::units::Percent)| {
        (os(*system), share.0 as u32)
    };
    let mut os_mix: Vec<(Os, u32)> = clients.systems.iter().map(weight).collect();
    if os_mix.is_empty() {
        os_mix.push((Os::Linux, 1));
    }
    PopulationSettings {
        site,
        kind,
        interval: Span(Span::from_secs(1_000).0 / clients.rate.0.max(1)),
        arrivals: Arrivals::Poisson,
        os_mix,
        request_timeout: clients.timeout.0,
        work: clients.work.0,
        connect_timeout: clients.connect_timeout.map(|timeout| timeout.0),
        happy_eyeballs: match clients.happy_eyeballs {
            true => HappyEyeballs::DualStack { delay: HEAD_START },
            false => HappyEyeballs::Off,
        },
        ..PopulationSettings::default()
    }
}

fn os(system: OperatingSystem) -> Os {
    match system {
        OperatingSystem::Linux => Os::Linux,
        OperatingSystem::LinuxOld => Os::LinuxOld,
        OperatingSystem::Windows => Os::Windows,
        OperatingSystem::Macos => Os::Macos,
        OperatingSystem::Ios => Os::Ios,
        OperatingSystem::Android => Os::Android,
    }
}

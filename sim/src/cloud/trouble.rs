//! What goes wrong at a provider, where, and how often it did.
//!
//! Troubles are switched on and off at run time. Knows nothing of schedules: those are a
//! scenario's.

use super::limit::{Counted, Limit};
use quorate_engine::resource::Spec;
use quorate_engine::time::Span;
use std::collections::BTreeMap;
use std::fmt;

/// Where a trouble is. An absent part means all of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The provider instance.
    pub provider: String,
    /// One region of it.
    pub region: Option<String>,
    /// One zone of it.
    pub zone: Option<String>,
    /// One machine type.
    pub machine_type: Option<String>,
}

impl Scope {
    /// All of a provider.
    #[must_use]
    pub fn provider(name: impl Into<String>) -> Self {
        Self {
            provider: name.into(),
            region: None,
            zone: None,
            machine_type: None,
        }
    }

    /// Only in this region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only in this zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Only for this machine type.
    #[must_use]
    pub fn machine_type(mut self, machine_type: impl Into<String>) -> Self {
        self.machine_type = Some(machine_type.into());
        self
    }

    fn holds(&self, provider: &str, place: Place<'_>) -> bool {
        let within = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        self.provider == provider
            && within(&self.region, place.region)
            && within(&self.zone, place.zone)
            && within(&self.machine_type, place.machine_type)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        let parts = [&self.region, &self.zone, &self.machine_type];
        for part in parts.into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

/// Where a resource is at its provider; empty where it is nowhere in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place<'a> {
    pub(super) region: &'a str,
    pub(super) zone: &'a str,
    pub(super) machine_type: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(spec: &'a Spec) -> Self {
        match spec {
            Spec::Machine {
                region,
                zone,
                machine_type,
                ..
            } => Self {
                region,
                zone,
                machine_type,
            },
            Spec::Network { region, .. } | Spec::Firewall { region, .. } => Self {
                region,
                ..Self::default()
            },
            Spec::Host { .. }
            | Spec::Peer { .. }
            | Spec::Links { .. }
            | Spec::EtcdMember { .. }
            | Spec::ControlPlane { .. }
            | Spec::Worker { .. }
            | Spec::Balancer { .. }
            | Spec::ApiProxy { .. }
            | Spec::RecordSet { .. }
            | Spec::StoragePool { .. } => Self::default(),
        }
    }
}

/// How an API is down; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Down {
    /// It answers 503.
    Unavailable,
    /// Packets vanish: connections time out, answers under way are lost.
    Silent,
}

/// What goes wrong. Rates are probabilities per request or per machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// Nothing can be asked or changed; what runs, runs on; what is being built waits.
    ControlDown(Down),
    /// Machines do not come up. That those that run cannot be reached is the network's matter.
    DataDown,
    /// Request limits are so many times smaller and slower.
    Throttle {
        /// How many times.
        divisor: u32,
    },
    /// No more requests than this, whatever the provider's own limits.
    Rate {
        /// Requests that may come at once.
        burst: u32,
        /// Time until one more is allowed.
        interval: Span,
    },
    /// Requests fail with 500 and are not carried out.
    Errors {
        /// How often.
        rate: f64,
    },
    /// No answer comes: every other such request was carried out.
    LostReplies {
        /// How often.
        rate: f64,
    },
    /// No more than so many machines.
    Quota {
        /// Those that exist stay.
        machines: u32,
    },
    /// No machine to be had.
    StockOut,
    /// Machines take longer to build.
    Slow {
        /// How many times.
        factor: f64,
    },
    /// Machines end in an error instead of running.
    FailedBuilds {
        /// How often.
        rate: f64,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlDown(Down::Silent) => f.write_str("API unreachable"),
            Self::ControlDown(Down::Unavailable) => f.write_str("API answers 503"),
            Self::DataDown => f.write_str("machines do not come up"),
            Self::Throttle { divisor } => write!(f, "request limits divided by {divisor}"),
            Self::Rate { burst, interval } => {
                write!(f, "{burst} requests, then one each {interval}")
            }
            Self::Errors { rate } => write!(f, "{:.1}% of requests fail", rate * 100.0),
            Self::LostReplies { rate } => write!(f, "{:.1}% of answers lost", rate * 100.0),
            Self::Quota { machines } => write!(f, "quota of {machines} machines"),
            Self::StockOut => f.write_str("no machines left"),
            Self::Slow { factor } => write!(f, "machines take {factor:.1} times as long"),
            Self::FailedBuilds { rate } => write!(f, "{:.1}% of machines fail", rate * 100.0),
        }
    }
}

/// Names a trouble that was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TroubleId(pub u32);

#[derive(Debug, Clone)]
struct Case {
    scope: Scope,
    trouble: Trouble,
    on: bool,
    hits: u64,
}

/// All troubles of a run, also those that are over: their hits prove that they were there.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles {
    cases: BTreeMap<TroubleId, Case>,
    on: u32,
}

impl Troubles {
    pub(super) fn begin(&mut self, scope: Scope, trouble: Trouble) -> TroubleId {
        let id = TroubleId(self.cases.len() as u32);
        let case = Case {
            scope,
            trouble,
            on: true,
            hits: 0,
        };
        self.cases.insert(id, case);
        self.on += 1;
        id
    }

    /// Switches one off; none where it is off already.
    pub(super) fn end(&mut self, id: TroubleId) -> Option<(&Scope, Trouble)> {
        let case = self.cases.get_mut(&id).filter(|case| case.on)?;
        case.on = false;
        self.on -= 1;
        Some((&case.scope, case.trouble))
    }

    pub(super) fn hits(&self, id: TroubleId) -> u64 {
        self.cases.get(&id).map_or(0, |case| case.hits)
    }

    /// The strongest answer of `pick` among troubles that hold here, counted as a hit. Those for
    /// which `pick` gives nothing are not counted.
    pub(super) fn strongest<T: PartialOrd>(
        &mut self,
        provider: &str,
        place: Place<'_>,
        mut pick: impl FnMut(Trouble) -> Option<T>,
    ) -> Option<T> {
        if self.on == 0 {
            return None;
        }
        let mut best: Option<T> = None;
        for case in self.cases.values_mut() {
            if !case.on || !case.scope.holds(provider, place) {
                continue;
            }
            let Some(found) = pick(case.trouble) else {
                continue;
            };
            case.hits += 1;
            if best.as_ref().is_none_or(|best| found > *best) {
                best = Some(found);
            }
        }
        best
    }

    /// How the API is down for something here.
    pub(super) fn down(&mut self, provider: &str, place: Place<'_>) -> Option<Down> {
        self.strongest(provider, place, |trouble| {
            if let Trouble::ControlDown(down) = trouble {
                return Some(down);
            }
            None
        })
    }

    /// How many times smaller request limits are here.
    pub(super) fn divisor(&mut self, provider: &str, place: Place<'_>) -> u32 {
        let found = self.strongest(provider, place, |trouble| {
            if let Trouble::Throttle { divisor } = trouble {
                return Some(divisor);
            }
            None
        });
        found.unwrap_or(1)
    }

    /// The tightest extra limit here.
    pub(super) fn rate(&mut self, provider: &str, place: Place<'_>) -> Option<Limit> {
        let found = self.strongest(provider, place, |trouble| {
            if let Trouble::Rate { burst, interval } = trouble {
                return Some((interval, burst));
            }
            None
        });
        found.map(|(interval, burst)| Limit {
            counted: Counted::Any,
            burst,
            interval,
        })
    }

    /// How many times longer machines take to build here.
    pub(super) fn slowness(&mut self, provider: &str, place: Place<'_>) -> f64 {
        let found = self.strongest(provider, place, |trouble| {
            if let Trouble::Slow { factor } = trouble {
                return Some(factor);
            }
            None
        });
        found.unwrap_or(1.0)
    }

    /// Whether nothing new comes up here: machines that boot need power, those being built the API.
    pub(super) fn stuck(&mut self, provider: &str, place: Place<'_>, booting: bool) -> bool {
        let held = |trouble| {
            let api = matches!(trouble, Trouble::ControlDown(_));
            (trouble == Trouble::DataDown || api && !booting).then_some(())
        };
        self.strongest(provider, place, held).is_some()
    }
}

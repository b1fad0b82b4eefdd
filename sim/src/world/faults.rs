//! What scenarios do to the world: whom a fault hits, its beginning and its end.

use super::World;
use super::stage::Host;
use crate::cloud::{Down, Scope, Trouble, TroubleId};
use crate::net::{Effect, Endpoint, FaultId};
use crate::outcome::Track;
use crate::scenario::{Condition, Fault, FaultVerb, Pick, Plane, Process, Target};
use quorate_engine::random::{Stream, shuffle};
use quorate_engine::resource::{ResourceId, Spec};
use quorate_engine::time::Span;
use std::collections::BTreeSet;

/// A fault that is on, and how to end it.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    troubles: Vec<TroubleId>,
    links: Vec<FaultId>,
    down: Vec<ResourceId>,
    paused: Vec<ResourceId>,
    dns: Vec<String>,
    still: Vec<(u16, Process)>,
    still_names: Vec<u16>,
    /// Whom or what it hit, for the timeline.
    pub label: String,
}

/// Why a fault could not be applied: nothing fits its target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing fits the target of {verb:?}")]
pub struct FaultError {
    /// What should have gone wrong.
    pub verb: FaultVerb,
}

impl World {
    /// Lets a fault begin.
    ///
    /// # Errors
    /// If nothing fits its target.
    pub fn begin(&mut self, fault: &Fault, luck: &mut Stream) -> Result<Applied, FaultError> {
        let applied = match fault.verb {
            FaultVerb::ProviderOutage => self.outage(fault),
            FaultVerb::ApiThrottle
            | FaultVerb::ApiError
            | FaultVerb::LostReply
            | FaultVerb::Quota
            | FaultVerb::StockOut => self.trouble(fault),
            FaultVerb::NodeKill
            | FaultVerb::NodePause
            | FaultVerb::NodeReboot
            | FaultVerb::NodeDestroy => self.strike(fault, luck),
            FaultVerb::ProcessKill | FaultVerb::ProcessPause => self.hit_process(fault, luck),
            FaultVerb::Partition | FaultVerb::Delay | FaultVerb::Loss => self.impair(fault, luck),
            FaultVerb::DnsOutage => self.dns_outage(fault),
            FaultVerb::OrchestratorCrash => {
                self.crash_orchestrator();
                Some(Applied {
                    label: "orchestrator dies".to_owned(),
                    ..Applied::default()
                })
            }
        };
        let Some(applied) = applied else {
            return Err(FaultError { verb: fault.verb });
        };
        self.stage.note(Track::Fault, applied.label.clone());
        self.with_traffic(|traffic, ground| traffic.mark(ground));
        self.paths_changed();
        self.settle();
        Ok(applied)
    }

    /// Ends a fault.
    pub fn end(&mut self, applied: Applied) {
        let lasting = !applied.troubles.is_empty()
            || !applied.links.is_empty()
            || !applied.down.is_empty()
            || !applied.paused.is_empty()
            || !applied.dns.is_empty()
            || !applied.still.is_empty()
            || !applied.still_names.is_empty();
        if !lasting {
            return;
        }
        self.stage
            .note(Track::Fault, format!("over: {}", applied.label));
        for id in applied.troubles {
            self.with_cloud(|cloud, ground| cloud.lift(ground, id));
        }
        for id in applied.links {
            let now = self.stage.now();
            let usable = self.stage.net.lift(now, id);
            if usable > now {
                self.stage.queue.at(usable, super::Happening::PathsChanged);
            }
        }
        for machine in applied.down {
            self.with_cloud(|cloud, ground| cloud.start(ground, &machine));
        }
        for machine in applied.paused {
            self.with_cloud(|cloud, ground| cloud.resume(ground, &machine));
        }
        for (host, process) in applied.still {
            self.thaw(host, process);
        }
        for number in applied.still_names {
            self.traffic.set_names_still(number, false);
        }
        for provider in applied.dns {
            let number = self.dns_provider(&provider);
            self.with_traffic(|traffic, ground| {
                traffic.set_dns_planes(ground, number, true, true);
            });
        }
        self.paths_changed();
        self.settle();
    }

    /// Whether a condition holds now.
    #[must_use]
    pub fn holds(&self, condition: Condition) -> bool {
        let etcd = self.etcd.as_ref();
        match condition {
            Condition::Converged => self.control.converged_at.is_some(),
            Condition::Changing => self.is_changing(),
            Condition::Leaderless => self
                .watch
                .leader()
                .last()
                .is_some_and(|(_, leader)| leader.is_none()),
            Condition::LearnerInFlight => {
                etcd.is_some_and(|etcd| !etcd.config().learners.is_empty())
            }
        }
    }

    fn outage(&mut self, fault: &Fault) -> Option<Applied> {
        let target = fault.target.as_ref()?;
        let provider = target.provider.clone()?;
        let both = fault.planes.is_empty();
        let control = both || fault.planes.contains(&Plane::Control);
        let data = both || fault.planes.contains(&Plane::Data);
        let scope = scope(target)?;
        let known = self
            .manifest
            .spec
            .providers
            .iter()
            .any(|p| p.name == provider);
        if !known {
            return None;
        }
        let mut applied = Applied::default();
        if control {
            let down = Trouble::ControlDown(Down::Unavailable);
            let id = self.with_cloud(|cloud, ground| cloud.inject(ground, scope.clone(), down));
            applied.troubles.push(id);
        }
        if data {
            let inside = |e: &Endpoint| {
                e.place.as_ref().is_some_and(|place| {
                    place.provider == provider
                        && target
                            .region
                            .as_ref()
                            .is_none_or(|region| *region == place.region)
                        && target.zone.as_ref().is_none_or(|zone| *zone == place.zone)
                })
            };
            let id = self
                .with_cloud(|cloud, ground| cloud.inject(ground, scope.clone(), Trouble::DataDown));
            applied.troubles.push(id);
            let now = self.stage.now();
            // Nothing inside answers anything: not even its neighbours in the same provider.
            let crosses = |a: &Endpoint, b: &Endpoint| inside(a) || inside(b);
            let (id, hit) = self.stage.net.inject(now, Effect::Cut, crosses);
            applied.links.push(id);
            if hit == 0 && !control {
                return None;
            }
        }
        let what = match (control, data) {
            (true, true) => "is gone",
            (true, false) => "API is down, its machines run",
            (false, _) => "machines are cut off, its API works",
        };
        applied.label = format!("{scope} {what}");
        Some(applied)
    }

    fn trouble(&mut self, fault: &Fault) -> Option<Applied> {
        let scope = scope(fault.target.as_ref()?)?;
        let known = self
            .manifest
            .spec
            .providers
            .iter()
            .any(|p| p.name == scope.provider);
        if !known {
            return None;
        }
        let share = fault
            .share
            .map_or(1.0, quorate_engine::units::Percent::fraction);
        let trouble = match fault.verb {
            FaultVerb::ApiThrottle => {
                let rate_permille = fault.rate.map_or(100, |rate| rate.0).max(1);
                let interval = Span(Span::from_secs(1_000).0 / rate_permille);
                Trouble::Rate { burst: 1, interval }
            }
            FaultVerb::ApiError => Trouble::Errors { rate: share },
            FaultVerb::LostReply => Trouble::LostReplies { rate: share },
            FaultVerb::Quota => Trouble::Quota {
                machines: fault.limit.unwrap_or(0),
            },
            FaultVerb::StockOut => Trouble::StockOut,
            _ => panic!("{:?} is no trouble of an API", fault.verb),
        };
        let label = format!("{scope}: {trouble}");
        let id = self.with_cloud(|cloud, ground| cloud.inject(ground, scope, trouble));
        Some(Applied {
            troubles: vec![id],
            label,
            ..Applied::default()
        })
    }

    fn strike(&mut self, fault: &Fault, luck: &mut Stream) -> Option<Applied> {
        let target = fault.target.clone().unwrap_or_default();
        let machines = self.pick(&target, None, luck);
        let mut applied = Applied::default();
        let mut hit = Vec::new();
        for machine in machines {
            let struck = self.with_cloud(|cloud, ground| match fault.verb {
                FaultVerb::NodeKill => cloud.kill(ground, &machine),
                FaultVerb::NodePause => cloud.pause(ground, &machine),
                FaultVerb::NodeReboot => cloud.reboot(ground, &machine),
                _ => cloud.destroy(ground, &machine),
            });
            if !struck {
                continue;
            }
            hit.push(super::stage::label(&machine));
            match fault.verb {
                FaultVerb::NodeKill => applied.down.push(machine),
                FaultVerb::NodePause => applied.paused.push(machine),
                _ => {}
            }
        }
        let what = match fault.verb {
            FaultVerb::NodeKill => "power cut",
            FaultVerb::NodePause => "paused",
            FaultVerb::NodeReboot => "reboots",
            _ => "destroyed",
        };
        applied.label = format!("{}: {what}", hit.join(", "));
        (!hit.is_empty()).then_some(applied)
    }

    fn hit_process(&mut self, fault: &Fault, luck: &mut Stream) -> Option<Applied> {
        let process = fault.process?;
        if process == Process::NameServer {
            return self.hit_names(fault);
        }
        let kills = fault.verb == FaultVerb::ProcessKill;
        let target = fault.target.clone().unwrap_or_default();
        let mut applied = Applied::default();
        let mut hit = Vec::new();
        for machine in self.pick(&target, Some(process), luck) {
            let host = self.stage.find(&machine).expect("who is picked exists");
            if kills && self.kill_process(host, process) {
                hit.push(super::stage::label(&machine));
            } else if !kills && self.freeze(host, process) {
                hit.push(super::stage::label(&machine));
                applied.still.push((host, process));
            }
        }
        let what = if kills { "killed" } else { "stands still" };
        applied.label = format!("{}: {} {what}", hit.join(", "), process.name());
        (!hit.is_empty()).then_some(applied)
    }

    /// Name servers of ours: nobody answers, until they are back or go on.
    fn hit_names(&mut self, fault: &Fault) -> Option<Applied> {
        let provider = fault.target.as_ref()?.provider.clone()?;
        let number = self.dns_numbers.get(&provider).copied()?;
        let mut applied = Applied {
            label: format!("{provider}: name servers stand still"),
            ..Applied::default()
        };
        if fault.verb == FaultVerb::ProcessKill {
            applied.label = format!("{provider}: name servers killed");
            self.with_traffic(|traffic, ground| {
                traffic.set_dns_planes(ground, number, true, false);
            });
            let back = self.names_back();
            self.stage.after(back, super::Happening::NamesBack(number));
        } else {
            self.traffic.set_names_still(number, true);
            applied.still_names.push(number);
        }
        Some(applied)
    }

    /// Machines that exist, fit and have the process, picked as asked, in order of id.
    fn pick(
        &self,
        target: &Target,
        process: Option<Process>,
        luck: &mut Stream,
    ) -> Vec<ResourceId> {
        let mut fitting: Vec<ResourceId> = self
            .stage
            .by_machine
            .iter()
            .filter(|(_, host)| self.fits(target, **host))
            .filter(|(machine, _)| process.is_none_or(|process| self.carries(machine, process)))
            .map(|(machine, _)| machine.clone())
            .collect();
        let count = match target.pick {
            Pick::All => return fitting,
            Pick::Leader => {
                let leader = self.etcd.as_ref().and_then(crate::etcd::Etcd::leader);
                let host = leader.map(|leader| self.stage.host_of(leader));
                fitting.retain(|machine| self.stage.find(machine) == host && host.is_some());
                return fitting;
            }
            Pick::One => 1,
            Pick::Minority => fitting.len().saturating_sub(1) / 2,
            Pick::Majority => fitting.len() / 2 + 1,
        };
        shuffle(&mut fitting, luck);
        fitting.truncate(count);
        fitting.sort_unstable();
        fitting
    }

    fn fits(&self, target: &Target, host: u16) -> bool {
        let Some(host) = self.stage.host(host).filter(|host| host.alive) else {
            return false;
        };
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        let pool = host.machine.as_str().split('/').nth(1).unwrap_or_default();
        is(&target.provider, &host.place.provider)
            && is(&target.region, &host.place.region)
            && is(&target.zone, &host.place.zone)
            && is(&target.pool, pool)
            && is(&target.name, &host.label)
            && self.fits_role(target, host)
            && self.fits_label(target, pool)
    }

    fn carries(&self, machine: &ResourceId, process: Process) -> bool {
        let fact = self.cloud.machine(machine);
        fact.is_some_and(|fact| match &fact.resource.spec {
            Spec::Machine { roles, .. } => roles.iter().any(|role| process.runs_on(*role)),
            _ => false,
        })
    }

    fn fits_role(&self, target: &Target, host: &Host) -> bool {
        let Some(role) = target.role else { return true };
        let fact = self.cloud.machine(&host.machine);
        fact.is_some_and(|fact| {
            matches!(&fact.resource.spec, Spec::Machine { roles, .. } if roles.contains(&role))
        })
    }

    fn fits_label(&self, target: &Target, pool: &str) -> bool {
        let Some(label) = &target.label else {
            return true;
        };
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        let pools = &self.manifest.spec.node_pools;
        let pool = pools.iter().find(|p| p.name == pool);
        pool.is_some_and(|pool| pool.labels.get(key).is_some_and(|has| has == value))
    }

    /// Endpoint names on one side of a fault of the network.
    fn side(&self, target: &Target, luck: &mut Stream) -> BTreeSet<String> {
        let machines = self.pick(target, None, luck);
        let hosts = machines
            .iter()
            .filter_map(|machine| self.stage.find(machine));
        hosts
            .map(|host| self.stage.net.endpoint(host).name.clone())
            .collect()
    }

    fn impair(&mut self, fault: &Fault, luck: &mut Stream) -> Option<Applied> {
        let (from, to) = match fault.between.as_slice() {
            [from, to] => {
                let from = self.side(from, luck);
                let mut to = self.side(to, luck);
                to.retain(|name| !from.contains(name)); // nobody is cut off from itself
                (from, to)
            }
            _ => {
                // One side is given: the other is everybody else.
                let one = self.side(fault.target.as_ref()?, luck);
                let all = self.stage.net.endpoints().map(|(_, e)| e.name.clone());
                let others = all.filter(|name| !one.contains(name)).collect();
                (one, others)
            }
        };
        if from.is_empty() || to.is_empty() {
            return None;
        }
        let effect = match fault.verb {
            FaultVerb::Partition => Effect::Cut,
            FaultVerb::Delay => Effect::Delay {
                add: fault.add.map_or(Span::ZERO, |add| add.0),
                jitter: fault.jitter.map_or(Span::ZERO, |jitter| jitter.0),
            },
            _ => Effect::Loss {
                permille: fault.share.map_or(1_000, |s| s.0 / 1_000) as u32,
            },
        };
        let symmetric = fault.symmetric;
        let hits = |a: &Endpoint, b: &Endpoint| {
            let back = to.contains(&a.name) && from.contains(&b.name);
            let there = from.contains(&a.name) && to.contains(&b.name);
            back || (symmetric && there)
        };
        let now = self.stage.now();
        let (id, count) = self.stage.net.inject(now, effect, hits);
        if count == 0 {
            return None;
        }
        let names = |side: &BTreeSet<String>| side_label(side, &self.stage.net);
        let arrow = if symmetric { "and" } else { "does not hear" };
        let what = match fault.verb {
            FaultVerb::Partition if symmetric => "partition between",
            FaultVerb::Partition => "one-way partition:",
            FaultVerb::Delay => "delay between",
            _ => "loss between",
        };
        let label = format!("{what} {} {arrow} {}", names(&from), names(&to));
        Some(Applied {
            links: vec![id],
            label,
            ..Applied::default()
        })
    }

    fn dns_outage(&mut self, fault: &Fault) -> Option<Applied> {
        let provider = fault.target.as_ref()?.provider.clone()?;
        let number = self.dns_numbers.get(&provider).copied()?;
        self.with_traffic(|traffic, ground| {
            traffic.set_dns_planes(ground, number, false, false);
        });
        let scope = Scope::provider(&*provider);
        let down = Trouble::ControlDown(Down::Silent);
        let id = self.with_cloud(|cloud, ground| cloud.inject(ground, scope, down));
        let label = format!("DNS provider {provider} is gone");
        Some(Applied {
            troubles: vec![id],
            dns: vec![provider],
            label,
            ..Applied::default()
        })
    }
}

fn scope(target: &Target) -> Option<Scope> {
    let mut scope = Scope::provider(target.provider.clone()?);
    if let Some(region) = &target.region {
        scope = scope.region(region.clone());
    }
    if let Some(zone) = &target.zone {
        scope = scope.zone(zone.clone());
    }
    Some(scope)
}

/// `control-htz/1`, or how many there are.
fn side_label(side: &BTreeSet<String>, net: &crate::net::Net) -> String {
    let count = side.len();
    let total = net.endpoints().count();
    let short = |name: &String| {
        let name = name.split('#').next().unwrap_or(name);
        name.split_once('/')
            .map_or(name, |(_, rest)| rest)
            .to_owned()
    };
    if count * 2 > total {
        "everybody else".to_owned()
    } else if count <= 3 {
        side.iter().map(short).collect::<Vec<_>>().join(", ")
    } else {
        format!("{count} machines")
    }
}

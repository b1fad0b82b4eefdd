//! Mistakes of a scenario that show only beside its manifest: names, and what a fault or an
//! expectation needs to mean anything. All at once.

use super::expect::bound;
use crate::scenario::{Expectation, Fault, FaultVerb, Measure, Process, Scenario, Start, Target};
use quorate_engine::diagnostic::{Finding, Path, nearest};
use quorate_engine::manifest::{Manifest, ProviderKind};
use std::collections::BTreeSet;

/// Every mistake, each with its place.
#[must_use]
pub fn judge(scenario: &Scenario, manifest: &Manifest) -> Vec<Finding> {
    let mut judge = Judge {
        scenario,
        manifest,
        found: Vec::new(),
    };
    judge.phases();
    judge.clients();
    for (index, expected) in scenario.expect.iter().enumerate() {
        judge.expectation(expected, &Path::root().field("expect").index(index));
    }
    if scenario.expect.is_empty() {
        let path = Path::root().field("expect");
        let message = "nothing is expected, so the scenario proves nothing";
        judge.error(
            "nothing-expected",
            &path,
            message,
            "expect at least one measure",
        );
    }
    judge.found
}

struct Judge<'a> {
    scenario: &'a Scenario,
    manifest: &'a Manifest,
    found: Vec<Finding>,
}

impl Judge<'_> {
    fn error(
        &mut self,
        code: &'static str,
        path: &Path,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.found
            .push(Finding::error(code, path, message).fix(fix));
    }

    fn known(&mut self, path: &Path, what: &str, name: &str, known: &[&str]) {
        if known.contains(&name) {
            return;
        }
        let fix = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("the manifest has no {what}"),
            None => format!("use one of: {}", known.join(", ")),
        };
        self.error(
            "unknown-name",
            path,
            format!("there is no {what} `{name}`"),
            fix,
        );
    }

    fn phases(&mut self) {
        let path = Path::root().field("phases");
        if self.scenario.phases.is_empty() {
            self.error(
                "no-phase",
                &path,
                "there is no phase",
                "add one with a duration",
            );
        }
        let mut names = BTreeSet::new();
        let scenario = self.scenario;
        for (index, phase) in scenario.phases.iter().enumerate() {
            let at = path.index(index);
            if !names.insert(&phase.name) {
                let message = format!("two phases are called `{}`", phase.name);
                self.error(
                    "duplicate-name",
                    &at.field("name"),
                    message,
                    "rename one of them",
                );
            }
            if phase.lasts.0.0 == 0 {
                self.error(
                    "empty-phase",
                    &at.field("for"),
                    "the phase takes no time",
                    "give it some",
                );
            }
            for (number, fault) in phase.faults.iter().enumerate() {
                self.fault(fault, phase.lasts.0, &at.field("faults").index(number));
            }
            for (number, change) in phase.changes.iter().enumerate() {
                let at = at.field("changes").index(number);
                if change.apply.is_some() == change.scale.is_some() {
                    let message = "a change either applies a manifest or scales a workload";
                    self.error(
                        "bad-change",
                        &at,
                        message,
                        "give exactly one of `apply` and `scale`",
                    );
                }
                if let Some(scale) = &change.scale {
                    let names: Vec<&str> = self
                        .manifest
                        .spec
                        .workloads
                        .iter()
                        .map(|w| w.name.as_str())
                        .collect();
                    let at = at.field("scale").field("workload");
                    self.known(&at, "workload", &scale.workload, &names);
                }
            }
        }
    }

    fn fault(&mut self, fault: &Fault, phase: quorate_engine::time::Span, path: &Path) {
        if fault.at.0 >= phase {
            let message = "the fault would begin after its phase has ended";
            self.error(
                "fault-too-late",
                &path.field("at"),
                message,
                "let it begin earlier",
            );
        }
        if fault.every.is_some_and(|every| every.0.0 == 0) {
            self.error(
                "bad-every",
                &path.field("every"),
                "it repeats without a pause",
                "give it one",
            );
        }
        self.needs(fault, path);
        let sides = fault.between.iter().enumerate();
        for (index, target) in sides {
            self.target(target, &path.field("between").index(index));
        }
        if let Some(target) = &fault.target {
            self.target(target, &path.field("where"));
        }
    }

    /// What each fault needs to be told.
    fn needs(&mut self, fault: &Fault, path: &Path) {
        let provider = fault
            .target
            .as_ref()
            .is_some_and(|target| target.provider.is_some());
        let (ok, message) = match fault.verb {
            FaultVerb::ProviderOutage | FaultVerb::StockOut | FaultVerb::DnsOutage => (
                provider,
                "it needs to know the provider: `where: { provider: NAME }`",
            ),
            FaultVerb::ApiThrottle => (
                provider && fault.rate.is_some(),
                "it needs a provider in `where`, and a `rate`",
            ),
            FaultVerb::ApiError | FaultVerb::LostReply => (
                provider && fault.share.is_some(),
                "it needs a provider in `where`, and a `share`",
            ),
            FaultVerb::Quota => (
                provider && fault.limit.is_some(),
                "it needs a provider in `where`, and a `limit`",
            ),
            FaultVerb::NodeKill
            | FaultVerb::NodePause
            | FaultVerb::NodeReboot
            | FaultVerb::NodeDestroy => (fault.target.is_some(), "it needs a target in `where`"),
            FaultVerb::ProcessKill | FaultVerb::ProcessPause => return self.process(fault, path),
            FaultVerb::Partition => (
                two_sides(fault),
                "it needs two targets in `between`, or `where`",
            ),
            FaultVerb::Delay => (
                two_sides(fault) && fault.add.is_some(),
                "it needs two targets, and `add`",
            ),
            FaultVerb::Loss => (
                two_sides(fault) && fault.share.is_some(),
                "it needs two targets, and a `share`",
            ),
            FaultVerb::OrchestratorCrash => (true, ""),
        };
        if !ok {
            self.error("fault-incomplete", path, message, "add what is missing");
        }
    }

    /// A fault of a process names it, whose it is, and lasts only as long as a process stands still.
    fn process(&mut self, fault: &Fault, path: &Path) {
        let Some(process) = fault.process else {
            let message = "it needs to know which `process`";
            let fix = "name one: etcd, kube-apiserver, kubelet, haproxy or name-server";
            return self.error("fault-incomplete", path, message, fix);
        };
        let target = fault.target.clone().unwrap_or_default();
        if fault.target.is_none() {
            let message = "it needs a target in `where`";
            self.error("fault-incomplete", path, message, "add what is missing");
        }
        if fault.verb == FaultVerb::ProcessKill && fault.lasts.is_some() {
            let message = "a process that was killed is started again by whoever watches over it";
            let fix = "leave `for` out, or let it stand still: `do: process.pause`";
            self.error("fault-without-end", &path.field("for"), message, fix);
        }
        let at = path.field("where");
        if process == Process::NameServer {
            let spec = &self.manifest.spec;
            let given = target.provider.as_deref();
            let found = spec
                .providers
                .iter()
                .find(|p| Some(p.name.as_str()) == given);
            if found.is_none_or(|provider| provider.kind != ProviderKind::Builtin) {
                let message = "only name servers of our own are processes that one can reach";
                let fix = "name a provider of type `builtin` in `where`";
                self.error("no-such-process", &at, message, fix);
            }
        } else if let Some(role) = target.role
            && !process.runs_on(role)
        {
            let role = serde_json::to_string(&role).expect("a role is plain data");
            let (name, role) = (process.name(), role.trim_matches('"'));
            let message = format!("no {name} runs on machines of role {role}");
            let fix = "give another role, or leave it out: who has the process is found";
            self.error("no-such-process", &at.field("role"), message, fix);
        }
    }

    fn target(&mut self, target: &Target, path: &Path) {
        let manifest = self.manifest;
        if let Some(provider) = &target.provider {
            let names: Vec<&str> = manifest
                .spec
                .providers
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            self.known(&path.field("provider"), "provider", provider, &names);
        }
        if let Some(pool) = &target.pool {
            let names: Vec<&str> = manifest
                .spec
                .node_pools
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            self.known(&path.field("pool"), "pool", pool, &names);
        }
    }

    fn clients(&mut self) {
        let path = Path::root().field("clients");
        let scenario = self.scenario;
        if scenario.start == Start::Empty && !scenario.clients.is_empty() {
            let message = "clients have nothing to talk to in a world that starts empty";
            self.error("clients-too-early", &path, message, "use `start: built`");
        }
        let mut ways: Vec<String> = Vec::new();
        for balancer in &self.manifest.spec.load_balancers {
            ways.extend(
                balancer
                    .roles
                    .iter()
                    .map(|role| format!("{}/{}", balancer.name, role.name)),
            );
        }
        let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
        for (index, known) in scenario.round_trips.iter().enumerate() {
            let at = Path::root()
                .field("roundTrips")
                .index(index)
                .field("between");
            let providers = &self.manifest.spec.providers;
            let names: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
            for provider in &known.between {
                self.known(&at, "provider", provider, &names);
            }
        }
        for (index, clients) in scenario.clients.iter().enumerate() {
            let at = path.index(index).field("through");
            self.known(&at, "role of a load balancer", &clients.through, &ways);
        }
    }

    fn expectation(&mut self, expected: &Expectation, path: &Path) {
        let scenario = self.scenario;
        if let Some(phase) = &expected.phase {
            let names: Vec<&str> = scenario.phases.iter().map(|p| p.name.as_str()).collect();
            self.known(&path.field("in"), "phase", phase, &names);
        }
        if expected.at_most.is_none() && expected.at_least.is_none() {
            let message = "an expectation needs a bound";
            self.error("no-bound", path, message, "give `atMost` or `atLeast`");
        }
        for (name, amount) in [
            ("atMost", &expected.at_most),
            ("atLeast", &expected.at_least),
        ] {
            if amount
                .as_ref()
                .is_some_and(|amount| bound(expected.measure, amount).is_none())
            {
                let message = format!("the bound is not {}", unit(expected.measure));
                self.error(
                    "bad-bound",
                    &path.field(name),
                    message,
                    example(expected.measure),
                );
            }
        }
        self.subject(expected, path);
    }

    /// Of whom something is measured.
    fn subject(&mut self, expected: &Expectation, path: &Path) {
        let spec = &self.manifest.spec;
        let clients = self
            .scenario
            .clients
            .iter()
            .map(|clients| clients.name.as_str());
        let (what, known): (&str, Vec<&str>) = match expected.measure {
            Measure::Availability if expected.of.is_none() => return,
            Measure::Availability | Measure::Recovery | Measure::FailedOutsideElections => {
                ("population of clients", clients.collect())
            }
            Measure::Machines => return, // a pool of this manifest or of one applied later
            Measure::Voters | Measure::FailedCalls => return, // likewise a provider
            Measure::PodsMissing => (
                "workload",
                spec.workloads.iter().map(|w| w.name.as_str()).collect(),
            ),
            Measure::Diagnosed => ("diagnostic", quorate_engine::manifest::CODES.to_vec()),
            Measure::Leaderless
            | Measure::Converged
            | Measure::LostWrites
            | Measure::Replaced
            | Measure::Elections
            | Measure::Crashes => return,
        };
        match &expected.of {
            Some(of) => self.known(&path.field("of"), what, of, &known),
            None => {
                let message = format!("it is measured of a {what}");
                self.error("no-subject", path, message, "name it in `of`");
            }
        }
    }
}

fn two_sides(fault: &Fault) -> bool {
    fault.between.len() == 2 || (fault.between.is_empty() && fault.target.is_some())
}

fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::Leaderless | Measure::Converged | Measure::Recovery | Measure::PodsMissing => {
            "a duration"
        }
        Measure::Availability => "a percentage",
        Measure::FailedOutsideElections
        | Measure::LostWrites
        | Measure::Replaced
        | Measure::Machines
        | Measure::Voters
        | Measure::Elections
        | Measure::Crashes
        | Measure::Diagnosed
        | Measure::FailedCalls => "a count",
    }
}

fn example(measure: Measure) -> &'static str {
    match unit(measure) {
        "a duration" => "write it like `90s`",
        "a percentage" => "write it like `99.9%`",
        _ => "write it like `3`",
    }
}

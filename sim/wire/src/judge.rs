//! Whether a scenario fits on the wire, and if not, why: what it needs that is not there.

use crate::cast::Cast;
use quorate_engine::diagnostic::{Finding, Path};
use quorate_engine::manifest::Manifest;
use quorate_sim::scenario::{Clients, Fault, FaultVerb, Phase, Pick, Plane, Scenario, Start};

/// The code of what does not fit.
const CODE: &str = "not-on-the-wire";

/// What does not fit, each with its place. Mistakes of the scenario itself are
/// [`quorate_sim::run::judge`]'s to find, before.
#[must_use]
pub fn judge(scenario: &Scenario, manifest: &Manifest) -> Vec<Finding> {
    let root = Path::root();
    let mut found = Vec::new();
    if scenario.start == Start::Empty {
        let at = root.field("start");
        found.push(misfit(
            &at,
            "nobody builds a cluster on the wire",
            "start with a built one",
        ));
    }
    if scenario.clients.is_empty() {
        let message = "nobody asks for a name, and the wire has nothing else to show";
        found.push(misfit(&root.field("clients"), message, "add clients"));
    }
    for (index, clients) in scenario.clients.iter().enumerate() {
        found.extend(population(clients, &root.field("clients").index(index)));
    }
    for (index, phase) in scenario.phases.iter().enumerate() {
        self::phase(phase, &root.field("phases").index(index), &mut found);
    }
    if found.is_empty()
        && let Err(finding) = Cast::new(scenario, manifest)
    {
        found.push(*finding);
    }
    found
}

/// Something that is not on the wire.
pub(crate) fn misfit(at: &Path, message: impl Into<String>, fix: &str) -> Finding {
    Finding::error(CODE, at, message).fix(fix)
}

fn population(clients: &Clients, at: &Path) -> Option<Finding> {
    clients.happy_eyeballs.then(|| {
        let at = at.field("happyEyeballs");
        misfit(&at, "the wire has IPv4 alone: nothing races", "take it out")
    })
}

fn phase(phase: &Phase, at: &Path, found: &mut Vec<Finding>) {
    if !phase.changes.is_empty() {
        let message = "nobody carries a change out on the wire";
        found.push(misfit(&at.field("changes"), message, "take it out"));
    }
    if phase.unavailable_by_design {
        let message = "what is unavailable by design is etcd, and the wire has none";
        found.push(misfit(
            &at.field("unavailableByDesign"),
            message,
            "take it out",
        ));
    }
    for (number, one) in phase.faults.iter().enumerate() {
        if let Some((message, fix)) = fault(one) {
            let at = at.field("faults").index(number);
            found.push(misfit(&at, message, fix));
        }
    }
}

/// Why a fault cannot be tried, and what to do about it.
fn fault(fault: &Fault) -> Option<(&'static str, &'static str)> {
    let model = "take it out, or run the scenario on the model";
    let why = match fault.verb {
        FaultVerb::ProviderOutage if fault.planes == [Plane::Control] => {
            "a provider's API is not on the wire"
        }
        FaultVerb::Partition if !fault.symmetric => "a link on the wire is held in both directions",
        FaultVerb::Partition if !fault.between.is_empty() => {
            return Some((
                "load balancers and their backends share no link on the wire",
                "name one side in `where`: it is cut off from everybody else",
            ));
        }
        FaultVerb::ProviderOutage
        | FaultVerb::Partition
        | FaultVerb::NodeKill
        | FaultVerb::NodePause
        | FaultVerb::NodeDestroy
        | FaultVerb::DnsOutage => return repeated(fault),
        FaultVerb::NodeReboot => {
            return Some((
                "how long a machine takes to boot is not known on the wire",
                "use `node.kill` and say `for` how long",
            ));
        }
        FaultVerb::ProcessKill | FaultVerb::ProcessPause => "on the wire a machine is one process",
        FaultVerb::Delay | FaultVerb::Loss => {
            "the wire's TCP never sends again: what is late or lost would break connections"
        }
        FaultVerb::ApiThrottle
        | FaultVerb::ApiError
        | FaultVerb::LostReply
        | FaultVerb::Quota
        | FaultVerb::StockOut
        | FaultVerb::OrchestratorCrash => "there is no orchestrator on the wire",
    };
    Some((why, model))
}

fn repeated(fault: &Fault) -> Option<(&'static str, &'static str)> {
    if fault.every.is_some() {
        return Some((
            "faults on the wire happen once",
            "write it as often as it is to happen",
        ));
    }
    if fault.when.is_some() {
        return Some((
            "conditions are the orchestrator's and etcd's",
            "say `at` which time",
        ));
    }
    let leader = fault
        .target
        .as_ref()
        .is_some_and(|target| target.pick == Pick::Leader);
    leader.then_some(("nobody leads on the wire", "pick by another word"))
}

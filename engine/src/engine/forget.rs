//! Forgetting a machine that is dead for good, so that nobody waits for it any more.
//!
//! Judges whether it may be forgotten; does not know who asks, nor what is kept of the machine
//! besides the journal.

use crate::journal::{Entry, Ledger};
use crate::observed::Observed;
use crate::resource::ResourceId;
use crate::seam::{Fault, FaultClass};

/// Why a machine is not forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Remembered {
    /// There is nothing to forget.
    #[error("nothing is known of {machine}: `quorate state show` lists the machines")]
    Stranger {
        /// As it was named.
        machine: ResourceId,
    },
    /// It lives.
    #[error(
        "{machine} answers: take it out of the manifest, and an apply takes off it what is ours"
    )]
    Answers {
        /// Which.
        machine: ResourceId,
    },
    /// Something lives where it was.
    #[error("{machine} is not silent, it has trouble: {fault}")]
    Troubled {
        /// Which.
        machine: ResourceId,
        /// What was answered there.
        fault: Fault,
    },
    /// Its provider has it.
    #[error("provider {provider} lists {machine}: an apply replaces it if it is lost")]
    Listed {
        /// Which.
        machine: ResourceId,
        /// Where.
        provider: String,
    },
    /// A provider was to be asked for it, and cannot be.
    #[error("whether provider {provider} has {machine} is not known: {fault}")]
    Blind {
        /// Which.
        machine: ResourceId,
        /// Who does not say.
        provider: String,
        /// Why.
        fault: Fault,
    },
}

/// The entry with which a machine is forgotten, if the world as it was seen has no sign of its life.
/// Where that is not to have a say, nothing was `seen`. `at_ms` counts from the Unix epoch.
///
/// # Errors
/// Why it is not to be forgotten.
pub fn forgotten(
    ledger: &Ledger,
    seen: Option<&Observed>,
    machine: &ResourceId,
    reason: &str,
    at_ms: u64,
) -> Result<Entry, Remembered> {
    if !ledger.knows(machine) {
        let machine = machine.clone();
        return Err(Remembered::Stranger { machine });
    }
    if let Some(seen) = seen {
        dead(ledger, seen, machine)?;
    }
    Ok(Entry::Forgotten {
        machine: machine.clone(),
        reason: reason.to_owned(),
        at_ms,
    })
}

/// Whether there is no sign of a machine's life.
fn dead(ledger: &Ledger, seen: &Observed, machine: &ResourceId) -> Result<(), Remembered> {
    let machine = machine.clone();
    if let Some((provider, _)) = seen.listed().find(|(_, thing)| thing.id == machine) {
        let provider = provider.to_owned();
        return Err(Remembered::Listed { machine, provider });
    }
    match seen.hosts.get(&machine) {
        Some(Ok(_)) => return Err(Remembered::Answers { machine }),
        Some(Err(fault)) if !silence(fault.class) => {
            let fault = fault.clone();
            return Err(Remembered::Troubled { machine, fault });
        }
        // Nobody is asked whom nobody ever prepared.
        Some(Err(_)) | None => {}
    }
    let made = ledger.made.contains(&machine) || ledger.in_flight.contains_key(&machine);
    let mut blind = seen.providers.iter().filter(|_| made);
    let blind = blind.find_map(|(name, list)| Some((name, list.as_ref().err()?)));
    match blind {
        None => Ok(()),
        Some((provider, fault)) => Err(Remembered::Blind {
            machine,
            provider: provider.clone(),
            fault: fault.clone(),
        }),
    }
}

/// Whether a fault says that nobody is there: what asks for a login, or has a full disk, lives.
fn silence(class: FaultClass) -> bool {
    match class {
        FaultClass::Retryable | FaultClass::Unknown => true,
        FaultClass::Busy
        | FaultClass::Exists
        | FaultClass::Capacity
        | FaultClass::Quota
        | FaultClass::Auth
        | FaultClass::Invalid
        | FaultClass::NotFound
        | FaultClass::Refused => false,
    }
}

//! What is done to one machine, and what undoes it. Data only: hands carry it out.

use quorate_engine::resource::ResourceId;
use quorate_engine::time::Span;
use quorate_sim::scenario::Process as Named;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A machine as libvirt on this host knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The URI, as libvirt takes it.
    pub uri: String,
    /// Its name there.
    pub name: String,
    /// A container: its processes are this host's, too.
    pub container: bool,
}

/// A process of this host. A number is given again; a number and a beginning are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since the host booted (`proc_pid_stat(5)`, field 22).
    pub began: u64,
}

/// Which packets a wall stops at one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stops {
    /// All but ssh.
    Everything,
    /// Those from and to these addresses.
    Both(Vec<Ipv4Addr>),
    /// Those from these addresses.
    From(Vec<Ipv4Addr>),
}

/// What is done to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It stops as if its power had been cut.
    PowerCut(Domain),
    /// Power cut, and on again at once.
    Reset(Domain),
    /// Restarted by itself, over ssh.
    Reboot(ResourceId),
    /// It stands still.
    Pause(Domain),
    /// Packets are dropped.
    Wall {
        /// Where.
        at: Place,
        /// Names the wall, on all machines of all drills.
        key: String,
        /// Which packets.
        stops: Stops,
        /// After this it falls by itself, whatever became of us.
        falls_after: Span,
    },
    /// Packets are late or lost on their way out.
    Impair {
        /// Where.
        at: Place,
        /// Names the impairment.
        key: String,
        /// Whose address finds the network interface.
        own: Ipv4Addr,
        /// Towards these addresses; none: towards everybody but ssh.
        towards: Vec<Ipv4Addr>,
        /// In the words of `tc-netem(8)`.
        netem: String,
        /// After this it ends by itself.
        falls_after: Span,
    },
    /// A process of this host stands still.
    Freeze(Process),
    /// A process of a machine dies by SIGKILL.
    Kill {
        /// Where.
        at: Place,
        /// Which.
        process: Named,
    },
    /// A process of a machine stands still.
    Still {
        /// Where.
        at: Place,
        /// Which.
        process: Named,
        /// Names it, on all machines of all drills.
        key: String,
        /// After this it goes on by itself, whatever became of us.
        falls_after: Span,
    },
}

/// A machine, and the shortest way into its network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub machine: ResourceId,
    /// The container that it is on this host: its network is entered without it.
    pub container: Option<Domain>,
}

/// What takes a fault back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Undo {
    /// Starts a machine.
    Start(Domain),
    /// Lets a machine go on.
    Resume(Domain),
    /// Waits until a machine answers again.
    Await {
        /// Which.
        machine: ResourceId,
    },
    /// Takes a wall away.
    Raze {
        /// Where.
        at: Place,
        /// Which.
        key: String,
    },
    /// Ends an impairment.
    Mend {
        /// Where.
        at: Place,
        /// Which.
        key: String,
        /// Whose address finds the network interface.
        own: Ipv4Addr,
    },
    /// Lets a process go on.
    Thaw(Process),
    /// Waits until a process of a machine runs again.
    Back {
        /// Where.
        at: Place,
        /// Which.
        process: Named,
    },
    /// Lets a process of a machine go on.
    Go {
        /// Where.
        at: Place,
        /// Which.
        process: Named,
        /// Names its standing still.
        key: String,
    },
}

impl Act {
    /// What takes it back.
    #[must_use]
    pub fn undo(&self) -> Undo {
        match self {
            Self::PowerCut(domain) | Self::Reset(domain) => Undo::Start(domain.clone()),
            Self::Reboot(machine) => Undo::Await {
                machine: machine.clone(),
            },
            Self::Pause(domain) => Undo::Resume(domain.clone()),
            Self::Wall { at, key, .. } => Undo::Raze {
                at: at.clone(),
                key: key.clone(),
            },
            Self::Impair { at, key, own, .. } => Undo::Mend {
                at: at.clone(),
                key: key.clone(),
                own: *own,
            },
            Self::Freeze(process) => Undo::Thaw(process.clone()),
            Self::Kill { at, process } => Undo::Back {
                at: at.clone(),
                process: *process,
            },
            Self::Still {
                at, process, key, ..
            } => Undo::Go {
                at: at.clone(),
                process: *process,
                key: key.clone(),
            },
        }
    }

    /// Whether nothing has to be undone for it to be over.
    #[must_use]
    pub fn is_over_at_once(&self) -> bool {
        matches!(self, Self::Reset(_) | Self::Reboot(_))
    }
}

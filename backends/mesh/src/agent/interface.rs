//! The TUN interface: one queue per worker. Knows nothing of what passes through it.

use super::{AgentError, Settings};
use std::io;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// `EBADFD`: what reads and writes say once the interface is removed.
const REMOVED: i32 = 77;
/// `EIO`: what writes say while the interface is down.
const DOWN: i32 = 5;

/// One queue of the interface, non-blocking.
pub(super) struct Queue {
    pub(super) tun: SyncDevice,
    /// Packets have an offload header before them, and large ones are welcome.
    pub(super) offload: bool,
}

/// Refuses names that Linux would refuse (`dev_valid_name`), and `%`, which it would replace.
pub(super) fn check_name(name: &str) -> Result<(), AgentError> {
    let odd = |c: char| "/:%".contains(c) || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(odd) {
        return Err(AgentError::Name(name.to_owned()));
    }
    Ok(())
}

/// Makes the interface, down and without addresses, with a queue for each worker.
pub(super) fn open(settings: &Settings, workers: usize) -> Result<Vec<Queue>, AgentError> {
    let name = &settings.interface;
    let build = |offload| {
        DeviceBuilder::new()
            .name(name)
            .layer(Layer::L3)
            .mtu(settings.mtu)
            .inherit_enable_state()
            .offload(offload)
            .multi_queue(workers > 1)
            .build_sync()
    };
    let queues = || -> io::Result<Vec<Queue>> {
        // Kernels or containers without offload still carry packets, one at a time.
        let first = build(true).or_else(|_| build(false))?;
        let mut queues = vec![first];
        for _ in 1..workers {
            queues.push(queues[0].try_clone()?);
        }
        let ready = |tun: SyncDevice| {
            tun.set_nonblocking(true)?;
            let offload = tun.tcp_gso();
            Ok(Queue { tun, offload })
        };
        queues.into_iter().map(ready).collect()
    };
    queues().map_err(|source| AgentError::Interface {
        name: name.clone(),
        source,
    })
}

pub(super) fn is_removed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(REMOVED)
}

/// A packet was not taken, and the next one may be.
pub(super) fn is_passing(error: &io::Error) -> bool {
    let refused = [
        DOWN,
        nix::libc::EINVAL,
        nix::libc::ENOBUFS,
        nix::libc::ENOMEM,
    ];
    error.kind() == io::ErrorKind::WouldBlock
        || error
            .raw_os_error()
            .is_some_and(|errno| refused.contains(&errno))
}

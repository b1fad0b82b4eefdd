//! Jobs over ssh, by OpenSSH itself with shared connections.
//!
//! Why OpenSSH and not a protocol library such as `russh`: machines of one's own stand behind jump
//! hosts and doors that people have configured for `ssh` long ago: `ProxyJump`, agents, hardware
//! keys (FIDO2, PKCS#11, GSSAPI), certificates, `Match exec`. With OpenSSH all of that works as it
//! does by hand, and what fails can be tried by hand. One connection per machine is shared by all
//! commands (10 ms a command instead of 200 ms); it costs one process per machine.
//!
//! Knows neither what the scripts do nor where pins are kept.

mod link;
mod trouble;

use crate::job::{Job, Output, Runner, Tunnel};
use crate::pins::Pins;
use crate::reach::Reach;
use link::{End, Link};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How patient connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For TCP, the banner and the exchange of keys; logging in may take as long again.
    pub connect: Duration,
    /// A connection on which nothing comes for three times as long is given up.
    pub keepalive: Duration,
    /// A connection that nobody uses for as long is closed, also when we are dead by then.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            keepalive: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

/// The place of one machine's connection; held while one is being made, so that only one is.
type Place = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

/// Jobs over ssh.
pub struct Ssh {
    pins: Arc<dyn Pins>,
    patience: Patience,
    slots: Semaphore,
    places: Mutex<BTreeMap<ResourceId, Place>>,
}

impl Ssh {
    /// At most `parallel` jobs at a time.
    ///
    /// # Panics
    /// If `parallel` is 0.
    #[must_use]
    pub fn new(pins: Arc<dyn Pins>, patience: Patience, parallel: usize) -> Self {
        assert!(parallel > 0, "somebody has to work");
        Self {
            pins,
            patience,
            slots: Semaphore::new(parallel),
            places: Mutex::default(),
        }
    }

    fn place(&self, machine: &ResourceId) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(machine.clone()).or_default())
    }

    /// The machine's connection: the one that is there, or a new one.
    async fn link(&self, machine: &ResourceId, reach: &Reach) -> Result<Arc<Link>, Fault> {
        let place = self.place(machine);
        let mut place = place.lock().await;
        if let Some(link) = place.as_ref()
            && link.serves(reach)
        {
            return Ok(Arc::clone(link));
        }
        *place = None;
        let pin = self.pins.get(machine);
        let made = Link::make(machine, reach, pin.as_deref(), self.patience).await;
        let link = made.map_err(|broken| trouble::connecting(machine, reach, &broken, pin))?;
        if let Some(key) = link.learnt() {
            self.pins.put(machine, key).map_err(|why| {
                let what = format!("{machine} ({reach}): its host key could not be kept: {why}");
                Fault::new(FaultClass::Retryable, what)
            })?;
        }
        let link = Arc::new(link);
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Nobody uses this connection any more.
    async fn drop_link(&self, machine: &ResourceId, link: &Arc<Link>) {
        let place = self.place(machine);
        let mut place = place.lock().await;
        if place.as_ref().is_some_and(|held| Arc::ptr_eq(held, link)) {
            *place = None;
        }
    }
}

impl Runner for Ssh {
    async fn run(
        &self,
        machine: &ResourceId,
        reach: &Reach,
        job: &Job<'_>,
    ) -> Result<Output, Fault> {
        let _slot = self.slots.acquire().await.expect("slots are never closed");
        let mut link = self.link(machine, reach).await?;
        let mut end = link.run(reach, job).await;
        if end == End::NeverStarted {
            // A connection that was kept has died meanwhile: the job did not begin.
            self.drop_link(machine, &link).await;
            link = self.link(machine, reach).await?;
            end = link.run(reach, job).await;
        }
        if matches!(end, End::NeverStarted | End::Lost(_) | End::TooLate) {
            self.drop_link(machine, &link).await;
        }
        trouble::ended(machine, reach, job, end)
    }

    async fn tunnel(
        &self,
        machine: &ResourceId,
        reach: &Reach,
        to: SocketAddrV4,
    ) -> Result<Tunnel, Fault> {
        let refused = |why: String| {
            let what = format!("{machine} ({reach}): no way to {to} through it: {why}");
            Fault::new(FaultClass::Retryable, what)
        };
        let tunnel = Tunnel::new().map_err(|error| refused(error.to_string()))?;
        let link = self.link(machine, reach).await?;
        if let Err(why) = link.forward(&tunnel.socket(), to).await {
            // A connection that was kept may have died meanwhile.
            self.drop_link(machine, &link).await;
            let link = self.link(machine, reach).await?;
            let again = link.forward(&tunnel.socket(), to).await;
            again.map_err(|_| refused(why))?;
        }
        Ok(tunnel)
    }
}

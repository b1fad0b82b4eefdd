//! What the tasks of a server share: the view that answers come from, and what makes the next one.

use super::counters::Counters;
use super::{Event, Loaded, Tell};
use crate::authority::Authority;
use crate::config::File;
use crate::health::{Notice, Opinion, Target};
use crate::limit::{Limiter, RateLimit};
use crate::message::View;
use crate::zone::Zones;
use quorate_engine::random::Seed;
use quorate_engine::time::Time;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What queries are answered from and judged by.
pub(super) struct Serving {
    pub(super) view: View,
    /// None: everybody may ask as much as they like.
    pub(super) limiter: Option<Arc<Mutex<Limiter>>>,
}

/// Everything that tasks share.
pub(super) struct Shared {
    /// Of the order of records, and of the limiter's table.
    pub(super) seed: Seed,
    pub(super) counters: Counters,
    /// Says that the file is to be read again.
    pub(super) reload: Notify,
    authority: Mutex<Authority>,
    serving: RwLock<Arc<Serving>>,
    rate: Mutex<Option<RateLimit>>,
    /// Whom to watch and whom to listen to: changes with the configuration.
    pub(super) watched: watch::Sender<Arc<Vec<Target>>>,
    pub(super) peers: watch::Sender<Arc<Vec<SocketAddr>>>,
    stopped: watch::Sender<bool>,
    began: Instant,
    tell: Tell,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(seed: u64, tell: Tell) -> Self {
        let seed = Seed(seed);
        let serving = Serving {
            view: View::default(),
            limiter: None,
        };
        let order = seed.stream("answers", "order").bits();
        Self {
            seed,
            counters: Counters::default(),
            reload: Notify::new(),
            authority: Mutex::new(Authority::new(order)),
            serving: RwLock::new(Arc::new(serving)),
            rate: Mutex::new(None),
            watched: watch::Sender::new(Arc::default()),
            peers: watch::Sender::new(Arc::default()),
            stopped: watch::Sender::new(false),
            began: Instant::now(),
            tell,
        }
    }

    /// Since the server began. Never goes back.
    pub(super) fn now(&self) -> Time {
        Time(self.began.elapsed().as_nanos() as u64)
    }

    pub(super) fn serving(&self) -> Arc<Serving> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&serving)
    }

    pub(super) fn tell(&self, event: &Event) {
        (self.tell)(event);
    }

    /// Serves other zones from now on.
    pub(super) fn load(&self, file: File, zones: Zones) {
        let limiter = self.limiter(file.rate_limit);
        let zones = Arc::new(zones);
        let notices = {
            let mut authority = locked(&self.authority);
            let notices = authority.load(Arc::clone(&zones));
            self.publish(&authority, Some(limiter));
            notices
        };
        let serials = zones.zones.values();
        let loaded = Loaded {
            zones: serials
                .map(|zone| (zone.apex.to_string(), zone.soa.serial))
                .collect(),
            watched: zones.watches.len(),
        };
        self.watched.send_replace(Arc::new(zones.watches.clone()));
        self.peers.send_replace(Arc::new(file.peers));
        self.tell(&Event::Loaded(loaded));
        self.say(notices);
    }

    /// The limiter of this rate: the one there is, if it has it, with what it remembers.
    fn limiter(&self, rate: RateLimit) -> Option<Arc<Mutex<Limiter>>> {
        let mut known = locked(&self.rate);
        if *known == Some(rate) {
            return self.serving().limiter.clone();
        }
        *known = Some(rate);
        let seed = self.seed.stream("limiter", "table").bits();
        (rate.per_second != 0).then(|| Arc::new(Mutex::new(Limiter::new(rate, seed))))
    }

    pub(super) fn observe(&self, target: &Target, well: bool) {
        self.change(|authority, now| authority.observe(now, target, well));
    }

    pub(super) fn hear(&self, peer: &str, said: impl FnOnce(Time) -> Vec<(Target, Opinion)>) {
        self.change(|authority, now| authority.hear(now, peer, &said(now)));
    }

    pub(super) fn age(&self) {
        self.change(Authority::age);
    }

    fn change(&self, change: impl FnOnce(&mut Authority, Time) -> Vec<Notice>) {
        let notices = {
            let mut authority = locked(&self.authority);
            // Read with the lock held, so that time goes on for whoever is next.
            let now = self.now();
            let notices = change(&mut authority, now);
            if !notices.is_empty() {
                self.publish(&authority, None);
            }
            notices
        };
        self.say(notices);
    }

    /// What queries are answered from now on. `limiter`: another one.
    fn publish(&self, authority: &Authority, limiter: Option<Option<Arc<Mutex<Limiter>>>>) {
        let view = authority.view();
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiter.unwrap_or_else(|| serving.limiter.clone());
        *serving = Arc::new(Serving { view, limiter });
    }

    /// Reads something of the authority.
    pub(super) fn asked<T>(&self, ask: impl FnOnce(&Authority, Time) -> T) -> T {
        let authority = locked(&self.authority);
        ask(&authority, self.now())
    }

    fn say(&self, notices: Vec<Notice>) {
        for notice in notices {
            self.tell(&Event::Health(notice));
        }
    }

    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Comes back when the server is to end.
    pub(super) async fn ended(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender is in `self`, so it cannot be gone.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

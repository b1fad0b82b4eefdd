//! One backend in a load balancer's configuration, and HAProxy's arithmetic of its health.
//!
//! Knows neither timers nor the network: results of checks come in, intervals go out.

use crate::traffic::balancer::ForwardSettings;
use quorate_engine::time::{Span, Time};

/// A backend of a role.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) host: u16,
    pub(crate) serial: u16,
    /// HAProxy's counter: `rise + fall - 1` is fully up, below `rise` is down.
    pub(crate) health: u8,
    /// When its last check began: resting checks go on in the same phase.
    pub(crate) checked_at: Time,
    pub(crate) resting: bool,
}

/// What a check result changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Stays,
    GoesDown,
    ComesUp,
}

impl Backend {
    pub(crate) fn is_up(&self, settings: &ForwardSettings) -> bool {
        self.health >= settings.rise
    }

    pub(crate) fn is_fully_up(&self, settings: &ForwardSettings) -> bool {
        self.health + 1 == settings.rise + settings.fall
    }

    /// HAProxy's arithmetic of `rise` and `fall`.
    pub(crate) fn count(&mut self, settings: &ForwardSettings, ok: bool) -> Turn {
        let full = settings.rise + settings.fall - 1;
        match (ok, self.is_up(settings)) {
            (true, true) => {
                self.health = (self.health + 1).min(full);
                Turn::Stays
            }
            (true, false) => {
                self.health += 1;
                if self.health < settings.rise {
                    return Turn::Stays;
                }
                self.health = full;
                Turn::ComesUp
            }
            (false, true) => {
                self.health -= 1;
                if self.health >= settings.rise {
                    return Turn::Stays;
                }
                self.health = 0;
                Turn::GoesDown
            }
            (false, false) => {
                self.health = 0;
                Turn::Stays
            }
        }
    }

    /// HAProxy's choice of the interval to the next check.
    pub(crate) fn next_check_after(&self, settings: &ForwardSettings) -> Span {
        if self.is_fully_up(settings) {
            settings.interval
        } else if self.health == 0 {
            settings.down_interval
        } else {
            settings.fast_interval
        }
    }
}

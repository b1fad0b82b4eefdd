//! What one TCP flow carries through the mesh between two regions.
//!
//! The smaller of what an agent carries in one flow, and of a window for each round trip: more
//! cannot be under way (RFC 7323, 1.1). Loss on the way makes it less still.

use super::Latency;
use super::places::{Place, between};
use crate::data::Data;
use crate::design::Design;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One flow between two regions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Flow {
    /// The two regions.
    pub between: (String, String),
    /// The round trip.
    pub round_trip: Latency,
    /// In megabits per second.
    pub mbit_per_s: f64,
    /// What keeps it from being more.
    pub limit: FlowLimit,
}

/// What a flow is limited by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowLimit {
    /// By what an agent carries.
    Agent,
    /// By window and round trip.
    Window,
}

/// A flow between each two regions with machines.
pub(super) fn of(design: &Design, data: &Data, places: &[Place]) -> Vec<Flow> {
    assert!(
        places.len() <= design.nodes().len(),
        "a place has a machine"
    );
    let rate = data.assumption("mesh.rate").value;
    let window = data.assumption("tcp.window").value;
    let mut flows = Vec::new();
    for (at, a) in places.iter().enumerate() {
        for b in &places[at + 1..] {
            let round_trip = between(design, a, b);
            // Bytes for each millisecond are kilobytes per second.
            let by_window = window * 8.0 / 1_000.0 / round_trip.ms.max(0.001);
            let limit = if by_window < rate {
                FlowLimit::Window
            } else {
                FlowLimit::Agent
            };
            flows.push(Flow {
                between: (a.name(), b.name()),
                round_trip,
                mbit_per_s: by_window.min(rate),
                limit,
            });
        }
    }
    flows
}

//! Simulated time against wall time, measured in one way for every simulator.
//!
//! Knows nothing of any simulator, and uses only the standard library: the programs in `peers`
//! include this very file, because they cannot be members of the workspace.

use std::time::{Duration, Instant};

/// How often the leader sends a heartbeat to each follower.
pub const PERIOD: Duration = Duration::from_millis(100);

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The leader and its followers; at least 2.
    pub nodes: usize,
    /// How long to measure; a simulator stops at the first slice that ends later.
    pub wall: Duration,
}

/// What a simulated world has to show for the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Heartbeats that reached a follower.
    pub heartbeats: u64,
    /// Acknowledgements that reached the leader.
    pub acks: u64,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Leader and followers.
    pub nodes: usize,
    /// How far simulated time moved.
    pub simulated: Duration,
    /// How long that took.
    pub wall: Duration,
    /// What was delivered in that time.
    pub traffic: Traffic,
}

/// Reads `NODES WALL_SECONDS` from the command line.
///
/// # Errors
/// A line that says what was expected.
pub fn request(mut args: impl Iterator<Item = String>) -> Result<Request, String> {
    let usage = "expected: NODES WALL_SECONDS, such as 5 2.5";
    let nodes = args.next().and_then(|text| text.parse().ok());
    let wall = args.next().and_then(|text| text.parse().ok());
    let (Some(nodes), Some(wall), None) = (nodes, wall, args.next()) else {
        return Err(usage.to_owned());
    };
    let wall = Duration::try_from_secs_f64(wall).map_err(|error| format!("{usage}: {error}"))?;
    if nodes < 2 {
        return Err(format!("{usage}: a leader needs a follower"));
    }
    Ok(Request { nodes, wall })
}

/// Moves a world on in slices until the wall time asked for has passed.
///
/// `advance` moves simulated time on by as much as it is told and returns all traffic so far.
/// Slices double while they are short, so that reading the clock costs nothing that counts.
pub fn measure(
    request: Request,
    first_slice: Duration,
    mut advance: impl FnMut(Duration) -> Traffic,
) -> Sample {
    let before = advance(Duration::ZERO);
    let mut slice = first_slice;
    let mut simulated = Duration::ZERO;
    let mut traffic = before;
    let start = Instant::now();
    let mut wall = Duration::ZERO;
    while wall < request.wall {
        traffic = advance(slice);
        simulated += slice;
        let passed = start.elapsed();
        if passed - wall < request.wall / 32 {
            slice *= 2;
        }
        wall = passed;
    }
    Sample {
        nodes: request.nodes,
        simulated,
        wall,
        traffic: Traffic {
            heartbeats: traffic.heartbeats - before.heartbeats,
            acks: traffic.acks - before.acks,
        },
    }
}

impl Sample {
    /// Fails where the world did not do the work: each follower must have had a heartbeat in each
    /// period and the leader an acknowledgement, give or take the period at either end, and a
    /// window shorter than a period must hold one round.
    ///
    /// # Errors
    /// A line with the numbers.
    pub fn verify(&self) -> Result<(), String> {
        let periods = (self.simulated.as_nanos() / PERIOD.as_nanos()) as u64;
        let followers = self.nodes as u64 - 1;
        let fewest = followers * periods.saturating_sub(1).max(1);
        let most = followers * (periods + 2);
        let Traffic { heartbeats, acks } = self.traffic;
        if [heartbeats, acks]
            .iter()
            .all(|n| (fewest..=most).contains(n))
        {
            return Ok(());
        }
        Err(format!(
            "{heartbeats} heartbeats and {acks} acknowledgements in {:?} of {} nodes: \
             expected {fewest} to {most} of each",
            self.simulated, self.nodes
        ))
    }

    /// One line for the script: nodes, simulated s, wall s, heartbeats, acknowledgements.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{} {:.9} {:.9} {} {}",
            self.nodes,
            self.simulated.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.traffic.heartbeats,
            self.traffic.acks
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = String> {
        line.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn the_command_line_is_two_numbers() {
        let expected = Request {
            nodes: 5,
            wall: Duration::from_millis(2_500),
        };
        assert_eq!(request(words("5 2.5")), Ok(expected));
        for wrong in ["", "5", "five 2", "5 -1", "5 2 3", "1 2", "5 inf"] {
            assert!(request(words(wrong)).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn a_measurement_counts_only_what_it_saw() {
        let request = Request {
            nodes: 3,
            wall: Duration::from_millis(5),
        };
        // A world that has run for one round already, and takes time.
        let mut passed = PERIOD;
        let sample = measure(request, PERIOD, |slice| {
            passed += slice;
            std::thread::sleep(Duration::from_micros(200));
            let rounds = (passed.as_nanos() / PERIOD.as_nanos()) as u64;
            Traffic {
                heartbeats: 2 * rounds,
                acks: 2 * rounds,
            }
        });
        assert_eq!(sample.simulated, passed - PERIOD);
        assert!(sample.wall >= request.wall);
        let rounds = (sample.simulated.as_nanos() / PERIOD.as_nanos()) as u64;
        assert_eq!(sample.traffic.heartbeats, 2 * rounds);
        assert_eq!(sample.verify(), Ok(()));
    }

    #[test]
    fn a_world_that_did_not_work_is_found_out() {
        let verdict = |simulated_ms, heartbeats, acks| {
            let sample = Sample {
                nodes: 5,
                simulated: Duration::from_millis(simulated_ms),
                wall: Duration::from_secs(1),
                traffic: Traffic { heartbeats, acks },
            };
            sample.verify().is_ok()
        };
        assert!(verdict(1_000, 40, 40));
        assert!(verdict(1_000, 40, 36));
        assert!(!verdict(1_000, 40, 35));
        assert!(!verdict(1_000, 49, 40));
        assert!(verdict(8, 4, 4));
        assert!(!verdict(8, 4, 0));
    }
}

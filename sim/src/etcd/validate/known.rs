//! What others found: numbers to compare with, each with its source and date.

/// A row of Fig. 16 of the Raft paper (2014), and of an independent model of it in Python
/// (15 seeds of 1,000 trials each, 2026-11). Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Fig16Row {
    /// Range of time-outs.
    pub range: (u32, u32),
    /// What the number is.
    pub what: &'static str,
    /// In the paper; None: more than 10 s.
    pub paper: Option<f64>,
    /// In the Python model; None: never within 60 s.
    pub model: Option<f64>,
}

/// Fig. 16. Accept: median and mean within 10 %, maxima within a factor of 0.5 to 1.5.
pub const FIG16: [Fig16Row; 5] = [
    fig16_row((150, 150), "any", None, None),
    fig16_row((150, 155), "median", Some(287.0), Some(283.5)),
    fig16_row((150, 200), "max", Some(513.0), Some(513.0)),
    fig16_row((12, 24), "mean", Some(35.0), Some(33.0)),
    fig16_row((12, 24), "max", Some(152.0), Some(120.0)),
];

const fn fig16_row(
    range: (u32, u32),
    what: &'static str,
    paper: Option<f64>,
    model: Option<f64>,
) -> Fig16Row {
    Fig16Row {
        range,
        what,
        paper,
        model,
    }
}

/// Leader loss without lease and pre-vote, computed by a formula over 100,000 draws (2026-11):
/// detection, then two round trips and two writes of 1 ms. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct ComputedLoss {
    /// Voters.
    pub members: usize,
    /// Round trip.
    pub rtt_ms: u64,
    /// Detection: mean, median, 99th percentile.
    pub detection: [f64; 3],
    /// Without a leader that can commit: mean, 99th percentile.
    pub leaderless: [f64; 2],
    /// Share of near ties.
    pub near_ties: f64,
}

/// Leader loss at a heartbeat of 100 ms and an election time-out of 1,000 ms.
pub const COMPUTED: [ComputedLoss; 10] = [
    computed(3, 1, [1184.0, 1144.0, 1756.0], [1188.0, 1760.0], 0.001),
    computed(3, 10, [1189.0, 1149.0, 1761.0], [1211.0, 1783.0], 0.010),
    computed(3, 20, [1194.0, 1154.0, 1765.0], [1236.0, 1807.0], 0.020),
    computed(3, 50, [1208.0, 1168.0, 1779.0], [1310.0, 1881.0], 0.050),
    computed(3, 100, [1234.0, 1193.0, 1806.0], [1436.0, 2008.0], 0.096),
    computed(5, 1, [1050.0, 1011.0, 1540.0], [1054.0, 1544.0], 0.002),
    computed(5, 10, [1055.0, 1015.0, 1544.0], [1077.0, 1566.0], 0.019),
    computed(5, 20, [1060.0, 1020.0, 1551.0], [1102.0, 1593.0], 0.039),
    computed(5, 50, [1075.0, 1035.0, 1564.0], [1177.0, 1666.0], 0.095),
    computed(5, 100, [1100.0, 1060.0, 1590.0], [1302.0, 1792.0], 0.184),
];

const fn computed(
    members: usize,
    rtt_ms: u64,
    detection: [f64; 3],
    leaderless: [f64; 2],
    near_ties: f64,
) -> ComputedLoss {
    ComputedLoss {
        members,
        rtt_ms,
        detection,
        leaderless,
        near_ties,
    }
}

/// Until there is a leader, by a model of 200,000 draws (2026-11; 0.5 ms network, 5 ms for the
/// write of a vote). Seconds, and shares.
#[derive(Debug, Clone, Copy)]
pub struct ModelledLoss {
    /// Voters.
    pub members: usize,
    /// CheckQuorum's lease is obeyed.
    pub lease: bool,
    /// Pre-vote.
    pub pre_vote: bool,
    /// Median, 90th and 99th percentile.
    pub leader_s: [f64; 3],
    /// Share over 2.0 s.
    pub over_2s: f64,
    /// Share with more than one election.
    pub repeated: f64,
}

/// With and without lease and pre-vote. The rows with pre-vote are predictions: no etcd of 3.5 or
/// later was measured.
pub const MODELLED: [ModelledLoss; 6] = [
    modelled(3, (true, false), [1.22, 1.84, 2.74], 0.085, 0.099),
    modelled(5, (true, false), [1.09, 1.88, 2.43], 0.072, 0.108),
    modelled(3, (false, false), [1.16, 1.56, 2.13], 0.011, 0.010),
    modelled(5, (false, false), [1.02, 1.30, 1.55], 0.0, 0.0),
    modelled(3, (true, true), [1.20, 1.60, 1.82], 0.001, 0.001),
    modelled(5, (true, true), [1.07, 1.35, 1.60], 0.0, 0.0),
];

const fn modelled(
    members: usize,
    (lease, pre_vote): (bool, bool),
    leader_s: [f64; 3],
    over_2s: f64,
    repeated: f64,
) -> ModelledLoss {
    ModelledLoss {
        members,
        lease,
        pre_vote,
        leader_s,
        over_2s,
        repeated,
    }
}

/// A real etcd 3.4.23 with default timers, one member per network namespace on one bridge, no
/// added delay; 20 leaders lost per row (measured 2026-11). Seconds until a leader: minimum,
/// median, 90th percentile, maximum.
#[derive(Debug, Clone, Copy)]
pub struct MeasuredLoss {
    /// Voters.
    pub members: usize,
    /// How the leader was lost, and what else ran.
    pub fault: &'static str,
    /// Minimum, median, 90th percentile, maximum.
    pub leader_s: [f64; 4],
    /// Losses.
    pub losses: u32,
    /// Losses with more than 2.0 s without a leader, where counted.
    pub over_2s: Option<u32>,
}

/// Real etcd 3.4.23.
pub const MEASURED: [MeasuredLoss; 8] = [
    measured(
        3,
        "SIGKILL, beside a build",
        [0.89, 1.21, 1.71, 2.45],
        (20, None),
    ),
    measured(
        5,
        "SIGKILL, beside a build",
        [0.90, 1.02, 1.38, 2.01],
        (20, None),
    ),
    measured(3, "SIGKILL", [0.91, 1.21, 2.33, 2.46], (20, None)),
    measured(5, "SIGKILL", [0.87, 1.08, 1.57, 2.23], (20, None)),
    measured(3, "link down", [0.93, 1.22, 2.36, 2.70], (20, None)),
    measured(5, "link down", [0.85, 1.15, 2.24, 2.28], (20, None)),
    measured(3, "all", [0.89, 1.21, 2.29, 2.70], (60, Some(7))),
    measured(5, "all", [0.85, 1.09, 1.89, 2.28], (60, Some(4))),
];

const fn measured(
    members: usize,
    fault: &'static str,
    leader_s: [f64; 4],
    (losses, over_2s): (u32, Option<u32>),
) -> MeasuredLoss {
    MeasuredLoss {
        members,
        fault,
        leader_s,
        losses,
        over_2s,
    }
}

//! When a growing load is too much: with everything there, and without any one domain of a kind.
//!
//! Replicas are multiplied and all pods placed again. A scheduler's placing is not monotone to the
//! last pod, so the answer is a step that was tried, beside one that was tried and failed.

use super::{KINDS, Without, without, worker_domains};
use crate::design::{Design, Lost};
use crate::placing::{Placement, Site, Trial};
use quorate_engine::manifest::Workload;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Nobody plans for more than a hundredfold.
pub const FACTOR_MAX_PERCENT: u32 = 10_000;

/// Nobody plans for more than ten years.
pub const MONTHS_MAX: u32 = 120;

/// Not more pods than this are placed to find a limit: the largest clusters that Kubernetes is made
/// for have 150,000 (kubernetes.io, "Considerations for large clusters").
const PODS_MAX: u64 = 150_000;

/// Until when everything fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Growth {
    /// Any one domain of this kind is lost; none: everything is there.
    pub without: Option<String>,
    /// In per cent of today's pods of all workloads.
    pub factor_percent: Limit,
    /// In months of the growth that workloads say; none: none says any.
    pub months: Option<Limit>,
}

/// The largest step at which all fits, and what does not at the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Not even today.
    Already {
        /// The domain without which it does not.
        without: Option<Without>,
        /// The first workload with a pod that does not fit.
        workload: String,
    },
    /// All fits up to this step and not at the next.
    At {
        /// The step.
        step: u32,
        /// The domain without which the next does not fit.
        without: Option<Without>,
        /// The first workload with a pod that does not fit then.
        workload: String,
    },
    /// All fits at this step, and no more was tried.
    Beyond(u32),
}

/// What does not fit at a step.
type Miss = (Option<usize>, usize);

/// Steps of growth, and what was placed at them.
struct Steps<'a> {
    design: &'a Design,
    pods_at: &'a dyn Fn(&Workload, u32) -> u64,
    settled: BTreeMap<u32, Placement>,
}

pub(super) fn growth(design: &Design) -> Vec<Growth> {
    let scaled = |workload: &Workload, percent: u32| {
        (u64::from(workload.replicas) * u64::from(percent)).div_ceil(100)
    };
    let later = |workload: &Workload, months: u32| {
        let rate = workload.growth.map_or(0.0, |growth| growth.fraction());
        let factor = libm::pow(1.0 + rate, f64::from(months));
        // Exact powers must not become a pod more by rounding.
        libm::ceil(f64::from(workload.replicas) * factor - 1e-9) as u64
    };
    let workloads = &design.manifest.spec.workloads;
    let grows = workloads
        .iter()
        .any(|w| w.growth.is_some_and(|growth| growth.0 > 0));
    let factors = limits(design, &scaled, 100, FACTOR_MAX_PERCENT);
    let months = grows.then(|| limits(design, &later, 0, MONTHS_MAX));
    let rows = factors.into_iter().enumerate();
    let rows = rows.map(|(at, (without, factor_percent))| Growth {
        without,
        factor_percent,
        months: months.as_ref().map(|months| months[at].1.clone()),
    });
    rows.collect()
}

fn limits(
    design: &Design,
    pods_at: &dyn Fn(&Workload, u32) -> u64,
    from: u32,
    to: u32,
) -> Vec<(Option<String>, Limit)> {
    let site = Site::of(design);
    let mut steps = Steps {
        design,
        pods_at,
        settled: BTreeMap::new(),
    };
    let to = steps.last_worth_trying(&site, from, to);
    let whole = steps.limit(&[], from, to);
    let most = match &whole {
        Limit::Already { .. } => from,
        Limit::At { step, .. } => step + 1,
        Limit::Beyond(step) => *step,
    };
    let mut limits = vec![(None, whole)];
    let domains = worker_domains(design, &site);
    for kind in KINDS {
        let of_kind = domains.iter().copied();
        let of_kind: Vec<usize> = of_kind
            .filter(|at| design.domains[*at].kind == kind)
            .collect();
        if !of_kind.is_empty() {
            let limit = steps.limit(&of_kind, from, most);
            limits.push((Some(kind.word().to_owned()), limit));
        }
    }
    limits
}

impl Steps<'_> {
    fn pods(&self, step: u32) -> Vec<u64> {
        let workloads = self.design.manifest.spec.workloads.iter();
        workloads
            .map(|workload| (self.pods_at)(workload, step))
            .collect()
    }

    /// The first step at which the sum of all requests is too much, or there are too many pods to
    /// place: nothing beyond has to be tried.
    fn last_worth_trying(&self, site: &Site, from: u32, to: u32) -> u32 {
        let all = site.nodes.iter().filter(|node| node.takes_pods);
        let all = all.fold((0u128, 0u128), |sum, node| {
            let free = node.free();
            (sum.0 + u128::from(free.0), sum.1 + u128::from(free.1))
        });
        let too_much = |step: u32| {
            let mut asked = (0u128, 0u128, 0u64);
            for (ask, pods) in site.asks.iter().zip(self.pods(step)) {
                asked.0 += u128::from(ask.pod.0) * u128::from(pods);
                asked.1 += u128::from(ask.pod.1) * u128::from(pods);
                asked.2 = asked.2.saturating_add(pods);
            }
            asked.0 > all.0 || asked.1 > all.1 || asked.2 > PODS_MAX
        };
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low + (high - low) / 2;
            if too_much(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    /// The first limit, without any one of these domains, or with all if there are none.
    fn limit(&mut self, domains: &[usize], from: u32, to: u32) -> Limit {
        let mut order = domains.to_vec();
        let Some(miss) = self.miss(&mut order, to) else {
            return Limit::Beyond(to);
        };
        let (mut good, mut bad) = (None, (to, miss));
        if to > from {
            match self.miss(&mut order, from) {
                Some(miss) => bad = (from, miss),
                None => good = Some(from),
            }
        }
        while let Some(low) = good.filter(|low| low + 1 < bad.0) {
            let middle = low + (bad.0 - low) / 2;
            match self.miss(&mut order, middle) {
                Some(miss) => bad = (middle, miss),
                None => good = Some(middle),
            }
        }
        let (domain, workload) = bad.1;
        let without = domain.map(|domain| without(self.design, domain));
        let workload = self.design.manifest.spec.workloads[workload].name.clone();
        match good {
            Some(step) => Limit::At {
                step,
                without,
                workload,
            },
            None => Limit::Already { without, workload },
        }
    }

    /// What does not fit at a step. The domain without which it does not comes first from then on:
    /// it is the likeliest to be the one again.
    fn miss(&mut self, order: &mut [usize], step: u32) -> Option<Miss> {
        let pods = self.pods(step);
        let design = self.design;
        let whole = self.settled.entry(step).or_insert_with(|| {
            let site = Site::asking(design, &pods);
            Placement::fresh(site, &Lost::default())
        });
        if let Some(workload) = first_pending(whole) {
            return Some((None, workload));
        }
        if order.is_empty() {
            return None;
        }
        let mut trial = Trial::of(whole);
        for at in 0..order.len() {
            let domain = order[at];
            if let Some(workload) = trial.miss(&design.domains[domain].nodes) {
                order[..=at].rotate_right(1);
                return Some((Some(domain), workload));
            }
        }
        None
    }
}

fn first_pending(placement: &Placement) -> Option<usize> {
    let pods = placement.pods.iter();
    let mut lacking = pods.map(|pods| pods.iter().any(Option::is_none));
    lacking.position(|lacking| lacking)
}

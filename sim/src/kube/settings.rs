//! The numbers of Kubernetes' control loops, each with its source; all may be changed for a run.
//!
//! Knows nothing of how the loops use them.

use quorate_engine::time::Span;

/// The numbers of the control loops. [`Settings::of_minor`] gives the defaults of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Between renewals of a kubelet's lease: a quarter of `nodeLeaseDurationSeconds` = 40.
    pub lease: Span,
    /// Jitter of that, in thousandths of it: client-go's lease controller adds up to 4 %.
    pub lease_jitter_permille: u64,
    /// From a node's registration to its first renewal as Ready: the network plugin comes up
    /// (measured on a kubeadm cluster: 7.2 to 7.5 s).
    pub join: Span,
    /// `--node-monitor-period` of kube-controller-manager.
    pub monitor: Span,
    /// `--node-monitor-grace-period`: 40 s up to Kubernetes 1.31, 50 s from 1.32
    /// (kubernetes/kubernetes#126287).
    pub grace: Span,
    /// Between two nodes of a zone that get the NoExecute taint: `--node-eviction-rate` 0.1/s.
    pub eviction: Span,
    /// The same in a partly disrupted large zone: `--secondary-node-eviction-rate` 0.01/s.
    pub secondary_eviction: Span,
    /// `--large-cluster-size-threshold`: up to so many nodes a partly disrupted zone evicts nothing.
    pub large_zone: usize,
    /// `--unhealthy-zone-threshold`, per cent of a zone's nodes.
    pub unhealthy_percent: usize,
    /// A zone with fewer nodes not ready than this is never partly disrupted.
    pub unhealthy_min: usize,
    /// `tolerationSeconds` that the DefaultTolerationSeconds admission plugin gives every pod.
    pub toleration: Span,
    /// `--leader-elect-lease-duration`.
    pub leader_lease: Span,
    /// `--leader-elect-renew-deadline`: a leader that cannot renew for so long exits.
    pub leader_renew: Span,
    /// `--leader-elect-retry-period`.
    pub leader_retry: Span,
    /// How long a controller that starts waits for the API before it exits.
    pub api_wait: Span,
    /// kubelet's first back-off for a container that exits again; doubled each time.
    pub crash_backoff: Span,
    /// Its maximum (`MaxContainerBackOff`).
    pub crash_backoff_max: Span,
    /// A container that ran so long starts with no back-off again (twice the maximum).
    pub crash_backoff_reset: Span,
    /// A static pod's container: from start to ready to work.
    pub static_start: Span,
    /// Median of image pull plus start of a pod on a node that never ran it; lognormal.
    pub start: Span,
    /// Median of a start where the image is there already; lognormal.
    pub restart: Span,
    /// Shape of both: 90 % between 0.56 and 1.78 medians, so 5 to 15 s for 8.5 s.
    pub start_sigma: f64,
    /// From SIGTERM to the container's end: longer than `proxy_lag`, as a preStop pause makes it.
    pub stop: Span,
    /// Attaching and mounting a volume that is free.
    pub attach: Span,
    /// `maxWaitForUnmountDuration` of the attach-detach controller: then detach by force.
    pub force_detach: Span,
    /// From a change of a pod's readiness to the rules of kube-proxy on the nodes.
    pub proxy_lag: Span,
    /// From a change to the next pass of controllers and scheduler over it.
    pub sync: Span,
    /// `kubectl drain` repeats a refused eviction after this.
    pub drain_retry: Span,
    /// It looks this often whether evicted pods are gone.
    pub drain_poll: Span,
    /// A drain that lasts longer ends as stuck.
    pub drain_timeout: Span,
    /// Pod garbage collection: its period (pods of out-of-service nodes).
    pub gc: Span,
    /// Pod garbage collection: a missing node is missing for good after this (plus the period).
    pub gc_quarantine: Span,
}

impl Settings {
    /// The defaults of Kubernetes 1.`minor`.
    #[must_use]
    pub fn of_minor(minor: u32) -> Self {
        let secs = Span::from_secs;
        Self {
            lease: secs(10),
            lease_jitter_permille: 40,
            join: secs(7),
            monitor: secs(5),
            grace: secs(if minor >= 32 { 50 } else { 40 }),
            eviction: secs(10),
            secondary_eviction: secs(100),
            large_zone: 50,
            unhealthy_percent: 55,
            unhealthy_min: 3,
            toleration: secs(300),
            leader_lease: secs(15),
            leader_renew: secs(10),
            leader_retry: secs(2),
            api_wait: secs(10),
            crash_backoff: secs(10),
            crash_backoff_max: secs(300),
            crash_backoff_reset: secs(600),
            static_start: secs(1),
            start: Span::from_ms(8_500),
            restart: secs(3),
            start_sigma: 0.35,
            stop: secs(2),
            attach: secs(3),
            force_detach: secs(360),
            proxy_lag: secs(1),
            sync: Span::from_ms(100),
            drain_retry: secs(5),
            drain_poll: secs(1),
            drain_timeout: secs(1_800),
            gc: secs(20),
            gc_quarantine: secs(40),
        }
    }
}

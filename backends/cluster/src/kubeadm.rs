//! kubeadm on the machines: the first control plane, those that join, and workers.

use crate::Cluster;
use quorate_engine::resource::Spec;
use quorate_engine::seam::{Call, Outcome};
use quorate_hosts::Runner;

impl<R: Runner> Cluster<R> {
    /// `kubeadm init`: the first member of etcd and the first API server.
    pub(crate) async fn found(&self, call: &Call) -> Outcome {
        Err(crate::not_here(call))
    }

    /// `kubeadm join --control-plane`: a member is added and started, and an API server with it.
    pub(crate) async fn join(&self, call: &Call) -> Outcome {
        Err(crate::not_here(call))
    }

    /// Brings an API server to its spec: names in its certificate, labels, version.
    pub(crate) async fn control_plane(&self, call: &Call, spec: &Spec) -> Outcome {
        let _ = spec;
        Err(crate::not_here(call))
    }

    /// Lets a worker join, or brings it to its spec.
    pub(crate) async fn worker(&self, call: &Call, spec: &Spec) -> Outcome {
        let _ = spec;
        Err(crate::not_here(call))
    }

    /// Changes the timing of a member.
    pub(crate) async fn member_settings(&self, call: &Call, spec: &Spec) -> Outcome {
        let _ = spec;
        Err(crate::not_here(call))
    }
}

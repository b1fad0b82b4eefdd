//! What differs between releases of Kubernetes in the words of kubeadm: the one place for it.
//!
//! Knows no cluster and no machine.

use quorate_engine::seam::{Fault, FaultClass};
use serde_json::{Value, json};

/// A release of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    minor: u32,
    text: String,
}

/// The versions of kubeadm's configuration (kubernetes.io, "kubeadm Configuration").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// From 1.15.
    V1beta2,
    /// From 1.22, which is the last to read its predecessor without a warning.
    V1beta3,
    /// From 1.31: extra arguments are lists, time-outs have a place of their own.
    V1beta4,
}

/// The oldest minor release that [`Dialect::V1beta2`] is read by.
const OLDEST: u32 = 15;

impl Release {
    /// From `1.35.2`, with or without a leading `v`.
    ///
    /// # Errors
    /// `Invalid`: not a version, or one whose kubeadm nobody here speaks with.
    pub(super) fn parse(version: &str) -> Result<Self, Fault> {
        let invalid = |why: &str| {
            let what = format!("spec.kubernetes.version: `{version}` {why}");
            Fault::new(FaultClass::Invalid, what)
        };
        let bare = version.strip_prefix('v').unwrap_or(version);
        let numbers: Vec<u32> = bare
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        let &[1, minor, _] = numbers.as_slice() else {
            return Err(invalid("is not one of Kubernetes: write 1.MINOR.PATCH"));
        };
        if minor < OLDEST {
            return Err(invalid("is too old: 1.15 is the first that can be set up"));
        }
        Ok(Self {
            minor,
            text: format!("v{bare}"),
        })
    }

    /// As kubeadm and the tags of images have it: `v1.35.2`.
    pub(super) fn tag(&self) -> &str {
        &self.text
    }

    fn dialect(&self) -> Dialect {
        match self.minor {
            0..22 => Dialect::V1beta2,
            22..31 => Dialect::V1beta3,
            31.. => Dialect::V1beta4,
        }
    }

    /// The API version of kubeadm's own documents.
    pub(super) fn api_version(&self) -> &'static str {
        match self.dialect() {
            Dialect::V1beta2 => "kubeadm.k8s.io/v1beta2",
            Dialect::V1beta3 => "kubeadm.k8s.io/v1beta3",
            Dialect::V1beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// Arguments of a component.
    pub(super) fn arguments(&self, arguments: &[(&str, String)]) -> Value {
        match self.dialect() {
            Dialect::V1beta2 | Dialect::V1beta3 => arguments
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Dialect::V1beta4 => arguments
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect(),
        }
    }

    /// Where the container runtime listens. A path became a URL with 1.24, which complains of paths.
    pub(super) fn runtime(&self) -> &'static str {
        if self.minor < 24 {
            "/run/containerd/containerd.sock"
        } else {
            "unix:///run/containerd/containerd.sock"
        }
    }

    /// Features that are there and off by default: a new member of etcd is a learner until it has
    /// caught up (alpha in 1.27, on since 1.29, locked in 1.32).
    pub(super) fn features(&self) -> Option<Value> {
        matches!(self.minor, 27 | 28).then(|| json!({"EtcdLearnerMode": true}))
    }

    /// Patience on slow and long ways, where the documents of init and join have a place for it.
    /// Defaults that stay: 4 min for the kubelet and for the components, 5 min for discovery and
    /// the kubelet's credentials. Raised: 1 min for calls of the API, 2 min for those of etcd, in
    /// which a learner has to catch up.
    pub(super) fn timeouts(&self) -> Option<Value> {
        (self.dialect() == Dialect::V1beta4).then(|| {
            json!({
                "controlPlaneComponentHealthCheck": "4m0s",
                "discovery": "5m0s",
                "etcdAPICall": "5m0s",
                "kubeletHealthCheck": "4m0s",
                "kubernetesAPICall": "2m0s",
                "tlsBootstrap": "5m0s",
            })
        })
    }

    /// The same in the words of before, where a place for it is in the description of the API
    /// server.
    pub(super) fn component_timeout(&self) -> Option<&'static str> {
        (self.dialect() != Dialect::V1beta4).then_some("4m0s")
    }

    /// And in the description of discovery.
    pub(super) fn discovery_timeout(&self) -> Option<&'static str> {
        (self.dialect() != Dialect::V1beta4).then_some("5m0s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_has_its_dialect() {
        for (version, api, runtime) in [
            ("1.15.0", "v1beta2", "/run"),
            ("v1.21.14", "v1beta2", "/run"),
            ("1.22.0", "v1beta3", "/run"),
            ("1.23.17", "v1beta3", "/run"),
            ("1.24.0", "v1beta3", "unix"),
            ("1.30.14", "v1beta3", "unix"),
            ("1.31.0", "v1beta4", "unix"),
            ("v1.35.2", "v1beta4", "unix"),
        ] {
            let release = Release::parse(version).unwrap();
            assert_eq!(release.api_version(), format!("kubeadm.k8s.io/{api}"));
            assert!(release.runtime().starts_with(runtime), "{version}");
            assert_eq!(
                release.tag(),
                format!("v{}", version.trim_start_matches('v'))
            );
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_its_place() {
        for version in ["", "1.35", "2.1.0", "1.14.10", "1.35.x", "latest"] {
            let fault = Release::parse(version).unwrap_err();
            assert_eq!(fault.class, FaultClass::Invalid, "{version}");
            assert!(fault.detail.contains("spec.kubernetes.version"), "{fault}");
        }
    }
}

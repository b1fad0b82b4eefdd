//! The documents that kubeadm reads: for a cluster, for its first control plane, for who joins.
//!
//! Pure: the manifest and a node's place go in, text comes out. It is JSON, which YAML contains.
//! What differs between releases stands in [`super::release`].

use super::release::Release;
use quorate_engine::graph::{api_name, certificate_names};
use quorate_engine::manifest::{CniName, Kubernetes, Manifest, Taint, TaintEffect};
use quorate_engine::seam::{Fault, FaultClass};
use serde_json::{Map, Value, json};
use std::fmt;

/// Port of the API server on control planes.
const API_PORT: u16 = 6443;

/// What a node fills in itself, from the static pods that run on it: a document may be made
/// without knowing it.
pub(super) const OF_NODE: Live<'static> = Live {
    address: "@ADDRESS@",
    heartbeat: "@HEARTBEAT@",
    election: "@ELECTION@",
    version: "@VERSION@",
};

/// The node fills it in, too.
const CERTIFICATE_KEY: &str = "@KEY@";

/// How long API servers serve on after they were told to end. Balancers ask twice a second and believe
/// the second answer (`quorate-hosts`).
const GOODBYE: &str = "5s";

/// What may differ from what the manifest says, or is known on the node only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live<'a> {
    /// Where the API server is found.
    pub(super) address: &'a str,
    /// Milliseconds.
    pub(super) heartbeat: &'a str,
    /// Milliseconds.
    pub(super) election: &'a str,
    /// As the tags of images have it.
    pub(super) version: &'a str,
}

/// A node that is to be.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Its name.
    pub(super) name: String,
    /// Its mesh address.
    pub(super) address: String,
    /// Its labels; those that a kubelet may not give itself are left out.
    pub(super) labels: &'a [(String, String)],
    /// Its taints.
    pub(super) taints: &'a [Taint],
}

/// What lets a node join. It is in the hands of this process for as long as that takes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    /// A bootstrap token.
    pub(super) token: String,
    /// What the cluster's certificate authority is known by.
    pub(super) authority: String,
    /// Opens the uploaded certificates; for control planes.
    pub(super) certificate_key: Option<String>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Makes documents of one cluster.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    manifest: &'a Manifest,
    settings: &'a Kubernetes,
    release: Release,
}

impl<'a> Documents<'a> {
    /// Of this manifest.
    ///
    /// # Errors
    /// `Invalid`: it has no Kubernetes, or a version that is none.
    pub(super) fn of(manifest: &'a Manifest) -> Result<Self, Fault> {
        let Some(settings) = &manifest.spec.kubernetes else {
            let what = "spec.kubernetes: nothing is said of Kubernetes, so there is none to set up";
            return Err(Fault::new(FaultClass::Invalid, what));
        };
        let release = Release::parse(&settings.version)?;
        Ok(Self {
            manifest,
            settings,
            release,
        })
    }

    /// What the manifest says of Kubernetes.
    pub(super) fn settings(&self) -> &Kubernetes {
        self.settings
    }

    /// Which release it asks for.
    pub(super) fn release(&self) -> &Release {
        &self.release
    }

    /// Names and addresses that API servers' certificates are valid for.
    pub(super) fn names(&self) -> Vec<String> {
        certificate_names(self.manifest, self.settings)
    }

    /// For the first control plane.
    pub(super) fn init(&self, place: &Place<'_>, live: Live<'_>) -> String {
        let mut init = self.kubeadm("InitConfiguration");
        // Nobody uses this one: whoever joins gets a token of its own.
        init.insert("bootstrapTokens".into(), json!([{"ttl": "5m0s"}]));
        init.insert("localAPIEndpoint".into(), endpoint(live.address));
        init.insert("nodeRegistration".into(), self.registration(place));
        if let Some(timeouts) = self.release.timeouts() {
            init.insert("timeouts".into(), timeouts);
        }
        let mut documents = vec![init, self.cluster(live), self.kubelet()];
        documents.extend(self.kube_proxy());
        text(documents)
    }

    /// For single phases of `kubeadm init` on a control plane: the node fills in [`OF_NODE`].
    pub(super) fn phase(&self, live: Live<'_>) -> String {
        let mut init = self.kubeadm("InitConfiguration");
        init.insert("localAPIEndpoint".into(), endpoint(live.address));
        text([init, self.cluster(live)])
    }

    /// For the upload of the certificates that control planes share. The node fills in its part
    /// and a key.
    pub(super) fn upload(&self) -> String {
        let mut init = self.kubeadm("InitConfiguration");
        init.insert("certificateKey".into(), json!(CERTIFICATE_KEY));
        init.insert("localAPIEndpoint".into(), endpoint(OF_NODE.address));
        text([init, self.cluster(OF_NODE)])
    }

    /// For whoever joins by `endpoint`; a control plane if the ticket opens certificates.
    pub(super) fn join(&self, place: &Place<'_>, ticket: &Ticket, endpoint_: &str) -> String {
        let mut join = self.kubeadm("JoinConfiguration");
        let mut discovery = Map::new();
        let token = json!({
            "token": ticket.token,
            "apiServerEndpoint": endpoint_,
            "caCertHashes": [ticket.authority],
        });
        discovery.insert("bootstrapToken".into(), token);
        if let Some(timeout) = self.release.discovery_timeout() {
            discovery.insert("timeout".into(), json!(timeout));
        }
        join.insert("discovery".into(), discovery.into());
        join.insert("nodeRegistration".into(), self.registration(place));
        if let Some(key) = &ticket.certificate_key {
            let plane = json!({
                "localAPIEndpoint": endpoint(&place.address),
                "certificateKey": key,
            });
            join.insert("controlPlane".into(), plane);
        }
        if let Some(timeouts) = self.release.timeouts() {
            join.insert("timeouts".into(), timeouts);
        }
        text([join])
    }

    fn cluster(&self, live: Live<'_>) -> Map<String, Value> {
        let (settings, release) = (self.settings, &self.release);
        let mut cluster = self.kubeadm("ClusterConfiguration");
        let mut put = |name: &str, value: Value| {
            cluster.insert(name.to_owned(), value);
        };
        put("kubernetesVersion", json!(live.version));
        put("clusterName", json!(self.manifest.metadata.name));
        let endpoint = format!("{}:{API_PORT}", api_name(self.manifest));
        put("controlPlaneEndpoint", json!(endpoint));
        if let Some(repository) = &settings.image_repository {
            put("imageRepository", json!(repository));
        }
        let networking = json!({
            "podSubnet": settings.pod_cidr.to_string(),
            "serviceSubnet": settings.service_cidr.to_string(),
        });
        put("networking", networking);
        let mut server = Map::new();
        server.insert("certSANs".into(), json!(self.names()));
        // One that is told to end says at once that it is not ready, and serves until balancers know.
        let arguments = release.arguments(&[("shutdown-delay-duration", GOODBYE.to_owned())]);
        server.insert("extraArgs".into(), arguments);
        if let Some(timeout) = release.component_timeout() {
            server.insert("timeoutForControlPlane".into(), json!(timeout));
        }
        put("apiServer", server.into());
        if settings.cni.name == CniName::Bridge {
            // Which pods are where is the mesh's there, and kubeadm's numbers would be other ones.
            let arguments = release.arguments(&[("allocate-node-cidrs", "false".to_owned())]);
            put("controllerManager", json!({"extraArgs": arguments}));
        }
        let mut etcd = Map::new();
        if let Some(version) = &settings.etcd.version {
            // The tag of kubeadm's own image of etcd: the version, and how often it was made anew.
            etcd.insert("imageTag".into(), json!(format!("{version}-0")));
        }
        let arguments = [
            ("heartbeat-interval", live.heartbeat.to_owned()),
            ("election-timeout", live.election.to_owned()),
            ("listen-metrics-urls", "http://127.0.0.1:2381".to_owned()),
        ];
        etcd.insert("extraArgs".into(), release.arguments(&arguments));
        put("etcd", json!({"local": etcd}));
        if let Some(features) = release.features() {
            put("featureGates", features);
        }
        cluster
    }

    fn kubelet(&self) -> Map<String, Value> {
        let ours = json!({"cgroupDriver": "systemd"});
        let kind = ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration");
        merged(kind, ours, &self.settings.kubelet)
    }

    fn kube_proxy(&self) -> Option<Map<String, Value>> {
        let theirs = &self.settings.kube_proxy;
        let kind = ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration");
        (!theirs.is_empty()).then(|| merged(kind, json!({}), theirs))
    }

    fn registration(&self, place: &Place<'_>) -> Value {
        let labels = place.labels.iter().filter(|(key, _)| may_label_itself(key));
        let labels: Vec<_> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut arguments = vec![("node-ip", place.address.clone())];
        if !labels.is_empty() {
            arguments.push(("node-labels", labels.join(",")));
        }
        let taints: Vec<_> = place.taints.iter().map(taint).collect();
        json!({
            "name": place.name,
            "criSocket": self.release.runtime(),
            "taints": taints,
            "kubeletExtraArgs": self.release.arguments(&arguments),
        })
    }

    fn kubeadm(&self, kind: &str) -> Map<String, Value> {
        begun(self.release.api_version(), kind)
    }
}

fn begun(api_version: &str, kind: &str) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("apiVersion".into(), json!(api_version));
    document.insert("kind".into(), json!(kind));
    document
}

fn endpoint(address: &str) -> Value {
    json!({"advertiseAddress": address, "bindPort": API_PORT})
}

fn taint(taint: &Taint) -> Value {
    let effect = match taint.effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    let mut value = Map::new();
    value.insert("key".into(), json!(taint.key));
    if !taint.value.is_empty() {
        value.insert("value".into(), json!(taint.value));
    }
    value.insert("effect".into(), json!(effect));
    value.into()
}

/// Whether a kubelet may give itself this label (kubernetes.io, "NodeRestriction"): those of
/// Kubernetes' own domains are kept from it but for a few.
fn may_label_itself(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return true;
    };
    let below = |parent: &str| {
        domain
            .strip_suffix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !below("kubernetes.io") && !below("k8s.io") {
        return true;
    }
    if below("node-restriction.kubernetes.io") {
        return false;
    }
    let known = [
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    known.contains(&key) || below("kubelet.kubernetes.io") || below("node.kubernetes.io")
}

/// A document of which the manifest may change everything that is ours.
fn merged<'a>(
    (api_version, kind): (&str, &str),
    ours: Value,
    theirs: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Map<String, Value> {
    let mut document = begun(api_version, kind);
    let Value::Object(ours) = ours else {
        unreachable!("settings of ours are written as an object")
    };
    document.extend(ours);
    for (name, value) in theirs {
        over(document.entry(name.clone()).or_insert(Value::Null), value);
    }
    document
}

/// Objects are merged, everything else is replaced.
fn over(below: &mut Value, above: &Value) {
    if let (Value::Object(below), Value::Object(above)) = (&mut *below, above) {
        for (name, value) in above {
            over(below.entry(name.clone()).or_insert(Value::Null), value);
        }
    } else {
        *below = above.clone();
    }
}

fn text(documents: impl IntoIterator<Item = Map<String, Value>>) -> String {
    let texts: Vec<_> = documents
        .into_iter()
        .map(|document| serde_json::to_string_pretty(&document).expect("plain data"))
        .collect();
    texts.join("\n---\n") + "\n"
}

#[cfg(test)]
pub(crate) mod tests;

//! Network plugins, with pod addresses and MTU as the mesh wants them: packets between nodes go
//! through the mesh, so its interface is the underlay, and what VXLAN adds comes off its MTU.

use quorate_engine::manifest::{CniName, Kubernetes, Manifest, Mtu};
use quorate_engine::seam::{Fault, FaultClass};
use serde_json::{Value, json};

/// The mesh's interface on every node.
const INTERFACE: &str = "quorate0";
/// VXLAN over IPv4: 20 IPv4 + 8 UDP + 8 VXLAN + 14 Ethernet (RFC 7348), in bytes.
const VXLAN_OVERHEAD: u16 = 50;
/// The mesh's own MTU where the manifest does not say another: 1500 less WireGuard over IPv6.
const MESH_MTU: u16 = 1420;

/// Where the manifest of a release is that is known to work.
pub(super) fn release(name: CniName) -> Option<&'static str> {
    match name {
        CniName::Flannel => {
            Some("https://github.com/flannel-io/flannel/releases/download/v0.26.1/kube-flannel.yml")
        }
        CniName::Calico => Some(
            "https://raw.githubusercontent.com/projectcalico/calico/v3.29.1/manifests/calico.yaml",
        ),
        CniName::Cilium | CniName::Bridge => None,
    }
}

/// The MTU of pods' interfaces behind VXLAN, in bytes.
fn pod_mtu(manifest: &Manifest, kubernetes: &Kubernetes) -> u16 {
    match (kubernetes.cni.mtu, manifest.spec.mesh.mtu) {
        (Mtu::Fixed(bytes), _) => bytes,
        (Mtu::Auto, Mtu::Fixed(mesh)) => mesh.saturating_sub(VXLAN_OVERHEAD),
        (Mtu::Auto, Mtu::Auto) => MESH_MTU - VXLAN_OVERHEAD,
    }
}

fn kubernetes(manifest: &Manifest) -> &Kubernetes {
    let kubernetes = manifest.spec.kubernetes.as_ref();
    kubernetes.expect("a network plugin is part of Kubernetes")
}

/// Flannel over VXLAN through the mesh.
pub(super) fn flannel(mut objects: Vec<Value>, manifest: &Manifest) -> Result<Vec<Value>, Fault> {
    let settings = kubernetes(manifest);
    let config = named(&mut objects, "ConfigMap", "kube-flannel-cfg")?;
    let text = config["data"]["net-conf.json"].as_str().unwrap_or_default();
    let mut net: Value = serde_json::from_str(text).map_err(|_| strange("net-conf.json"))?;
    net["Network"] = json!(settings.pod_cidr.to_string());
    // Flannel counts from the underlay, and takes VXLAN's share off by itself.
    let under = pod_mtu(manifest, settings) + VXLAN_OVERHEAD;
    net["Backend"] = json!({"Type": "vxlan", "MTU": under});
    config["data"]["net-conf.json"] = json!(serde_json::to_string(&net).expect("plain data"));

    let daemons = named(&mut objects, "DaemonSet", "kube-flannel-ds")?;
    let arguments = container(daemons, "kube-flannel")?["args"].as_array_mut();
    let arguments = arguments.ok_or_else(|| strange("the arguments of flannel"))?;
    let ours = format!("--iface={INTERFACE}");
    arguments.retain(|argument| !argument.as_str().is_some_and(|a| a.starts_with("--iface=")));
    arguments.push(json!(ours));
    Ok(objects)
}

/// Calico over VXLAN through the mesh, without BGP.
pub(super) fn calico(mut objects: Vec<Value>, manifest: &Manifest) -> Result<Vec<Value>, Fault> {
    let settings = kubernetes(manifest);
    let config = named(&mut objects, "ConfigMap", "calico-config")?;
    config["data"]["veth_mtu"] = json!(pod_mtu(manifest, settings).to_string());
    config["data"]["calico_backend"] = json!("vxlan");

    let daemons = named(&mut objects, "DaemonSet", "calico-node")?;
    let node = container(daemons, "calico-node")?;
    for probe in ["livenessProbe", "readinessProbe"] {
        if let Some(command) = node[probe]["exec"]["command"].as_array_mut() {
            // Nobody speaks BGP here: what asks for it would never answer.
            command.retain(|word| !word.as_str().is_some_and(|word| word.starts_with("-bird-")));
        }
    }
    let variables = node["env"].as_array_mut();
    let variables = variables.ok_or_else(|| strange("the environment of calico-node"))?;
    for (name, value) in [
        ("CALICO_IPV4POOL_CIDR", settings.pod_cidr.to_string()),
        ("CALICO_IPV4POOL_IPIP", "Never".to_owned()),
        ("CALICO_IPV4POOL_VXLAN", "Always".to_owned()),
        ("IP_AUTODETECTION_METHOD", format!("interface={INTERFACE}")),
    ] {
        variables.retain(|variable| variable["name"] != name);
        variables.push(json!({"name": name, "value": value}));
    }
    Ok(objects)
}

fn named<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> Result<&'a mut Value, Fault> {
    let mut objects = objects.iter_mut();
    let found = objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.ok_or_else(|| strange(&format!("{kind} {name}")))
}

fn container<'a>(object: &'a mut Value, name: &str) -> Result<&'a mut Value, Fault> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut();
    let mut containers = containers.into_iter().flatten();
    let found = containers.find(|container| container["name"] == name);
    found.ok_or_else(|| strange(&format!("the container {name}")))
}

fn strange(what: &str) -> Fault {
    let what = format!("the network plugin's manifest has no {what} where it is expected");
    Fault::new(FaultClass::Invalid, what)
}

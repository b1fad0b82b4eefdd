//! Clusters of any size across three clouds, by a rule without luck.

use serde_json::{Value, json};

/// Three clouds: name, provider type, region, machine type.
const CLOUDS: [(&str, &str, &str, &str); 3] = [
    ("htz", "hetzner", "fsn1", "cx43"),
    ("aws", "aws", "eu-central-1", "m6i.xlarge"),
    ("gcp", "gcp", "europe-west3", "e2-standard-4"),
];

/// Nodes that are no workers: a control plane and a load balancer in each cloud.
pub const OTHERS: u32 = 6;

/// A manifest of so many nodes, workers in all three clouds, with volumes of three copies.
#[must_use]
pub fn manifest(nodes: u32) -> Value {
    let workers = nodes - OTHERS;
    let cloud = |(name, kind, ..): &(&str, &str, &str, &str)| json!({"name": name, "type": kind});
    let mut providers: Vec<Value> = CLOUDS.iter().map(cloud).collect();
    providers.push(json!({"name": "cf", "type": "cloudflare"}));
    let mut pools = Vec::new();
    for (index, (name, _, region, machine)) in CLOUDS.iter().enumerate() {
        let share = (workers + index as u32) / CLOUDS.len() as u32;
        for (role, count) in [
            ("control-plane", 1),
            ("load-balancer", 1),
            ("worker", share),
        ] {
            pools.push(json!({
                "name": format!("{role}-{name}"), "provider": name, "region": region,
                "count": count, "machineType": machine, "image": "debian-12", "roles": [role],
            }));
        }
    }
    let entries = CLOUDS.map(|(name, ..)| format!("load-balancer-{name}"));
    let role =
        |name: &str, kind: &str, port: u16| json!({"name": name, "kind": kind, "port": port});
    let balancer = |name: &str, role| json!({"name": name, "pools": &entries, "roles": [role]});
    let record = |name: &str| {
        json!({"provider": "cf", "zone": "example.com", "hostname": name, "loadBalancer": name,
               "healthCheck": {"interval": "10s", "threshold": 3, "timeout": "2s"}})
    };
    json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {
            "kubernetes": {"version": "1.35.2"}, "providers": providers, "nodePools": pools,
            "mesh": {"cidr": "10.64.0.0/12"},
            "loadBalancers": [balancer("api", role("api", "api", 6443)),
                              balancer("web", role("https", "ingress", 443))],
            "dns": [record("api"), record("web")],
            "storage": {"engine": "longhorn", "replicas": 3, "spread": "provider"},
        }
    })
}

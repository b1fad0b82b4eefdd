use super::*;
use crate::fake::{Etcd, FakeApi, Lab, access, call, credentials, manifest, plane};
use quorate_engine::manifest::{
    Domain, Manifest, Mtu, Preference, Spread, Storage, StorageEngine, WhenUnsatisfiable, Workload,
};
use quorate_engine::resource::Workplace;
use quorate_engine::seam::{FaultClass, Verb};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

const FLANNEL: &str = r#"
kind: ConfigMap
apiVersion: v1
metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
data:
  cni-conf.json: "{}"
  net-conf.json: |
    {"Network": "10.244.0.0/16", "EnableNFTables": false, "Backend": {"Type": "vxlan"}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec:
  template:
    spec:
      containers:
      - name: kube-flannel
        args: [--ip-masq, --kube-subnet-mgr]
"#;

const CALICO: &str = r#"
kind: ConfigMap
apiVersion: v1
metadata: {name: calico-config, namespace: kube-system}
data: {veth_mtu: "0", calico_backend: bird}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: calico-node, namespace: kube-system}
spec:
  template:
    spec:
      containers:
      - name: calico-node
        env:
        - {name: CALICO_IPV4POOL_IPIP, value: Always}
        - {name: IP, value: autodetect}
        livenessProbe: {exec: {command: [/bin/calico-node, -felix-live, -bird-live]}}
"#;

/// The manifest of tests with another pod network and MTU.
fn with_network(mtu: Mtu, mesh: Mtu) -> Manifest {
    let mut manifest = Manifest::clone(&manifest());
    manifest.spec.mesh.mtu = mesh;
    let kubernetes = manifest.spec.kubernetes.as_mut().unwrap();
    kubernetes.pod_cidr = "10.99.0.0/16".parse().unwrap();
    kubernetes.cni.mtu = mtu;
    manifest
}

/// Two providers with workers: two nodes and one.
fn with_storage(engine: StorageEngine, spread: Domain) -> Manifest {
    let mut manifest = Manifest::clone(&manifest());
    let pools = &mut manifest.spec.node_pools;
    let mut other = pools[1].clone();
    other.provider = "far".to_owned();
    let host = other.hosts[0].clone();
    other.hosts.push(host);
    pools.push(other);
    manifest.spec.storage = Some(Storage {
        engine,
        replicas: 2,
        spread,
        manifest: None,
    });
    manifest
}

#[test]
fn flannel_goes_through_the_mesh_and_counts_from_its_mtu() {
    for (mtu, mesh, expected) in [
        (Mtu::Auto, Mtu::Auto, 1420),
        (Mtu::Auto, Mtu::Fixed(1380), 1380),
        (Mtu::Fixed(1300), Mtu::Auto, 1350),
    ] {
        let objects = read::objects(FLANNEL).unwrap();
        let objects = cni::flannel(objects, &with_network(mtu, mesh)).unwrap();
        let net = objects[0]["data"]["net-conf.json"].as_str().unwrap();
        let net: Value = serde_json::from_str(net).unwrap();
        assert_eq!(net["Network"], "10.99.0.0/16");
        assert_eq!(net["Backend"], json!({"Type": "vxlan", "MTU": expected}));
        assert_eq!(net["EnableNFTables"], false, "the rest stays");
        let container = &objects[1]["spec"]["template"]["spec"]["containers"][0];
        let expected = json!(["--ip-masq", "--kube-subnet-mgr", "--iface=quorate0"]);
        assert_eq!(container["args"], expected);
    }
    let fault = cni::flannel(Vec::new(), &with_network(Mtu::Auto, Mtu::Auto)).unwrap_err();
    assert_eq!(fault.class, FaultClass::Invalid);
}

#[test]
fn calico_goes_through_the_mesh_without_bgp() {
    let objects = read::objects(CALICO).unwrap();
    let objects = cni::calico(objects, &with_network(Mtu::Auto, Mtu::Auto)).unwrap();
    let expected = json!({"veth_mtu": "1370", "calico_backend": "vxlan"});
    assert_eq!(objects[0]["data"], expected);
    let container = &objects[1]["spec"]["template"]["spec"]["containers"][0];
    let variable = |name: &str| {
        let all = container["env"].as_array().unwrap();
        let mut found = all.iter().filter(|variable| variable["name"] == name);
        let value = found.next().unwrap()["value"].as_str().unwrap().to_owned();
        assert!(found.next().is_none(), "{name} stands there once");
        value
    };
    assert_eq!(variable("CALICO_IPV4POOL_CIDR"), "10.99.0.0/16");
    assert_eq!(variable("CALICO_IPV4POOL_IPIP"), "Never");
    assert_eq!(variable("CALICO_IPV4POOL_VXLAN"), "Always");
    assert_eq!(variable("IP_AUTODETECTION_METHOD"), "interface=quorate0");
    assert_eq!(variable("IP"), "autodetect");
    let probe = &container["livenessProbe"]["exec"]["command"];
    assert_eq!(*probe, json!(["/bin/calico-node", "-felix-live"]));
}

#[test]
fn longhorn_keeps_copies_apart_as_the_manifest_says() {
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}});
    let release = || {
        vec![
            map("longhorn-default-setting"),
            map("longhorn-storageclass"),
        ]
    };
    for (spread, soft) in [(Domain::Node, "true"), (Domain::Provider, "false")] {
        let objects = longhorn::settings(release(), 2, spread).unwrap();
        let settings = objects[0]["data"]["default-setting.yaml"].as_str().unwrap();
        let settings: Value = serde_json::from_str(settings).unwrap();
        assert_eq!(settings["replica-zone-soft-anti-affinity"], soft);
        assert_eq!(settings["default-replica-count"], "2");
        let class = objects[1]["data"]["storageclass.yaml"].as_str().unwrap();
        let class: Value = serde_json::from_str(class).unwrap();
        assert_eq!(class["parameters"]["numberOfReplicas"], "2");
        assert_eq!(class["metadata"]["name"], "longhorn");
    }
    assert!(
        longhorn::settings(Vec::new(), 2, Domain::Node).is_err(),
        "another release"
    );

    let manifest = with_storage(StorageEngine::Longhorn, Domain::Provider);
    let classes = longhorn::classes(&manifest, 2);
    let shape = |class: &Value| {
        let parameters = &class["parameters"];
        json!([
            class["metadata"]["name"],
            parameters["numberOfReplicas"],
            parameters["nodeSelector"]
        ])
    };
    let expected = [
        json!(["longhorn-own", "1", "provider-own"]),
        json!(["longhorn-far", "2", "provider-far"]),
    ];
    assert_eq!(classes.iter().map(shape).collect::<Vec<_>>(), expected);
    let tags = longhorn::node_tags("far");
    assert_eq!(tags.1, r#"["provider-far"]"#, "what the classes select");
}

#[tokio::test]
async fn releases_come_from_files_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path.to_str().unwrap().to_owned())
    };
    let map = |name: &str| {
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{}}\n")
    };
    let maps = map("longhorn-default-setting") + &map("longhorn-storageclass");
    let pool = |engine, manifest| Spec::StoragePool {
        engine,
        replicas: 2,
        spread: Domain::Provider,
        manifest,
    };
    let of = async |pool: Spec| {
        let manifest = with_storage(StorageEngine::Longhorn, Domain::Provider);
        let objects = releases::storage(&manifest, &pool).await;
        objects.map(|all| {
            all.iter()
                .map(|it| it["kind"].to_string())
                .collect::<String>()
        })
    };
    let longhorn = pool(StorageEngine::Longhorn, write("longhorn.yaml", &maps));
    let expected = r#""ConfigMap""ConfigMap""StorageClass""StorageClass""#;
    assert_eq!(of(longhorn).await.unwrap(), expected);
    let rook = pool(
        StorageEngine::RookCeph,
        write("rook.yaml", &map("operator")),
    );
    let kinds = of(rook).await.unwrap();
    assert!(kinds.starts_with(r#""ConfigMap""CephCluster""#), "{kinds}");

    for (bad, why) in [
        (write("flannel.yaml", FLANNEL), "no ConfigMap longhorn"),
        (write("broken.yaml", "a: [1"), "line 1"),
        (Some("no-such-file.yaml".to_owned()), "no-such-file.yaml"),
    ] {
        let fault = of(pool(StorageEngine::Longhorn, bad)).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Invalid);
        assert!(fault.detail.contains(why), "{fault}");
    }
}

#[test]
fn ceph_keeps_copies_apart_as_the_manifest_says() {
    let shape = |spread| {
        let manifest = with_storage(StorageEngine::RookCeph, spread);
        let objects = rook::cluster(&manifest, 2, spread);
        let pool = objects
            .iter()
            .find(|o| o["kind"] == "CephBlockPool")
            .unwrap();
        let mons = &objects[0]["spec"]["placement"]["mon"]["topologySpreadConstraints"][0];
        (
            pool["spec"]["failureDomain"].clone(),
            mons["topologyKey"].clone(),
            objects.len(),
        )
    };
    let expected = |domain: &str, key: &str, count| (json!(domain), json!(key), count);
    assert_eq!(
        shape(Domain::Node),
        expected("host", "kubernetes.io/hostname", 3)
    );
    assert_eq!(
        shape(Domain::Zone),
        expected("zone", "topology.kubernetes.io/zone", 3)
    );
    let regions = expected("region", "topology.kubernetes.io/region", 7);
    assert_eq!(
        shape(Domain::Provider),
        regions,
        "and a pool with a class for each"
    );

    let manifest = with_storage(StorageEngine::RookCeph, Domain::Provider);
    let objects = rook::cluster(&manifest, 3, Domain::Provider);
    let pool = |name: &str| {
        let mut pools = objects.iter().filter(|o| o["kind"] == "CephBlockPool");
        let found = pools.find(|pool| pool["metadata"]["name"] == name);
        found.unwrap()["spec"].clone()
    };
    let far = pool("replicated-far");
    assert_eq!(
        (&far["crushRoot"], &far["replicated"]["size"]),
        (&json!("far"), &json!(2))
    );
    let own = pool("replicated-own");
    assert_eq!(
        own["replicated"],
        json!({"size": 1, "requireSafeReplicaSize": false})
    );
    for class in objects.iter().filter(|o| o["kind"] == "StorageClass") {
        let named = class["parameters"]["pool"].as_str().unwrap();
        pool(named);
        assert!(class["parameters"]["csi.storage.k8s.io/node-stage-secret-name"].is_string());
    }
}

#[test]
fn the_label_that_storage_reads_names_the_domain() {
    let place = Workplace {
        labels: [
            (placement::PROVIDER, "own"),
            (placement::REGION, "r"),
            (placement::ZONE, "z"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec(),
        taints: Vec::new(),
    };
    let labels = |engine, spread| {
        let manifest = with_storage(engine, spread);
        let place = placement::workplace(&manifest, &place);
        place
            .labels
            .into_iter()
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
            .join(" ")
    };
    use StorageEngine::{Longhorn, RookCeph};
    assert_eq!(labels(Longhorn, Domain::Zone), "own r z");
    assert_eq!(labels(Longhorn, Domain::Region), "own r r");
    assert_eq!(labels(Longhorn, Domain::Provider), "own r own");
    assert_eq!(labels(RookCeph, Domain::Provider), "own own z");
    assert_eq!(
        placement::workplace(&manifest(), &place),
        place,
        "without storage"
    );
}

#[test]
fn pods_are_near_their_data_and_never_all_in_one_place() {
    let workload = |replicas, provider: Option<&str>| Workload {
        name: "web".to_owned(),
        replicas,
        requests: quorate_engine::manifest::Resources::default(),
        data: None,
        prefer: provider.map(|provider| Preference {
            provider: provider.to_owned(),
        }),
        traffic: None,
        spread: None,
        min_available: None,
        growth: None,
    };
    let fields = placement::affinity(&manifest(), &workload(3, Some("own")));
    let preferred =
        &fields["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    let expected = json!([{"key": "quorate.dev/provider", "operator": "In", "values": ["own"]}]);
    assert_eq!(preferred["preference"]["matchExpressions"], expected);
    let spread = &fields["topologySpreadConstraints"][0];
    assert_eq!(
        (&spread["maxSkew"], &spread["topologyKey"]),
        (&json!(2), &json!(placement::PROVIDER))
    );
    assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway");
    let fields = placement::affinity(&manifest(), &workload(3, None));
    assert_eq!(fields.get("affinity"), None);
    assert_eq!(fields["topologySpreadConstraints"][0]["maxSkew"], 1);
    assert_eq!(
        placement::affinity(&manifest(), &workload(1, None)),
        json!({})
    );
}

#[test]
fn a_spread_of_its_own_counts_where_pods_may_be_and_reads_the_true_place() {
    use StorageEngine::Longhorn;
    let workload = |across, replicas| Workload {
        name: "web".to_owned(),
        replicas,
        requests: quorate_engine::manifest::Resources::default(),
        data: None,
        prefer: None,
        traffic: None,
        spread: Some(Spread {
            across,
            max_skew: 2,
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
        }),
        min_available: None,
        growth: None,
    };
    for (storage, across, key) in [
        (Domain::Zone, Domain::Zone, placement::ZONE),
        (Domain::Provider, Domain::Zone, "quorate.dev/zone"),
        (Domain::Provider, Domain::Region, placement::REGION),
        (Domain::Provider, Domain::Provider, placement::PROVIDER),
        (Domain::Provider, Domain::Node, "kubernetes.io/hostname"),
    ] {
        let mut manifest = with_storage(Longhorn, storage);
        let fields = placement::affinity(&manifest, &workload(across, 3));
        let constraints = fields["topologySpreadConstraints"].as_array().unwrap();
        let expected = json!({
            "maxSkew": 2, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": "Honor",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
        });
        assert_eq!(constraints[0], expected);
        // The usual preference stays, where it says something else.
        let usual = usize::from(across != Domain::Provider);
        assert_eq!(constraints.len(), 1 + usual);
        // An API server that does not know the field refuses it.
        let mut old = manifest.clone();
        old.spec.kubernetes.as_mut().unwrap().version = "1.25.16".to_owned();
        let fields = placement::affinity(&old, &workload(across, 3));
        assert_eq!(
            fields["topologySpreadConstraints"][0].get("nodeTaintsPolicy"),
            None
        );
        // And nodes have the label that it reads.
        manifest.spec.workloads = vec![workload(across, 3)];
        let place = Workplace {
            labels: [
                (placement::PROVIDER, "own"),
                (placement::REGION, "r"),
                (placement::ZONE, "z"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
            taints: Vec::new(),
        };
        let labels = placement::workplace(&manifest, &place).labels;
        let mut values = labels.iter().filter(|(label, _)| label == key);
        let true_place = match across {
            Domain::Node => None,
            Domain::Zone => Some("z"),
            Domain::Region => Some("r"),
            Domain::Provider => Some("own"),
        };
        assert_eq!(values.next().map(|(_, value)| value.as_str()), true_place);
    }
}

#[test]
fn a_budget_says_how_many_pods_a_drain_leaves() {
    let mut manifest = Manifest::clone(&manifest());
    let budget = |manifest: &Manifest, replicas, kept| {
        let workload: Workload = serde_json::from_value(json!({
            "name": "web", "replicas": replicas, "minAvailable": kept,
        }))
        .unwrap();
        placement::disruption_budget(manifest, &workload)
    };
    let usual = budget(&manifest, 3, None).unwrap();
    assert_eq!(usual["spec"]["minAvailable"], 2);
    assert_eq!(usual["apiVersion"], "policy/v1");
    let labels = &usual["spec"]["selector"]["matchLabels"];
    assert_eq!(*labels, json!({"app.kubernetes.io/name": "web"}));
    assert_eq!(
        budget(&manifest, 3, Some(1)).unwrap()["spec"]["minAvailable"],
        1
    );
    assert_eq!(budget(&manifest, 1, None), None, "a single pod may go");
    assert_eq!(budget(&manifest, 3, Some(0)), None);
    for (version, expected) in [("v1.20.15", "policy/v1beta1"), ("1.21.0", "policy/v1")] {
        let kubernetes = manifest.spec.kubernetes.as_mut().unwrap();
        kubernetes.version = version.to_owned();
        assert_eq!(budget(&manifest, 3, None).unwrap()["apiVersion"], expected);
    }
}

#[tokio::test]
async fn objects_are_applied_and_the_mark_is_seen() {
    if !Etcd::there() {
        return;
    }
    let etcd = Etcd::found(1);
    let api = FakeApi::serve(&etcd.pki).await;
    let here = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let mut lab = Lab::default();
    let member = SocketAddr::from((etcd.address(1), 2379));
    lab.routes.insert((plane(1), here(2379)), member);
    lab.routes.insert((plane(1), here(6443)), api.at);
    lab.credentials.insert(plane(1), credentials(&etcd.pki));
    let access = access(&Arc::new(lab));
    let look = call(Verb::Cluster, &plane(1), &[plane(1)]);
    assert_eq!(access.view(&look).await.unwrap().storage, None);

    let objects = [
        mark(0xABC),
        json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "there"}}),
    ];
    access.manifests(&look.addresses, &objects).await.unwrap();
    assert!(api.get("/api/v1/namespaces/there").is_some());
    assert_eq!(access.view(&look).await.unwrap().storage, Some(0xABC));
    let asked = api.store.lock().unwrap().asked.join("\n");
    assert!(
        asked.contains("fieldManager=quorate") && asked.contains("force=true"),
        "{asked}"
    );

    let unknown = [
        json!({"apiVersion": "ceph.rook.io/v1", "kind": "CephCluster",
        "metadata": {"name": "c"}}),
    ];
    let fault = access
        .manifests(&look.addresses, &unknown)
        .await
        .unwrap_err();
    assert_eq!(
        fault.class,
        FaultClass::Busy,
        "its definition may be on its way: {fault}"
    );
}

//! Whole documents with what becomes of them, and each rule by itself.

use crate::diagnostic::Diagnostic;
use crate::manifest::{Loaded, Manifest, Source, load};
use proptest::prelude::*;
use serde::Serialize;

/// One part per line, so that a golden file can be read.
fn rendered(manifest: &Manifest) -> String {
    fn lines<T: Serialize>(out: &mut String, name: &str, parts: &[T]) {
        for part in parts {
            let part = serde_json::to_value(part).unwrap();
            let fields = part.as_object().unwrap();
            let fields = fields.iter().filter(|(_, value)| {
                !matches!(value.to_string().as_str(), "[]" | "{}" | "false" | "null")
            });
            let fields: Vec<_> = fields.map(|(k, v)| format!("{k}={v}")).collect();
            *out += &format!("{name} {}\n", fields.join(" "));
        }
    }
    let mut out = format!("cluster {}\n", manifest.metadata.name);
    let spec = &manifest.spec;
    lines(
        &mut out,
        "kubernetes",
        std::slice::from_ref(&spec.kubernetes),
    );
    lines(&mut out, "provider", &spec.providers);
    lines(&mut out, "pool", &spec.node_pools);
    lines(&mut out, "mesh", std::slice::from_ref(&spec.mesh));
    lines(&mut out, "balancer", &spec.load_balancers);
    lines(&mut out, "dns", &spec.dns);
    lines(&mut out, "storage", spec.storage.as_slice());
    out
}

fn line(diagnostic: &Diagnostic) -> String {
    let Diagnostic { finding, span } = diagnostic;
    assert!(!finding.fix.is_empty(), "{finding:?}");
    let (line, column) = (span.line, span.column);
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let (code, message, fix) = (finding.code, &finding.message, &finding.fix);
    format!("{line}:{column} {severity} {code}: {message} -> {fix}\n")
}

fn golden(name: &str, text: &str, cluster: Option<&str>) -> Loaded {
    let loaded = load(text.as_bytes(), cluster);
    let mut out = loaded.manifest.as_ref().map(rendered).unwrap_or_default();
    out.extend(loaded.diagnostics.iter().map(line));
    insta::assert_snapshot!(name, out);
    if let Some(manifest) = &loaded.manifest {
        // What comes out is a manifest that can be written down and read again.
        let json = serde_json::to_vec(manifest).unwrap();
        let again = load(&json, None);
        assert_eq!(again.diagnostics, []);
        assert_eq!(again.manifest.as_ref(), Some(manifest));
    }
    loaded
}

#[test]
fn documents_become_manifests() {
    let shared = include_str!("tests/shared-pools.yaml");
    assert_eq!(
        golden("shared-pools-prod", shared, Some("prod")).source,
        Some(Source::Claudie)
    );
    golden("shared-pools-dev", shared, Some("dev"));
    golden("four-clouds", include_str!("tests/four-clouds.yaml"), None);
    golden("on-premises", include_str!("tests/on-premises.yaml"), None);
    golden("gaps", include_str!("tests/gaps.yaml"), Some("Main"));
}

#[test]
fn all_mistakes_come_at_once() {
    golden(
        "mistakes",
        include_str!("tests/mistakes.yaml"),
        Some("main"),
    );
}

const SMALL: &str = "\
apiVersion: claudie.io/v1beta1
kind: InputManifest
metadata: {name: small}
spec:
  providers:
    - {name: htz, providerType: hetzner, secretRef: {name: s, namespace: x}}
  nodePools:
    dynamic:
      - {name: ctl, providerSpec: {name: htz, region: r}, count: 3, serverType: t, image: i}
      - {name: wrk, providerSpec: {name: htz, region: r}, count: 4, serverType: t, image: i}
      - {name: lbs, providerSpec: {name: htz, region: r}, count: 2, serverType: t, image: i}
    static:
      - {name: old, nodes: [{endpoint: 192.0.2.1, secretRef: {name: k, namespace: ns}}]}
  kubernetes:
    clusters:
      - name: main
        version: 1.35.0
        network: 10.0.0.0/24
        pools: {control: [ctl], compute: [wrk, old]}
  loadBalancers:
    roles:
      - {name: web, protocol: tcp, port: 80, targetPort: 80, targetPools: [wrk]}
    clusters:
      - name: lb
        roles: [web]
        dns: {dnsZone: example.com, provider: htz, hostname: www}
        targetedK8s: main
        pools: [lbs]
";

/// What is found after one change, without the note that every load balancer gets.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    let loaded = load(SMALL.replacen(from, to, 1).as_bytes(), None);
    assert_eq!(loaded.manifest.is_none(), loaded.has_errors());
    let found = loaded.diagnostics.iter();
    let found = found.filter(|d| d.finding.code != "claudie-backend-checks");
    found
        .map(|d| {
            format!(
                "{:?} {}: {}",
                d.finding.severity, d.finding.code, d.finding.message
            )
        })
        .collect()
}

/// A change of [`SMALL`], and what is found then; nothing where nothing is said.
const RULES: &str = r#"
name: htz => name: "" => Error claudie-name: the name has 0 characters
name: htz => name: a-name-of-16-chr => Error claudie-name: the name has 16 characters
name: main => name: a2345678901234567890123456789 => Error claudie-name: the name has 29
name: main => name: ___ => Error claudie-name: `___` has no letter or digit
- name: lb => - name: lb.one => Warning claudie-name: `lb.one` is no DNS label; `lb-one`
count: 3 => count: 255 =>
count: 3 => count: 256 => Error claudie-size: a pool cannot have 256
count: 3 => count: -1 => Error claudie-size: a pool cannot have -1
count: 3 => autoscaler: {min: 0, max: 256} => Error claudie-size
count: 3 => autoscaler: {min: 4} => Error claudie-size
count: 3 => count: 0, autoscaler: {min: 1, max: 1} =>
count: 4 => count: 4, storageDiskSize: 49 => Error claudie-disk
count: 4 => count: 4, storageDiskSize: 0 =>
count: 4 => count: 4, machineSpec: {cpuCount: 2} => Error claudie-machine-spec
count: 4 => count: 4, machineSpec: {cpuCount: 2, memory: 4} =>
count: 4 => count: 4, taints: [{key: a, effect: Never}] => Error unknown-word
192.0.2.1 => "2001:db8::1" => Error claudie-address
[{endpoint: 192.0.2.1, secretRef: {name: k, namespace: ns}}] => [] => Error claudie-size
nodes => sshPort: 0, nodes => Error claudie-port
nodes => sshPort: 65535, nodes =>
nodes => annotations: {Example.com/A: b}, nodes =>
nodes => labels: {Example.com/A: b}, nodes => Error claudie-label
1.35.0 => v1.36.10-rc.1+build.5 =>
1.35.0 => 1.37.0 => Warning claudie-version
1.35.0 => 1.35.x => Error claudie-version
1.35.0 => 2.35.0 => Error claudie-version
1.35.0 => 1.35 => Error wrong-type: `1.35` is a number
10.0.0.0/24 => 10.0.0.0 => Error claudie-network: `10.0.0.0` has no prefix length
[wrk, old] => [wrk, old, ctl] =>
[wrk, old] => [wrk] => Error claudie-unused-pool: the node pool `old`
control: [ctl] => control: [ctl, old] => Error claudie-static-shared
pools: [lbs] => pools: [lbs, old] => Error claudie-static-shared
port: 80, => port: 64511, =>
port: 80, => port: 64512, => Error claudie-port: Claudie keeps
targetPort: 80 => targetPort: 6443 => Error claudie-port: the API server is reached at 6443
targetPools: [wrk] => targetPools: [lbs] => Error claudie-role: the role `web` forwards
targetPools: [wrk] => targetPools: [ctl] => Warning claudie-ignored-target: `ctl` runs no workloads
protocol: tcp => protocol: udp =>
targetPools: [wrk] => targetPools: [wrk], settings: {proxyProtocol: true, stickySessions: true} =>
tcp => udp, settings: {proxyProtocol: true, stickySessions: true} => Warning claudie-ignored-proxy-
pools: [lbs] => pools: [] => Warning claudie-lb-machines: the load balancer has no machines
roles: [web] => roles: [] => Warning claudie-role: the load balancer has no role
count: 4 => autoscaler: {min: 0, max: 9} => Warning claudie-storage-copies
count: 4 => count: 1 => Warning claudie-storage-copies
targetPools: [wrk] => targetPools: [wrk], settings: {proxyProtocol: true} => Error missing-field
roles: [web] => roles: [web, web] => Warning claudie-role: the role `web` is given twice
hostname: www => alternativeNames: [a, a] => Error claudie-duplicate: the DNS name `a.ex
providerType: hetzner => providerType: hetzer => Error unknown-word
region: r => region: no => Warning claudie-old-boolean: `no` is text here
"#;

#[test]
fn rules_hold_at_their_limits() {
    for row in RULES.trim().lines() {
        let [from, to, expected] = row.split("=>").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a row has three parts: {row}");
        };
        let found = changed(from, to);
        if expected.is_empty() {
            assert!(
                found.iter().all(|d| d.starts_with("Note")),
                "{row}: {found:?}"
            );
        } else {
            assert!(
                found.iter().any(|d| d.starts_with(expected)),
                "{row}: {found:?}"
            );
        }
    }
}

#[test]
fn sizes_are_limited() {
    let annotation = format!("annotations: {{a: {}}}, nodes", "x".repeat(262_143));
    assert!(changed("nodes", &annotation).is_empty());
    let annotation = format!("annotations: {{a: {}}}, nodes", "x".repeat(262_144));
    assert!(changed("nodes", &annotation)[0].starts_with("Error claudie-label"));
    let nodes = (0..256)
        .map(|n| format!("{{endpoint: 192.0.2.{n}, secretRef: {{name: k, namespace: k}}}}"));
    let nodes = format!(
        "nodes: [{}], labels: {{}}}}\n      #",
        nodes.collect::<Vec<_>>().join(", ")
    );
    assert!(
        changed("nodes:", &nodes)
            .iter()
            .any(|d| d.contains("a pool cannot have 256"))
    );

    let more = |count| {
        let cluster = |n| {
            format!(
                "      - {{name: c{n}, version: 1.35.0, network: 10.0.0.0/24, \
             pools: {{control: [ctl], compute: []}}}}\n"
            )
        };
        let more: String = (0..count).map(cluster).collect();
        let text = SMALL.replacen("  loadBalancers", &format!("{more}  loadBalancers"), 1);
        (
            load(text.as_bytes(), Some("main")),
            load(text.as_bytes(), None),
        )
    };
    assert!(more(99).0.manifest.is_some());
    assert!(more(100).0.has_errors());
    let message = &more(99).1.diagnostics[0].finding.message;
    assert!(message.ends_with("`c18` and 80 more"), "{message}");
}

#[test]
fn a_document_without_clusters_says_so() {
    let text = "apiVersion: claudie.io/v1beta1\nkind: InputManifest\nspec: {nodePools: 1}\n";
    let loaded = load(text.as_bytes(), None);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.finding.code).collect();
    assert_eq!(codes, ["claudie-no-cluster", "wrong-type"]);
}

#[test]
fn findings_about_the_translation_are_placed_in_the_original() {
    use crate::diagnostic::{Finding, Path};
    let loaded = load(SMALL.as_bytes(), None);
    let spec = Path::root().field("spec");
    let place = |path: &Path| {
        let span = loaded.locate(Finding::note("x", path, "m").fix("f")).span;
        &SMALL[span.start..span.end]
    };
    let pools = spec.field("nodePools");
    for (path, text) in [
        (spec.field("kubernetes").field("version"), "1.35.0"),
        (spec.field("mesh").field("cidr"), "10.0.0.0/24"),
        (spec.field("providers").index(0).field("type"), "hetzner"),
        (pools.index(0).field("count"), "3"),
        (pools.index(0).field("roles").index(0), "ctl"),
        (
            pools.index(2).field("hosts").index(0).field("address"),
            "192.0.2.1",
        ),
        (pools.index(3).field("machineType"), "t"),
        (
            spec.field("loadBalancers")
                .index(0)
                .field("roles")
                .index(0)
                .field("port"),
            "80",
        ),
        (spec.field("dns").index(0).field("zone"), "example.com"),
        (spec.field("dns").index(0).field("healthCheck"), "dns"),
        (spec.field("storage"), "name"),
    ] {
        assert_eq!(place(&path), text, "{path}");
    }
}

/// What a mutation puts in.
const PUT: &str = "[-a-z0-9:,{}\\[\\] \n]{0,5}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_mutation_is_a_manifest_or_an_error(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..10usize, PUT), 1..4)
    ) {
        let mut bytes = SMALL.as_bytes().to_vec();
        for (at, length, put) in cuts {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, put.into_bytes());
        }
        let loaded = load(&bytes, None);
        prop_assert_eq!(loaded.manifest.is_none(), loaded.has_errors());
    }
}

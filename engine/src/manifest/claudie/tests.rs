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
        golden("shared-pools prod", shared, Some("prod")).source,
        Some(Source::Claudie)
    );
    golden("shared-pools dev", shared, Some("dev"));
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
      - {name: wrk, providerSpec: {name: htz, region: r}, count: 1, serverType: t, image: i}
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

#[test]
fn rules_hold_at_their_limits() {
    let many =
        |count: usize, one: fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let cluster = |n| {
        format!(
            "{{name: c{n}, version: 1.35.0, network: 10.0.0.0/24, pools: {{control: [ctl], \
            compute: []}}}}"
        )
    };
    let clusters = format!(
        "clusters: [{}]\n  loadBalancers:\n    clusters: []\n    old:",
        many(101, cluster)
    );
    let annotation = format!("annotations: {{a: {}}}, nodes", "x".repeat(262_144));
    for (from, to, expected) in [
        ("name: htz", "name: htz", ""),
        (
            "name: htz",
            "name: \"\"",
            "Error claudie-name: the name has 0 characters",
        ),
        (
            "name: main",
            "name: a234567890123456789012345678",
            "Error claudie-undefined",
        ),
        (
            "name: main",
            "name: ___",
            "Error claudie-name: `___` has no letter or digit",
        ),
        (
            "name: lb\n",
            "name: lb.one\n",
            "Warning claudie-name: `lb.one` is no DNS label; `lb-one`",
        ),
        ("count: 3", "count: 255", ""),
        (
            "count: 3",
            "count: -1",
            "Error claudie-size: a pool cannot have -1",
        ),
        (
            "count: 3",
            "autoscaler: {min: 0, max: 256}",
            "Error claudie-size",
        ),
        ("count: 3", "autoscaler: {min: 4}", "Error claudie-size"),
        ("count: 3", "count: 0, autoscaler: {min: 1, max: 1}", ""),
        (
            "count: 1",
            "count: 1, storageDiskSize: 49",
            "Error claudie-disk",
        ),
        ("count: 1", "count: 1, storageDiskSize: 0", ""),
        ("192.0.2.1", "\"2001:db8::1\"", "Error claudie-address"),
        (
            "nodes: [{endpoint: 192.0.2.1, secretRef: {name: k, namespace: ns}}]",
            "nodes: []",
            "Error claudie-size: a pool cannot have 0",
        ),
        ("nodes", "sshPort: 0, nodes", "Error claudie-port"),
        ("nodes", "annotations: {Example.com/A: b}, nodes", ""),
        (
            "nodes",
            &annotation,
            "Error claudie-label: the annotations have 262145 bytes",
        ),
        ("1.35.0", "v1.36.10-rc.1+build.5", ""),
        ("1.35.0", "1.35.x", "Error claudie-version"),
        ("1.35.0", "2.35.0", "Error claudie-version"),
        (
            "10.0.0.0/24",
            "10.0.0.0",
            "Error claudie-network: `10.0.0.0` has no prefix length",
        ),
        ("[wrk, old]", "[wrk, old, ctl]", ""),
        (
            "control: [ctl]",
            "control: [ctl, old]",
            "Error claudie-static-shared",
        ),
        (
            "pools: [lbs]",
            "pools: [lbs, old]",
            "Error claudie-static-shared",
        ),
        (
            "[wrk, old]",
            "[wrk]",
            "Error claudie-unused-pool: the node pool `old`",
        ),
        ("port: 80,", "port: 64511,", ""),
        (
            "port: 80,",
            "port: 64512,",
            "Error claudie-port: Claudie keeps",
        ),
        (
            "targetPools: [wrk]",
            "targetPools: [lbs]",
            "Error claudie-role: the role `web` forwards",
        ),
        ("targetPools: [wrk]", "targetPools: [ctl]", ""),
        (
            "targetPools: [wrk]",
            "targetPools: [wrk], settings: {proxyProtocol: true}",
            "Error missing-field: `stickySessions` is missing",
        ),
        (
            "roles: [web]",
            "roles: [web, web]",
            "Warning claudie-role: the role `web` is given twice",
        ),
        (
            "hostname: www",
            "alternativeNames: [a, a]",
            "Error claudie-duplicate: the DNS name `a.ex",
        ),
        (
            "providerType: hetzner",
            "providerType: hetzer",
            "Error unknown-word",
        ),
        (
            "version: 1.35.0",
            "version: 1.35",
            "Error wrong-type: `1.35` is a number",
        ),
        (
            "region: r",
            "region: no",
            "Warning claudie-old-boolean: `no` is text here",
        ),
        (
            "clusters:",
            &clusters,
            "Error claudie-clusters: there are 101 clusters",
        ),
    ] {
        let found = changed(from, to);
        match expected {
            "" => assert!(
                found.iter().all(|d| d.starts_with("Note")),
                "{to}: {found:?}"
            ),
            _ => assert!(
                found.iter().any(|d| d.starts_with(expected)),
                "{to}: {found:?}"
            ),
        }
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_mutation_is_a_manifest_or_an_error(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..10usize, "[-a-z0-9:,{}\\[\\] \n]{0,5}"), 1..4)
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

//! Which document is meant, what is wrong with it, and that no input whatever makes it panic.

use super::*;
use proptest::prelude::*;

const SOUND: &str = "\
apiVersion: quorate.dev/v1
kind: Cluster
metadata:
  name: shop
spec:
  kubernetes:
    version: 1.35.2
  providers:
    - name: htz
      type: hetzner
      credentials: {env: HCLOUD_TOKEN}
  nodePools:
    - name: control
      provider: htz
      region: fsn1
      machineType: cpx21
      image: ubuntu-24.04
      count: 3
      roles: [control-plane]
";

fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().map(|d| d.finding.code).collect()
}

/// Loads with the text of one field changed, and gives the mistakes as text.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SOUND.contains(from), "{from}");
    let loaded = load(SOUND.replacen(from, to, 1).as_bytes(), None);
    assert_eq!(loaded.manifest.is_none(), loaded.has_errors());
    let line = |d: &Diagnostic| {
        let Finding {
            path, message, fix, ..
        } = &d.finding;
        format!(
            "{}:{} {path}: {message} -> {fix}",
            d.span.line, d.span.column
        )
    };
    loaded.diagnostics.iter().map(line).collect()
}

#[test]
fn a_sound_manifest_is_read() {
    let loaded = load(SOUND.as_bytes(), None);
    assert_eq!(
        (codes(&loaded), loaded.source),
        (vec![], Some(Source::Quorate))
    );
    let manifest = loaded.manifest.unwrap();
    assert_eq!(manifest.metadata.name, "shop");
    assert_eq!(manifest.spec.node_pools[0].count, Some(3));
}

#[test]
fn findings_are_placed_in_the_text() {
    let loaded = load(SOUND.as_bytes(), None);
    let pool = Path::root().field("spec").field("nodePools").index(0);
    let note = |path: &Path| Finding::note("x", path, "m").fix("f");
    let loaded = loaded.with(vec![note(&pool.field("zone")), note(&pool.field("count"))]);
    let places: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|d| (d.span.line, d.span.column))
        .collect();
    assert_eq!(places, [(13, 7), (18, 14)]);
}

#[test]
fn mistakes_are_explained() {
    for (from, to, expected) in [
        (
            "1.35.2",
            "1.35",
            "7:14 spec.kubernetes.version: `1.35` is a number; expected text -> \
            put it in quotes: \"1.35\"",
        ),
        (
            "htz\n      type: hetzner",
            "htz\n      type: hetzer",
            "10:13 spec.providers[0].type: \
            `hetzer` is not `hetzner`, `aws`,",
        ),
        (
            "      region",
            "      regoin",
            "15:7 spec.nodePools[0].regoin: there is no field \
            `regoin` here -> write `region`",
        ),
        (
            "  name: shop",
            "  {}",
            "3:1 metadata: `name` is missing (A DNS label of at most 28 \
            characters: it begins the name of every machine) -> add `name:` and text",
        ),
        (
            "count: 3",
            "count: -3",
            "18:14 spec.nodePools[0].count: -3 is not a whole number from \
            0 to 4294967295 -> ",
        ),
        (
            "[control-plane]",
            "control-plane",
            "19:14 spec.nodePools[0].roles: `control-plane` is \
            text; expected a list -> ",
        ),
        (
            "{env: HCLOUD_TOKEN}",
            "abc",
            "11:20 spec.providers[0].credentials: `abc` is text; \
            expected the field `env`, the field `file` or the field `secret` -> ",
        ),
        (
            "1.35.2",
            "1.35.2\n    podCidr: 10.0.0.9/8",
            "8:14 spec.kubernetes.podCidr: \
            `10.0.0.9/8` begins inside its block -> write `10.0.0.0/8`",
        ),
        (
            "1.35.2",
            "1.35.2\n    etcd: {heartbeat: 5}",
            "8:23 spec.kubernetes.etcd.heartbeat: `5` \
            is not a duration -> write it like `250ms`",
        ),
    ] {
        let found = changed(from, to);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(expected), "{}\n{expected}", found[0]);
    }
}

#[test]
fn measured_distances_and_snapshots_are_read() {
    let distances = |places: &str| {
        format!(
            "{SOUND}  distances:\n    - between: [{places}]\n      rtt: 7250us\n      date: 2026-11-22\n"
        )
    };
    let two = "{type: hetzner, region: fsn1}, {type: aws, region: eu-central-1}";
    let loaded = load(distances(two).as_bytes(), None);
    let row = &loaded.manifest.expect("it is sound").spec.distances[0];
    assert_eq!(
        row.line(),
        "hetzner,fsn1,aws,eu-central-1,7.250,,,2026-11-22,,measured"
    );
    let one = load(distances("{type: hetzner, region: fsn1}").as_bytes(), None);
    assert!(one.has_errors());
    let text = SOUND.replace(
        "1.35.2",
        "1.35.2\n    etcd: {snapshots: {every: 90m, keep: 3}}",
    );
    let kubernetes = load(text.as_bytes(), None)
        .manifest
        .unwrap()
        .spec
        .kubernetes;
    let snapshots = kubernetes.unwrap().etcd.snapshots;
    assert_eq!((snapshots.every.0.as_secs(), snapshots.keep), (5_400, 3));
}

#[test]
fn anything_else_than_a_manifest_is_named() {
    for (text, message) in [
        ("a: 1", "this document has neither `apiVersion` nor `kind`"),
        ("[]", "this document has neither"),
        (
            "apiVersion: apps/v1\nkind: Deployment",
            "this document is a `Deployment` of `apps/v1`",
        ),
        (
            "apiVersion: quorate.dev/v2\nkind: Cluster",
            "this document is a `Cluster` of `quorate",
        ),
        (
            "kind: Cluster",
            "this document is a `Cluster` without `apiVersion`",
        ),
        (
            "apiVersion: quorate.dev/v1",
            "this document has `apiVersion` `quorate.dev/v1` and no",
        ),
    ] {
        let loaded = load(text.as_bytes(), None);
        assert_eq!(
            (codes(&loaded), &loaded.manifest),
            (vec!["not-a-manifest"], &None),
            "{text}"
        );
        let finding = &loaded.diagnostics[0].finding;
        assert!(finding.message.starts_with(message), "{}", finding.message);
        assert!(finding.fix.contains("quorate.dev/v1") && finding.fix.contains("claudie.io"));
    }
}

#[test]
fn one_cluster_of_several_is_chosen_by_name() {
    let text = format!("{SOUND}---\n{}", SOUND.replace("shop", "Bank"));
    let name = |cluster| {
        load(text.as_bytes(), cluster)
            .manifest
            .map(|m| m.metadata.name)
    };
    assert_eq!(name(Some("shop")).as_deref(), Some("shop"));
    assert_eq!(name(Some("bank")).as_deref(), Some("Bank"));
    let none = load(text.as_bytes(), None);
    assert_eq!(codes(&none), ["several-clusters"]);
    assert!(
        none.diagnostics[0]
            .finding
            .message
            .ends_with("`shop`, `Bank`")
    );
    let wrong = load(text.as_bytes(), Some("shpo"));
    assert_eq!(codes(&wrong), ["no-such-cluster"]);
    assert_eq!(wrong.diagnostics[0].finding.fix, "choose `shop`");
    assert_eq!(
        codes(&load(SOUND.as_bytes(), Some("x"))),
        ["no-such-cluster"]
    );
}

#[test]
fn the_schema_describes_the_manifest() {
    let schema = crate::manifest::schema_of_manifest();
    assert_eq!(schema["$id"], "https://quorate.dev/schema/v1/cluster.json");
    let cidr = &schema["$defs"]["Mesh"]["properties"]["cidr"];
    assert_eq!(cidr["$ref"], "#/$defs/Cidr");
    assert!(schema["$defs"]["NodePool"]["properties"]["region"]["description"].is_string());
}

fn judged(bytes: &[u8]) -> Result<(), TestCaseError> {
    let loaded = load(bytes, None);
    prop_assert!(loaded.manifest.is_some() || loaded.has_errors());
    prop_assert!(loaded.manifest.is_none() || !loaded.has_errors());
    for Diagnostic { finding, span } in &loaded.diagnostics {
        prop_assert!(
            !finding.fix.is_empty() && !finding.message.is_empty(),
            "{finding:?}"
        );
        prop_assert!(span.start <= span.end && span.end <= bytes.len() && span.line > 0);
        prop_assert!(
            !finding.message.chars().any(char::is_control),
            "{finding:?}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judged(&bytes)?;
    }

    #[test]
    fn any_mutation_of_a_manifest_is_judged(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, ".{0,6}"), 1..4)
    ) {
        let mut bytes = SOUND.as_bytes().to_vec();
        for (at, length, put) in cuts {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, put.into_bytes());
        }
        judged(&bytes)?;
    }
}

//! The Kubernetes version: its form, and whether it is one that is supported.

use super::view::View;
use crate::diagnostic::Finding;
use crate::quorum::EtcdVersion;

/// Minor versions whose kubeadm flow this release knows: the three that upstream supports.
const MINORS: std::ops::RangeInclusive<u32> = 34..=36;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let Some(version) = view.spec.kubernetes.as_ref().map(|k| &k.version) else {
        return without(view, found);
    };
    let path = view.at("kubernetes").field("version");
    let Some((major, minor, _)) = parts(version) else {
        found.push(
            Finding::error(
                "kubernetes-version-form",
                &path,
                format!("`{version}` is not a version"),
            )
            .why("packages and images are chosen by the exact version")
            .fix("write three numbers, like `1.35.2`"),
        );
        return;
    };
    if EtcdVersion::for_kubernetes(version).is_err() {
        found.push(
            Finding::error(
                "kubernetes-version-unsupported",
                &path,
                format!("no Kubernetes {version}"),
            )
            .why("which etcd it brings is not known")
            .fix(format!("use 1.{} to 1.{}", MINORS.start(), MINORS.end())),
        );
    } else if major == 1 && !MINORS.contains(&minor) {
        let known = if minor < *MINORS.start() {
            "no longer supported"
        } else {
            "not known"
        };
        let message = format!("Kubernetes {version} is {known}");
        found.push(
            Finding::warning("kubernetes-version-unsupported", &path, message)
                .why("upstream mends three minor versions, and those are the ones tried here")
                .fix(format!("use 1.{} to 1.{}", MINORS.start(), MINORS.end())),
        );
    }
}

/// What is of no use where machines are joined by a mesh and nothing more.
fn without(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    let parts = [
        (
            "loadBalancers",
            "load balancers stand",
            !spec.load_balancers.is_empty(),
        ),
        ("dns", "names of load balancers stand", !spec.dns.is_empty()),
        (
            "storage",
            "replicated storage stands",
            spec.storage.is_some(),
        ),
        ("workloads", "workloads stand", !spec.workloads.is_empty()),
    ];
    let parts = parts.into_iter().filter(|(_, _, given)| *given);
    let parts = parts.map(|(field, what, _)| (view.at(field), what.to_owned()));
    let growing = view.pools().filter(|(_, pool)| pool.autoscale.is_some());
    let growing = growing.map(|(path, pool)| {
        let what = format!("the bounds of `{}` stand", pool.name);
        (path.field("autoscale"), what)
    });
    for (path, what) in parts.chain(growing) {
        let message = format!("{what} here, and there is no Kubernetes");
        found.push(
            Finding::error("needs-kubernetes", &path, message)
                .why("without `spec.kubernetes` machines are joined by a mesh, and nothing more")
                .fix("add `spec.kubernetes`, or remove this"),
        );
    }
}

/// `1.35.2` or `v1.35.2`, with or without a pre-release or build part (semver 2.0).
pub(super) fn parts(version: &str) -> Option<(u32, u32, u32)> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let core = bare.split(['-', '+']).next()?;
    let mut numbers = core.split('.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let parts = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parts)
}

#[cfg(test)]
pub(super) mod tests {
    use super::parts;
    use crate::diagnostic::Severity;
    use crate::manifest::judge::judge;
    use crate::manifest::judge::trial::{Case, case, run, shipped};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let path = "/spec/kubernetes/version";
        vec![
            case("kubernetes-version-form", path, json!("1.35")),
            case("needs-kubernetes", "/spec/kubernetes", Value::Null)
                .with("roles-without-kubernetes")
                .fails(),
            case("kubernetes-version-form", path, json!("latest")),
            case("kubernetes-version-unsupported", path, json!("1.33.9")).only_warns(),
            case("kubernetes-version-unsupported", path, json!("1.37.0")).only_warns(),
            case("kubernetes-version-unsupported", path, json!("v2.0.0")).fails(),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn the_old_and_the_unknown_are_told_apart() {
        for (version, said) in [
            ("1.33.9", "Kubernetes 1.33.9 is no longer supported"),
            ("1.37.0", "Kubernetes 1.37.0 is not known"),
        ] {
            let mut manifest = shipped("three-clouds.yaml");
            let kubernetes = manifest.spec.kubernetes.as_mut().expect("given");
            kubernetes.version = version.to_owned();
            assert_eq!(judge(&manifest)[0].message, said);
        }
    }

    #[test]
    fn forms_of_a_version() {
        assert_eq!(parts("v1.35.2"), Some((1, 35, 2)));
        assert_eq!(parts("1.36.0-rc.1+build"), Some((1, 36, 0)));
        for wrong in ["1.35", "1.35.2.1", "1.x.2", "1..2", "+1.2.3", ""] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    /// Three places of one's own, joined by a mesh and nothing more.
    fn mesh_only() -> Value {
        json!({
            "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "home"},
            "spec": {
                "providers": [
                    {"name": "attic", "type": "libvirt", "networkCidr": "10.41.0.0/16",
                     "endpoint": "qemu+ssh://root@attic.example.com/system"},
                    {"name": "cellar", "type": "libvirt", "networkCidr": "10.42.0.0/16"},
                    {"name": "rack", "type": "static"},
                ],
                "nodePools": [
                    {"name": "a", "provider": "attic", "region": "attic", "count": 2,
                     "machineType": "2-4096", "image": "ubuntu-24.04"},
                    {"name": "b", "provider": "cellar", "region": "cellar", "count": 1,
                     "machineType": "2-4096", "image": "ubuntu-24.04"},
                    {"name": "c", "provider": "rack", "hosts": [
                        {"address": "192.0.2.10"},
                        {"address": "192.0.2.11", "behindNat": true},
                    ]},
                ],
            },
        })
    }

    fn found(document: Value) -> Vec<crate::diagnostic::Finding> {
        judge(&serde_json::from_value(document).expect("a manifest"))
    }

    #[test]
    fn machines_without_kubernetes_are_clean_but_for_notes() {
        let found = found(mesh_only());
        let bad: Vec<_> = found
            .iter()
            .filter(|f| f.severity != Severity::Note)
            .collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }

    #[test]
    fn what_needs_kubernetes_says_so_once_and_nothing_else() {
        let balancer = json!([{"name": "web", "pools": ["a"], "roles": []}]);
        let dns = json!([{"provider": "names", "zone": "example.com", "hostname": "www",
                          "loadBalancer": "web"}]);
        let survive = json!({"survive": "provider", "rpo": "0s"});
        let storage = json!({"engine": "longhorn", "replicas": 9});
        let workload = json!([{"name": "shop", "replicas": 1,
                               "data": {"size": "1Gi"}, "requests": {"cpu": "900", "memory": "1Gi"}}]);
        let mut document = mesh_only();
        let spec = document["spec"].as_object_mut().expect("an object");
        let providers = spec["providers"].as_array_mut().expect("a list");
        providers.push(json!({"name": "names", "type": "builtin"}));
        spec.insert("loadBalancers".to_owned(), balancer);
        spec.insert("dns".to_owned(), dns);
        spec.insert("storage".to_owned(), storage);
        spec.insert("workloads".to_owned(), workload);
        spec.insert("resilience".to_owned(), survive);
        let pool = document["spec"]["nodePools"][1].as_object_mut();
        let pool = pool.expect("an object");
        pool.remove("count");
        pool.insert("autoscale".to_owned(), json!({"min": 0, "max": 3}));
        let found = found(document);
        let said: Vec<_> = found
            .iter()
            .filter(|finding| finding.severity != Severity::Note)
            .map(|finding| (finding.code, finding.path.as_str()))
            .collect();
        let places = [
            "spec.loadBalancers",
            "spec.dns",
            "spec.storage",
            "spec.workloads",
            "spec.nodePools[1].autoscale",
        ];
        assert_eq!(
            said,
            places.map(|place| ("needs-kubernetes", place)),
            "{found:#?}"
        );
    }
}

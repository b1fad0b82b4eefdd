//! The Kubernetes version: its form, and whether it is one that is supported.

use super::view::View;
use crate::diagnostic::Finding;
use crate::quorum::EtcdVersion;

/// Minor versions whose kubeadm flow this release knows: the three that upstream supports.
const MINORS: std::ops::RangeInclusive<u32> = 34..=36;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let Some(version) = view.spec.kubernetes.as_ref().map(|k| &k.version) else {
        return;
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
    use crate::manifest::judge::judge;
    use crate::manifest::judge::trial::{Case, case, run, shipped};
    use serde_json::json;

    pub(in super::super) fn cases() -> Vec<Case> {
        let path = "/spec/kubernetes/version";
        vec![
            case("kubernetes-version-form", path, json!("1.35")),
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
}

//! A machine prepared for Kubernetes: where its release is from, and its pods' network.
//!
//! How a machine is prepared stands in `scripts/`. What kubeadm does there is not decided here.

use crate::packages;
use crate::{At, CARRY, HOST, KUBERNETES, PACKAGES, PODS, PREPARED, RELEASE, RUNTIME};
use crate::{HOST_LIMIT, Job, Runner, change, job};
use quorate_engine::manifest::Packages;
use quorate_engine::resource::PodBridge;
use quorate_engine::seam::{Fault, FaultClass};
use std::path::Path;
use std::time::Duration;

/// The Kubernetes project's packages: a folder for each minor version, `v1.35/deb/`, `v1.35/rpm/`.
const REPOSITORY: &str = "https://pkgs.k8s.io/core:/stable:";

/// A release with its images has about 500 MB; at 5 Mb/s this is what it takes.
const CARRY_LIMIT: Duration = Duration::from_secs(800);

/// Where nodes get Kubernetes from.
pub(crate) enum Source {
    /// A package repository, by its address.
    Repository(String),
    /// A tar archive, by its address.
    Archive(String),
    /// A directory here.
    Directory(packages::Packages),
    /// A directory on the machine.
    Preinstalled(String),
}

impl Source {
    pub(crate) fn of(packages: Option<&Packages>) -> Self {
        match packages {
            None => Self::Repository(REPOSITORY.to_owned()),
            Some(Packages::Archive(address)) => Self::Archive(address.clone()),
            Some(Packages::Directory(path)) => {
                Self::Directory(packages::Packages::new(Path::new(path)))
            }
            Some(Packages::Preinstalled(path)) => Self::Preinstalled(path.clone()),
        }
    }

    /// The words that scripts know it by: what it is, and where or which.
    async fn words(&self) -> Result<(&'static str, String), Fault> {
        Ok(match self {
            Self::Repository(address) => ("repository", address.clone()),
            Self::Archive(address) => ("archive", address.clone()),
            Self::Directory(packages) => ("directory", packages.digest().await?),
            Self::Preinstalled(path) => ("preinstalled", path.clone()),
        })
    }
}

/// What every node gets.
pub(crate) struct Release {
    /// Where from.
    pub(crate) source: Source,
    /// Where Kubernetes' own images are from; empty: as kubeadm has it.
    pub(crate) registry: String,
}

/// Prepares a machine for a version of Kubernetes, and brings the packages there if it lacks them.
pub(crate) async fn prepare<R: Runner>(
    at: &At<'_, R>,
    release: &Release,
    version: &str,
    pods: Option<&PodBridge>,
    print: u64,
) -> Result<(), Fault> {
    let version = exact(version).ok_or_else(|| {
        let what = format!("{}: `{version}` is no release of Kubernetes", at.machine);
        Fault::new(FaultClass::Invalid, what)
    })?;
    let (source, from) = release.source.words().await?;
    let parts = [PACKAGES, HOST, RELEASE, RUNTIME, PODS, KUBERNETES, PREPARED];
    let job = change("prepare the machine for Kubernetes", &parts, HOST_LIMIT)
        .with("Q_PRINT", format!("{print:016x}"))
        .with("Q_KUBERNETES", version.to_owned())
        .with("Q_SOURCE", source.to_owned())
        .with("Q_FROM", from.clone())
        .with("Q_REGISTRY", release.registry.clone())
        .with("Q_POD_NET", pods.map(pod_net).unwrap_or_default())
        .with("Q_PODS", pods.map(addresses).unwrap_or_default())
        .with("Q_PODS_UP", job::standalone(&[PODS, "pods_up"]));
    let output = at.run(job.clone()).await?;
    if !output.stdout.lines().any(|line| line == "wants packages") {
        return Ok(());
    }
    let Source::Directory(packages) = &release.source else {
        unreachable!("a machine asks only for packages that are here");
    };
    let tar = packages.tar(&from).await?;
    let carry = Job {
        input: Some(&tar),
        ..change("bring the packages of Kubernetes", &[CARRY], CARRY_LIMIT)
    };
    at.run(carry.with("Q_FROM", from)).await?;
    let output = at.run(job).await?;
    if output.stdout.lines().any(|line| line == "wants packages") {
        let what = format!("{} ({}): the packages did not stay", at.machine, at.reach);
        return Err(Fault::new(FaultClass::Retryable, what));
    }
    Ok(())
}

/// Three numbers and perhaps more, without the `v`; nothing that could be a path or a pattern.
fn exact(version: &str) -> Option<&str> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let core = bare.split(['-', '+']).next()?;
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b".-+".contains(&b);
    let exact = core.split('.').count() == 3 && core.split('.').all(number);
    (exact && bare.bytes().all(harmless)).then_some(bare)
}

/// Addresses of pods here, and of pods anywhere.
fn addresses(pods: &PodBridge) -> String {
    format!("{} {}", pods.subnet, pods.all)
}

/// A network of pods in the words of the Container Network Interface 0.4.0, which all containerds
/// and plugins of these years understand. Masquerading is not the plugin's: it would do so between
/// nodes, too.
fn pod_net(pods: &PodBridge) -> String {
    let (subnet, mtu) = (pods.subnet, pods.mtu);
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "quorate",
  "plugins": [
    {{
      "type": "bridge",
      "bridge": "quorate-pods",
      "isGateway": true,
      "hairpinMode": true,
      "ipMasq": false,
      "mtu": {mtu},
      "ipam": {{
        "type": "host-local",
        "ranges": [[{{ "subnet": "{subnet}" }}]],
        "routes": [{{ "dst": "0.0.0.0/0" }}]
      }}
    }},
    {{ "type": "portmap", "capabilities": {{ "portMappings": true }} }}
  ]
}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_exact() {
        for (version, bare) in [
            ("1.35.2", Some("1.35.2")),
            ("v1.20.2", Some("1.20.2")),
            ("1.36.0-rc.1+build", Some("1.36.0-rc.1+build")),
            ("1.35", None),
            ("1.35.*", None),
            ("1.35.2-../../x", None),
            ("1.35.2 ", None),
            ("", None),
        ] {
            assert_eq!(exact(version), bare, "{version}");
        }
    }
}

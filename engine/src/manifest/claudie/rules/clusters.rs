//! Kubernetes clusters, and who may share a pool.

use super::super::input::Cluster;
use super::super::report::Report;
use super::{Index, Pool, balancers_path, clusters_path};
use crate::diagnostic::Path;
use crate::units::Cidr;
use crate::yaml::shown;
use std::collections::BTreeMap;

/// The longest name of a cluster.
const NAME: usize = 28;
/// The most clusters in a document.
const CLUSTERS: usize = 100;
/// The Kubernetes versions that Claudie v0.16 takes.
const MINORS: std::ops::RangeInclusive<u32> = 34..=36;

pub(super) fn clusters(index: &Index<'_>, report: &mut Report<'_>) {
    let base = clusters_path();
    let clusters = &index.input.spec.kubernetes.clusters;
    if clusters.len() > CLUSTERS {
        let message = format!(
            "there are {} clusters, and {CLUSTERS} are allowed",
            clusters.len()
        );
        report.error("claudie-clusters", &base, message, "split the document");
    }
    let names = || {
        clusters
            .iter()
            .enumerate()
            .map(|(n, c)| (&*c.name, base.index(n).field("name")))
    };
    report.unique("cluster", names());
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    for (name, path) in names() {
        let first = folded.entry(name.to_lowercase()).or_insert(name);
        if *first != name {
            let message = format!("{} differs from {} only in case", shown(name), shown(first));
            let fix = "rename one: Claudie builds both under one name, in lower case";
            report.warning("claudie-name-case", &path, message, fix);
        }
    }
    for (number, cluster) in clusters.iter().enumerate() {
        one(index, cluster, &base.index(number), report);
    }
}

fn one(index: &Index<'_>, cluster: &Cluster, path: &Path, report: &mut Report<'_>) {
    report.name(&path.field("name"), &cluster.name, NAME);
    version(&cluster.version, &path.field("version"), report);
    if let Err(error) = cluster.network.parse::<Cidr>() {
        let error = error.to_string();
        let (message, fix) = error.rsplit_once(": ").unwrap_or((&error, "write a CIDR"));
        report.error("claudie-network", &path.field("network"), message, fix);
    }
    let pools = path.field("pools");
    if cluster.pools.control.is_empty() {
        let fix = "name at least one pool";
        report.error(
            "claudie-pools",
            &pools.field("control"),
            "there is no control plane",
            fix,
        );
    }
    for (name, list) in [
        ("control", &cluster.pools.control),
        ("compute", &cluster.pools.compute),
    ] {
        index.references(report, &pools.field(name), list);
    }
}

/// `v1.35.2-rc.1+build`: the leading `v`, the pre-release and the build may be absent.
fn version(text: &str, path: &Path, report: &mut Report<'_>) {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let numbers = bare.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<Option<u32>> = numbers.split('.').map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(1), Some(minor), Some(_)] => {
            if !MINORS.contains(&minor) {
                let message = format!("Claudie takes Kubernetes 1.34 to 1.36, not {}", shown(text));
                let fix = "choose a version that both can build, or read on with Quorate alone";
                report.warning("claudie-version", path, message, fix);
            }
        }
        _ => {
            let message = format!("{} is not a version of Kubernetes", shown(text));
            let fix = "write three numbers, like `1.35.2`";
            report.error("claudie-version", path, message, fix);
        }
    }
}

/// Who uses a static pool: machines that exist can be only in one place.
enum User {
    Kubernetes,
    Balancer,
}

pub(super) fn sharing(index: &Index<'_>, report: &mut Report<'_>) {
    let spec = &index.input.spec;
    let mut uses = Vec::new();
    for (number, cluster) in spec.kubernetes.clusters.iter().enumerate() {
        let pools = clusters_path().index(number).field("pools");
        let lists = [
            ("control", &cluster.pools.control),
            ("compute", &cluster.pools.compute),
        ];
        for (name, list) in lists {
            let places = list.iter().enumerate();
            uses.extend(places.map(|(n, p)| (p, pools.field(name).index(n), User::Kubernetes)));
        }
    }
    for (number, balancer) in spec.load_balancers.clusters.iter().enumerate() {
        let pools = balancers_path().index(number).field("pools");
        let places = balancer.pools.iter().enumerate();
        uses.extend(places.map(|(n, p)| (p, pools.index(n), User::Balancer)));
    }
    let mut first: BTreeMap<&str, (Path, User)> = BTreeMap::new();
    for (name, path, user) in uses {
        if !matches!(index.pools.get(name.as_str()), Some(Pool::Static(..))) {
            continue;
        }
        match (first.get(name.as_str()), user) {
            (None, user) => {
                first.insert(name, (path, user));
            }
            (Some((other, User::Balancer)), User::Balancer) => {
                let (name, line) = (shown(name), report.line(other));
                let message = format!("the machines of {name} already serve at line {line}");
                let fix = "give each load balancer machines of its own, or one all the roles";
                report.warning("claudie-static-shared", &path, message, fix);
            }
            (Some((other, _)), _) => {
                let (name, line) = (shown(name), report.line(other));
                let message = format!("the machines of {name} are already in use at line {line}");
                let fix = "use a static pool once: make two pools of it";
                report.error("claudie-static-shared", &path, message, fix);
            }
        }
    }
}

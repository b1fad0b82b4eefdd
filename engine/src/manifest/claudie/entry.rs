//! Load balancers and their names in DNS.

use super::input::{LbCluster, LbRole, ProviderType};
use super::names::as_label;
use super::report::Report;
use super::rules::roles_path;
use super::translate::{Origins, Target, free};
use crate::diagnostic::Path;
use crate::manifest::{
    BackendCheck, Dns, DnsCheck, LbKind, LbRole as Ours, LoadBalancer, Protocol, Role,
};
use crate::time;
use crate::units::Duration;
use crate::yaml::shown;
use std::collections::BTreeSet;

/// How long resolvers may keep what Claudie's templates put into DNS, in seconds.
const TTL_S: u64 = 300;

pub(super) fn load_balancers(
    target: &Target<'_>,
    origins: &mut Origins<'_>,
    report: &mut Report<'_>,
) -> Vec<LoadBalancer> {
    let base = Path::root().field("spec").field("loadBalancers");
    let mut out = Vec::new();
    for (number, (balancer, theirs)) in target.balancers.iter().enumerate() {
        let ours = base.index(number);
        origins.record(ours.clone(), theirs);
        for field in ["name", "pools", "roles"] {
            origins.record(ours.field(field), &theirs.field(field));
        }
        let mut roles: Vec<Ours> = Vec::new();
        for (role, from) in listening(target, balancer) {
            let mine = ours.field("roles").index(roles.len());
            for field in ["name", "port", "targetPort", "protocol", "targetPools"] {
                origins.record(mine.field(field), &from.field(field));
            }
            let settings = from.field("settings");
            for field in ["proxyProtocol", "stickySessions"] {
                origins.record(mine.field(field), &settings.field(field));
            }
            origins.record(mine, &from);
            roles.push(translate_role(target, role, &from, report));
        }
        let pools = target
            .instances
            .iter()
            .filter(|i| i.balancers.contains(&number));
        out.push(LoadBalancer {
            name: balancer_name(target, number),
            pools: pools.map(|instance| instance.name.clone()).collect(),
            roles,
            health_check: BackendCheck::default(),
        });
    }
    out
}

/// The roles of a load balancer in its order, with their places: each once, and of several on one
/// port the first.
fn listening<'i>(target: &Target<'i>, balancer: &LbCluster) -> Vec<(&'i LbRole, Path)> {
    let all = &target.index.input.spec.load_balancers.roles;
    let mut out: Vec<(&LbRole, Path)> = Vec::new();
    for name in &balancer.roles {
        let number = all.iter().position(|role| role.name == *name);
        let number = number.expect("the rules have checked the role");
        let role = &all[number];
        let taken = |(other, _): &(&LbRole, Path)| {
            (other.port, other.protocol) == (role.port, role.protocol)
        };
        if !out.iter().any(taken) {
            out.push((role, roles_path().index(number)));
        }
    }
    out
}

/// Our name of the load balancer with this number.
fn balancer_name(target: &Target<'_>, number: usize) -> String {
    let mut taken = BTreeSet::new();
    let names = target.balancers.iter().take(number + 1);
    let names = names.map(|(balancer, _)| free(&as_label(&balancer.name), &mut taken));
    names.last().expect("the load balancer is among them")
}

fn translate_role(
    target: &Target<'_>,
    role: &LbRole,
    path: &Path,
    report: &mut Report<'_>,
) -> Ours {
    let port = |port: i32| u16::try_from(port).expect("the rules have checked the port");
    let kind = if role.is_api() {
        LbKind::Api
    } else {
        LbKind::Ingress
    };
    let backends = match kind {
        LbKind::Api => Role::ControlPlane,
        LbKind::Ingress => Role::Worker,
    };
    let mut target_pools = Vec::new();
    for (number, name) in role.target_pools.iter().enumerate() {
        let fitting = target
            .instances
            .iter()
            .find(|i| i.role == backends && i.theirs == name);
        match fitting {
            Some(instance) => target_pools.push(instance.name.clone()),
            None => {
                let message = format!(
                    "{} runs no workloads, so it is no target; a node there could only pass \
                     requests on",
                    shown(name)
                );
                let fix = "name pools of workers; if none is left, all of them are targets";
                let place = path.field("targetPools").index(number);
                report.warning("claudie-ignored-target", &place, message, fix);
            }
        }
    }
    // API servers do not understand the PROXY protocol, and it needs TCP.
    let proxied = kind == LbKind::Ingress && role.protocol == Protocol::Tcp;
    Ours {
        name: role.name.clone(),
        kind,
        port: port(role.port),
        target_port: (role.target_port != role.port).then(|| port(role.target_port)),
        protocol: role.protocol,
        target_pools,
        proxy_protocol: proxied && role.settings.is_none_or(|settings| settings.proxy_protocol),
        sticky_sessions: role
            .settings
            .is_some_and(|settings| settings.sticky_sessions),
    }
}

pub(super) fn dns(
    target: &Target<'_>,
    origins: &mut Origins<'_>,
    report: &mut Report<'_>,
) -> Vec<Dns> {
    let base = Path::root().field("spec").field("dns");
    let mut out: Vec<Dns> = Vec::new();
    for (number, (balancer, theirs)) in target.balancers.iter().enumerate() {
        let from = balancer
            .dns
            .as_ref()
            .expect("the rules have checked that there is DNS");
        let theirs = theirs.field("dns");
        let ours = base.index(out.len());
        for (mine, field) in [
            ("provider", "provider"),
            ("zone", "dnsZone"),
            ("hostname", "hostname"),
            ("alternativeNames", "alternativeNames"),
        ] {
            origins.record(ours.field(mine), &theirs.field(field));
        }
        origins.record(ours, &theirs);
        let name = balancer_name(target, number);
        let hostname = from.hostname.clone().filter(|host| !host.is_empty());
        if hostname.is_none() {
            let message = format!("no `hostname` is given: {} is taken", shown(&name));
            let fix = "add `hostname:`; Claudie takes 17 random characters";
            report.note("claudie-hostname", &theirs, message, fix);
        }
        let providers = &target.index.input.spec.providers;
        let provider = providers
            .iter()
            .find(|provider| provider.name == from.provider);
        let kind = provider
            .expect("the rules have checked the provider")
            .provider_type;
        if kind == ProviderType::Cloudflare {
            let message = "Cloudflare checks addresses only with its paid load-balancing add-on";
            let fix = "make sure that the account has it, or use a provider with health checks";
            report.warning(
                "claudie-cloudflare-checks",
                &theirs.field("provider"),
                message,
                fix,
            );
        }
        out.push(Dns {
            provider: target.provider(&from.provider),
            zone: from.dns_zone.trim_end_matches('.').to_owned(),
            hostname: hostname.unwrap_or_else(|| name.clone()),
            load_balancer: name,
            alternative_names: from.alternative_names.clone(),
            ttl: Duration(time::Span::from_secs(TTL_S)),
            health_check: kind.has_dns_checks().then(DnsCheck::default),
        });
    }
    out
}

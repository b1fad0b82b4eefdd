//! Providers: what each can do, its credentials, and the names of its regions and machines.
//!
//! A name that the catalogue lacks may still exist: it is doubted, never refused.

use super::view::{View, graded, name_fix, placed};
use crate::catalog;
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Credentials, NodePool, Provider, ProviderKind, Role};

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    for (path, provider) in placed(view.at("providers"), &view.spec.providers) {
        credentials(&path, provider, found);
        endpoint(&path, provider, found);
        let mut pools = view.spec.node_pools.iter();
        let used = pools.any(|pool| pool.provider == provider.name);
        let kind = provider.kind;
        let listed = kind == ProviderKind::Static || !catalog::regions(kind).is_empty();
        if used && kind.has_machines() && !listed {
            let message = format!("no place of `{}` is in the catalogue", provider.name);
            found.push(
                Finding::note("provider-not-in-catalogue", &path, message)
                    .why(format!(
                        "its round trips to the others are taken as {}",
                        catalog::UNKNOWN_PLACE.rtt
                    ))
                    .fix("nothing has to be done; measure before trusting a simulation"),
            );
        }
    }
    for (path, pool) in view.pools() {
        let Some(kind) = view.kind(pool) else {
            continue;
        };
        if kind.has_machines() {
            region(&path, pool, kind, found);
            machine_type(&path, pool, kind, found);
        } else {
            let message = format!("`{}` keeps DNS records and has no machines", pool.provider);
            found.push(
                Finding::error(
                    "provider-without-machines",
                    &path.field("provider"),
                    message,
                )
                .fix("choose a provider with machines for this pool"),
            );
        }
    }
    for (path, dns) in placed(view.at("dns"), &view.spec.dns) {
        let kind = view.provider(&dns.provider).map(|p| p.kind);
        if kind.is_some_and(|kind| !kind.has_dns()) {
            let message = format!("`{}` cannot keep DNS records", dns.provider);
            found.push(
                Finding::error("provider-without-dns", &path.field("provider"), message)
                    .fix("choose a provider that hosts zones, or one of type `builtin`"),
            );
        }
    }
}

fn credentials(path: &Path, provider: &Provider, found: &mut Vec<Finding>) {
    let needed = match provider.kind {
        ProviderKind::Hetzner | ProviderKind::Aws | ProviderKind::Gcp | ProviderKind::Azure => true,
        ProviderKind::Digitalocean | ProviderKind::Openstack | ProviderKind::Oci => true,
        ProviderKind::Exoscale | ProviderKind::Ovh | ProviderKind::Cloudrift => true,
        ProviderKind::Verda | ProviderKind::Cloudflare | ProviderKind::Rfc2136 => true,
        ProviderKind::Libvirt | ProviderKind::Static | ProviderKind::Builtin => false,
    };
    if needed && provider.credentials.is_none() {
        let message = format!("`{}` has no credentials", provider.name);
        found.push(
            Finding::warning("credentials-missing", path, message)
                .why("it can be simulated without them, but nothing can be made there")
                .fix("say where they are: `credentials: { env: NAME }`, `file` or `secret`"),
        );
    }
    let malformed = match &provider.credentials {
        Some(Credentials::Env(name)) => name.is_empty() || name.contains(['=', ' ', '$']),
        Some(Credentials::File(file)) => file.is_empty(),
        Some(Credentials::Secret(secret)) => {
            let parts = secret.split_once('/');
            !parts.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('/'))
        }
        None => false,
    };
    if malformed {
        let message = "the credentials lead nowhere";
        found.push(
            Finding::error("credentials-malformed", &path.field("credentials"), message)
                .why("they are the name of a variable, the path of a file, or `namespace/name`")
                .fix("write for example `credentials: { env: HCLOUD_TOKEN }`"),
        );
    }
}

fn endpoint(path: &Path, provider: &Provider, found: &mut Vec<Finding>) {
    if provider.kind == ProviderKind::Rfc2136 && provider.endpoint.is_none() {
        let message = format!(
            "`{}` does not say which name server takes updates",
            provider.name
        );
        found.push(
            Finding::error("endpoint-missing", path, message)
                .fix("add its address: `endpoint: ns1.example.com:53`"),
        );
    }
    if provider.endpoint.as_deref().is_some_and(has_secret) {
        let message = format!("the address of `{}` has a secret in it", provider.name);
        found.push(
            Finding::error("endpoint-with-secret", &path.field("endpoint"), message)
                .why("the manifest is kept in the state and shown in reports; this must not be")
                .fix("remove it there, and say where it is: `credentials: { env: NAME }`"),
        );
    }
}

/// Whether an address has more than a user's name before its host (RFC 3986, 3.2.1), or a key
/// among its queries.
fn has_secret(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user = rest[..end].rsplit_once('@').map(|(user, _)| user);
    let key = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default().to_lowercase();
        ["token", "password", "secret", "key", "apikey", "api_key"].contains(&name.as_str())
    };
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    user.is_some_and(|user| user.contains(':')) || query.split('&').any(key)
}

fn region(path: &Path, pool: &NodePool, kind: ProviderKind, found: &mut Vec<Finding>) {
    let Some(name) = &pool.region else {
        return;
    };
    let known = catalog::regions(kind);
    let path_of = path.field("region");
    match catalog::region(kind, name) {
        None if known.is_empty() => {}
        None => {
            let message = format!("`{name}` is not a known region of `{}`", pool.provider);
            let names = known.iter().map(|r| r.name);
            found.push(
                Finding::warning("unknown-region", &path_of, message)
                    .why("its distance to the others is unknown, and creating machines may fail")
                    .fix(name_fix(
                        name,
                        names,
                        "keep it if it is newer than this catalogue",
                    )),
            );
        }
        Some(region) => {
            if let Some(zone) = &pool.zone
                && !region.zones.is_empty()
                && !region.zones.contains(&zone.as_str())
            {
                let message = format!("`{zone}` is not a known zone of `{name}`");
                let zones = region.zones.iter().copied();
                found.push(
                    Finding::warning("unknown-zone", &path.field("zone"), message)
                        .why("creating machines there may fail")
                        .fix(name_fix(
                            zone,
                            zones,
                            "keep it if it is newer than this catalogue",
                        )),
                );
            }
        }
    }
}

fn machine_type(path: &Path, pool: &NodePool, kind: ProviderKind, found: &mut Vec<Finding>) {
    let name = pool.machine_type.as_deref();
    if name.is_some_and(|name| catalog::machine(kind, name).is_some()) {
        return;
    }
    let mut known = catalog::machines(kind).peekable();
    if let Some(name) = name
        && known.peek().is_some()
    {
        let message = format!(
            "`{name}` is not a known machine type of `{}`",
            pool.provider
        );
        let fix = name_fix(name, known, "keep it if it is newer than this catalogue");
        let path = path.field("machineType");
        let finding = graded(false, "unknown-machine-type", &path, message);
        found.push(finding.why("creating machines may fail").fix(fix));
    }
    let (cloud, worker) = (name.is_some(), pool.roles.contains(&Role::Worker));
    if worker && pool.capacity.is_none() && (cloud || kind == ProviderKind::Static) {
        let message = format!("nobody knows what a node of `{}` can hold", pool.name);
        found.push(
            Finding::note("capacity-unknown", path, message)
                .why("whether workloads fit cannot be judged")
                .fix("say it: `capacity: { cpu: 4, memory: 8Gi }`"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let credentials = "/spec/providers/0/credentials";
        vec![
            case(
                "provider-without-machines",
                "/spec/nodePools/6/provider",
                json!("cf"),
            )
            .with("dns-shares-fate"),
            case(
                "provider-without-dns",
                "/spec/dns/0/provider",
                json!("rack"),
            ),
            case("credentials-missing", credentials, Value::Null),
            case("credentials-malformed", credentials, json!({"env": "$X"})),
            case("credentials-malformed", credentials, json!({"file": ""})),
            case("credentials-malformed", credentials, json!({"secret": "x"})),
            case(
                "provider-not-in-catalogue",
                "/spec/providers/0/type",
                json!("cloudrift"),
            )
            .with("capacity-unknown"),
            case(
                "endpoint-missing",
                "/spec/providers/3/type",
                json!("rfc2136"),
            ),
            case(
                "endpoint-with-secret",
                "/spec/providers/0/endpoint",
                json!("https://shop:hunter2@cloud.example.com/v1"),
            )
            .fails(),
            case("unknown-region", "/spec/nodePools/6/region", json!("fns1")),
            case(
                "unknown-zone",
                "/spec/nodePools/1/zone",
                json!("eu-central-1f"),
            ),
            case(
                "unknown-machine-type",
                "/spec/nodePools/0/machineType",
                json!("cx34"),
            ),
            case(
                "unknown-machine-type",
                "/spec/nodePools/4/machineType",
                json!("t3.large"),
            )
            .with("capacity-unknown"),
            case(
                "capacity-unknown",
                "/spec/nodePools/3/capacity",
                Value::Null,
            ),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn a_secret_in_an_address_is_told_from_a_user_a_port_and_a_path() {
        for secret in [
            "https://shop:hunter2@cloud.example.com/v1",
            "shop:hunter2@ns1.example.com:53",
            "https://a:b@c@cloud.example.com",
            "https://cloud.example.com/v1?region=x&Token=abc",
        ] {
            assert!(super::has_secret(secret), "{secret}");
        }
        for plain in [
            "https://cloud.example.com:8443/v1",
            "qemu+ssh://root@host.example.com/system",
            "qemu+ssh://host.example.com/system?keyfile=/home/me/.ssh/id",
            "ns1.example.com:53",
            "https://cloud.example.com/a:b@c",
            "https://cloud.example.com/#token=x",
        ] {
            assert!(!super::has_secret(plain), "{plain}");
        }
    }
}

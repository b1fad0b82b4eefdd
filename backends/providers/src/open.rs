//! Which adapter a provider instance has.

use crate::hetzner::Hetzner;
use crate::{Libvirt, Problem, Provider, Site};
use quorate_engine::manifest::ProviderKind;
use std::sync::Arc;

/// The adapter to a provider instance. `endpoint` is an address from outside the manifest (an
/// environment variable of the vendor's own tools, such as HCLOUD_ENDPOINT), which the manifest's
/// own stands above.
///
/// # Errors
/// A provider whose type has no adapter, a token that is missing, an address that is none.
pub fn open(site: Site, endpoint: Option<String>) -> Result<Arc<dyn Provider>, Problem> {
    let kind = site.provider.kind;
    match kind {
        ProviderKind::Hetzner => Ok(Arc::new(Hetzner::new(site, endpoint)?)),
        ProviderKind::Libvirt => Ok(Arc::new(Libvirt::new(site))),
        ProviderKind::Static
        | ProviderKind::Aws
        | ProviderKind::Gcp
        | ProviderKind::Azure
        | ProviderKind::Digitalocean
        | ProviderKind::Openstack
        | ProviderKind::Oci
        | ProviderKind::Exoscale
        | ProviderKind::Ovh
        | ProviderKind::Cloudrift
        | ProviderKind::Verda
        | ProviderKind::Cloudflare
        | ProviderKind::Rfc2136
        | ProviderKind::Builtin => Err(no_adapter(&site.provider.name, kind)),
    }
}

/// Types that have an adapter.
const WITH_ADAPTER: [ProviderKind; 2] = [ProviderKind::Hetzner, ProviderKind::Libvirt];

fn word(kind: ProviderKind) -> String {
    let text = serde_json::to_value(kind).expect("a type of provider is a word");
    text.as_str().expect("a word is text").to_owned()
}

fn no_adapter(name: &str, kind: ProviderKind) -> Problem {
    let with: Vec<_> = WITH_ADAPTER.into_iter().map(word).collect();
    Problem {
        what: format!(
            "provider {name}: this version makes nothing at providers of type {}",
            word(kind)
        ),
        fix: format!(
            "use a provider of type {}; planning and simulation work for every type",
            with.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Owner, Secret};
    use serde_json::json;

    fn site(kind: &str, secret: Option<&str>, endpoint: Option<&str>) -> Site {
        let mut provider = json!({"name": "a", "type": kind});
        if let Some(endpoint) = endpoint {
            provider["endpoint"] = json!(endpoint);
        }
        Site {
            owner: Owner {
                cluster: "shop".to_owned(),
                uid: 1,
                provider: "a".to_owned(),
            },
            provider: serde_json::from_value(provider).unwrap(),
            secret: secret.map(Secret::new),
            ssh_user: "root".to_owned(),
            ssh_keys: Vec::new(),
        }
    }

    fn refusal(site: Site, endpoint: Option<&str>) -> Problem {
        match open(site, endpoint.map(str::to_owned)) {
            Ok(_) => panic!("it is to be refused"),
            Err(problem) => problem,
        }
    }

    #[test]
    fn a_type_without_adapter_is_told_which_have_one() {
        let problem = refusal(site("aws", None, None), None);
        assert!(problem.what.contains("type aws"), "{problem:?}");
        assert!(problem.fix.contains("hetzner"), "{problem:?}");
        assert!(problem.fix.contains("simulation"), "{problem:?}");
    }

    #[test]
    fn a_token_is_needed_and_kept_off_the_open_network() {
        let missing = refusal(site("hetzner", None, None), None);
        assert!(missing.fix.contains("HCLOUD_TOKEN"), "{missing:?}");
        let blank = refusal(site("hetzner", Some(" \n"), None), None);
        assert_eq!(blank, missing);
        let broken = refusal(site("hetzner", Some("hunter2\u{1}"), None), None);
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
        let wrong = [
            "http://api.example/v1",
            "http://127.example/v1",
            "ftp://[::1]",
            "nonsense",
        ];
        for wrong in wrong {
            let problem = refusal(site("hetzner", Some("t"), None), Some(wrong));
            assert!(problem.what.contains(wrong), "{problem:?}");
        }
        // The manifest stands above what comes from outside.
        let own = site("hetzner", Some("t"), Some("http://127.0.0.1:9/v1"));
        assert!(open(own, Some("nonsense".to_owned())).is_ok());
    }
}

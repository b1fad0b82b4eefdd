//! What is known of each provider's API, as constants: times, limits, idempotency, consistency.
//!
//! A constant without a source in its comment is a judgement: a prior to be replaced by measuring.
//! Deliberately no prices, regions or machine types: those are the catalogue's.

use super::limit::{Counted, Limit};
use quorate_engine::manifest::{Provider, ProviderKind};
use quorate_engine::random::Stream;
use quorate_engine::time::Span;

/// What happens when a resource that was created is created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// The request carries a token; the same token yields the same resource, also after its end.
    Token,
    /// Like [`Self::Token`]; a new token meets a name that is taken.
    TokenAndName,
    /// Names are unique: `409`.
    Name,
    /// The request is a PUT to the resource's own address.
    Put,
    /// There is a second one.
    None,
}

/// A lognormal length of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lasts {
    /// Median, milliseconds.
    pub median_ms: u64,
    /// Shape: standard deviation of the natural logarithm.
    pub sigma: f64,
}

impl Lasts {
    const fn new(median_ms: u64, sigma: f64) -> Self {
        Self { median_ms, sigma }
    }

    /// Draws one, at least a millisecond.
    pub fn draw(self, stream: &mut Stream) -> Span {
        let drawn = stream.lognormal(Span::from_ms(self.median_ms), self.sigma);
        drawn.max(Span::from_ms(1))
    }
}

/// One provider's API.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// From a request to its answer.
    pub request: Lasts,
    /// Of networks, firewalls and machines.
    pub idempotency: Idempotency,
    /// Of record sets.
    pub records: Idempotency,
    /// All that count a request must let it pass.
    pub limits: &'static [Limit],
    /// Who exceeds a limit is refused for at least so long.
    pub penalty: Span,
    /// Resources in one answer; a longer list costs several requests.
    pub page: u32,
    /// Reads may be behind writes by up to so much.
    pub lag: Span,
    /// From an accepted creation of a machine until it runs.
    pub build: Lasts,
    /// From there until ssh answers.
    pub boot: Lasts,
    /// From an accepted deletion of a machine until it is gone.
    pub delete: Lasts,
    /// From an accepted change of records until the name servers answer with it.
    pub publish: Lasts,
    /// A machine is put into a private network, which must be there before it.
    pub network: bool,
    /// Begins the provider's own ids.
    pub prefix: &'static str,
    /// How long before it takes a spot machine back the provider says so.
    pub notice: Span,
}

const fn limit(counted: Counted, burst: u32, interval_ms: u64) -> Limit {
    Limit {
        counted,
        burst,
        interval: Span::from_ms(interval_ms),
    }
}

/// A middle-sized cloud of which nothing special is known.
const CLOUD: Profile = Profile {
    request: Lasts::new(250, 0.4),
    idempotency: Idempotency::Name,
    records: Idempotency::Name,
    limits: &[limit(Counted::Any, 600, 100)],
    penalty: Span::ZERO,
    page: 100,
    lag: Span::ZERO,
    build: Lasts::new(45_000, 0.35),
    // ssh and cloud-init: 15 to 60 s (kubeadm guides for cloud machines).
    boot: Lasts::new(22_000, 0.25),
    delete: Lasts::new(15_000, 0.4),
    publish: Lasts::new(5_000, 0.5),
    network: true,
    prefix: "vm",
    notice: Span::from_secs(30),
};

/// A service that keeps records only.
const NAMES: Profile = Profile {
    request: Lasts::new(120, 0.3),
    records: Idempotency::Put,
    limits: &[],
    publish: Lasts::new(1_000, 0.3),
    network: false,
    prefix: "zone",
    ..CLOUD
};

/// Hetzner Cloud. OpenAPI document: names unique per project (409 `uniqueness_error`), 3600
/// requests per hour and project, refilled by one per second; pages of at most 50. DNS is part of
/// the same API. A server takes about 22 s (hetznercloud community-content #933).
const HETZNER: Profile = Profile {
    request: Lasts::new(150, 0.4),
    limits: &[limit(Counted::Any, 3_600, 1_000)],
    page: 50,
    build: Lasts::new(22_000, 0.3),
    delete: Lasts::new(6_000, 0.4),
    prefix: "hcloud",
    ..CLOUD
};

/// AWS. EC2 user guide, "Ensuring idempotency" (`ClientToken`, valid for at least 24 h after
/// termination) and "Request throttling" (RunInstances: 1000 resource tokens, refilled by 2 per
/// second; TerminateInstances by 20 per second; reads: 100, by 20 per second); "Eventual
/// consistency". Route 53 developer guide, "Quotas": 5 requests per second and account; UPSERT.
/// EC2 has no token for networks; theirs follow the machines' rule here, because an adapter finds
/// them by tag before it repeats. Spot notice: two minutes (EC2, "Spot interruption notices").
const AWS: Profile = Profile {
    request: Lasts::new(200, 0.4),
    idempotency: Idempotency::Token,
    records: Idempotency::Put,
    limits: &[
        limit(Counted::Reads, 100, 50),
        limit(Counted::Writes, 1_000, 500),
        limit(Counted::Deletes, 1_000, 50),
        limit(Counted::Records, 5, 200),
    ],
    page: 1_000,
    lag: Span::from_secs(3),
    build: Lasts::new(30_000, 0.3),
    delete: Lasts::new(35_000, 0.3),
    // PENDING to INSYNC: "usually within 60 seconds".
    publish: Lasts::new(20_000, 0.4),
    prefix: "i",
    notice: Span::from_secs(120),
    ..CLOUD
};

/// Google Compute Engine. `requestId` and unique names ("Instances: insert"); 1500 requests per
/// minute and group ("API rate quotas").
const GCP: Profile = Profile {
    idempotency: Idempotency::TokenAndName,
    limits: &[limit(Counted::Any, 1_500, 40)],
    page: 500,
    build: Lasts::new(25_000, 0.3),
    delete: Lasts::new(40_000, 0.3),
    publish: Lasts::new(10_000, 0.5),
    prefix: "gce",
    ..CLOUD
};

/// Azure. PUT by id; "Throttling Resource Manager": reads 250 at 25/s, writes and deletes 200 each
/// at 10/s.
const AZURE: Profile = Profile {
    request: Lasts::new(350, 0.4),
    idempotency: Idempotency::Put,
    records: Idempotency::Put,
    limits: &[
        limit(Counted::Reads, 250, 40),
        limit(Counted::Writes, 200, 100),
        limit(Counted::Deletes, 200, 100),
    ],
    build: Lasts::new(60_000, 0.35),
    delete: Lasts::new(60_000, 0.35),
    prefix: "azvm",
    ..CLOUD
};

/// DigitalOcean. API reference: 5000 requests per hour and 250 per minute; names are not unique and
/// a repeated POST makes a second droplet; pages of at most 200.
const DIGITALOCEAN: Profile = Profile {
    idempotency: Idempotency::None,
    limits: &[
        limit(Counted::Any, 5_000, 720),
        limit(Counted::Any, 250, 240),
    ],
    page: 200,
    build: Lasts::new(35_000, 0.3),
    prefix: "droplet",
    ..CLOUD
};

/// OpenStack. Names are not unique (seen with nova 26: a second server of one name is accepted);
/// limits are each deployment's own. ACTIVE after 2 to 11 s with a driver that does nothing.
const OPENSTACK: Profile = Profile {
    idempotency: Idempotency::None,
    limits: &[],
    page: 1_000,
    build: Lasts::new(20_000, 0.4),
    delete: Lasts::new(6_000, 0.3),
    prefix: "nova",
    ..CLOUD
};

/// libvirt. Domain names are unique; no limit. Five domains took 4.5 to 5.9 s to create.
const LIBVIRT: Profile = Profile {
    request: Lasts::new(20, 0.3),
    limits: &[],
    page: u32::MAX,
    build: Lasts::new(3_000, 0.3),
    boot: Lasts::new(12_000, 0.3),
    delete: Lasts::new(2_000, 0.3),
    network: false,
    prefix: "dom",
    ..CLOUD
};

/// libvirt with machines that are containers. From start to services that answer 0.6 to 1.4 s in 22
/// starts on a quiet host, 3.3 to 3.9 s in 3 on a busy one.
const LXC: Profile = Profile {
    build: Lasts::new(700, 0.3),
    boot: Lasts::new(2_000, 0.5),
    ..LIBVIRT
};

/// Hosts that exist already: there is no API, an inventory answers.
const STATIC: Profile = Profile {
    request: Lasts::new(5, 0.1),
    prefix: "host",
    ..LIBVIRT
};

/// Cloudflare. "API rate limits": 1200 requests in five minutes, then refusal for five minutes. A
/// record that exists already is an error.
const CLOUDFLARE: Profile = Profile {
    records: Idempotency::Name,
    limits: &[limit(Counted::Any, 1_200, 250)],
    penalty: Span::from_secs(300),
    publish: Lasts::new(2_000, 0.4),
    ..NAMES
};

/// Clouds for machines with no private network of their own.
const PLAIN: Profile = Profile {
    network: false,
    ..CLOUD
};

/// Whether a provider's machines are containers: libvirt's LXC driver makes such.
#[must_use]
pub fn containers(provider: &Provider) -> bool {
    let endpoint = provider.endpoint.as_deref().unwrap_or_default();
    provider.kind == ProviderKind::Libvirt && endpoint.starts_with("lxc")
}

/// What is known of this kind of provider, and of one whose machines are containers.
#[must_use]
pub const fn profile(kind: ProviderKind, containers: bool) -> &'static Profile {
    match kind {
        ProviderKind::Libvirt if containers => &LXC,
        ProviderKind::Hetzner => &HETZNER,
        ProviderKind::Aws => &AWS,
        ProviderKind::Gcp => &GCP,
        ProviderKind::Azure => &AZURE,
        ProviderKind::Digitalocean => &DIGITALOCEAN,
        ProviderKind::Openstack => &OPENSTACK,
        ProviderKind::Libvirt => &LIBVIRT,
        ProviderKind::Static => &STATIC,
        ProviderKind::Oci | ProviderKind::Exoscale | ProviderKind::Ovh => &CLOUD,
        ProviderKind::Cloudrift | ProviderKind::Verda => &PLAIN,
        ProviderKind::Cloudflare => &CLOUDFLARE,
        ProviderKind::Rfc2136 | ProviderKind::Builtin => &NAMES,
    }
}

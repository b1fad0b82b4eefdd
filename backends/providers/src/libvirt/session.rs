//! libvirt's procedures, as far as they are needed, with their arguments and results.
//!
//! Source of numbers and shapes: `remote_protocol.x` of libvirt; both are fixed for ever. Knows
//! nothing of what the documents say.

use super::fault::code;
use super::link;
use super::rpc::{Connection, Trouble};
use super::uri::{Driver, Target};
use super::xdr::{Decoder, Encoder, Garbled};

mod procedure {
    pub(super) const OPEN: i32 = 1;
    pub(super) const CAPABILITIES: i32 = 7;
    pub(super) const DOMAIN_CREATE: i32 = 9;
    pub(super) const DOMAIN_DEFINE_XML: i32 = 11;
    pub(super) const DOMAIN_DESTROY: i32 = 12;
    pub(super) const DOMAIN_GET_XML_DESC: i32 = 14;
    pub(super) const DOMAIN_GET_AUTOSTART: i32 = 15;
    pub(super) const DOMAIN_LOOKUP_BY_NAME: i32 = 23;
    pub(super) const DOMAIN_RESUME: i32 = 28;
    pub(super) const DOMAIN_SET_AUTOSTART: i32 = 29;
    pub(super) const NETWORK_CREATE: i32 = 39;
    pub(super) const NETWORK_DEFINE_XML: i32 = 41;
    pub(super) const NETWORK_DESTROY: i32 = 42;
    pub(super) const NETWORK_GET_XML_DESC: i32 = 43;
    pub(super) const NETWORK_LOOKUP_BY_NAME: i32 = 46;
    pub(super) const NETWORK_SET_AUTOSTART: i32 = 48;
    pub(super) const NETWORK_UNDEFINE: i32 = 49;
    pub(super) const AUTH_LIST: i32 = 66;
    pub(super) const AUTH_POLKIT: i32 = 70;
    pub(super) const POOL_REFRESH: i32 = 83;
    pub(super) const POOL_LOOKUP_BY_NAME: i32 = 84;
    pub(super) const VOL_CREATE_XML: i32 = 93;
    pub(super) const VOL_DELETE: i32 = 94;
    pub(super) const VOL_LOOKUP_BY_NAME: i32 = 95;
    pub(super) const VOL_LOOKUP_BY_PATH: i32 = 97;
    pub(super) const VOL_GET_XML_DESC: i32 = 99;
    pub(super) const NETWORK_IS_ACTIVE: i32 = 152;
    pub(super) const NWFILTER_GET_XML_DESC: i32 = 177;
    pub(super) const NWFILTER_DEFINE_XML: i32 = 180;
    pub(super) const NWFILTER_UNDEFINE: i32 = 181;
    pub(super) const VOL_UPLOAD: i32 = 208;
    pub(super) const DOMAIN_GET_STATE: i32 = 212;
    pub(super) const DOMAIN_UNDEFINE_FLAGS: i32 = 231;
    pub(super) const LIST_ALL_DOMAINS: i32 = 273;
    pub(super) const POOL_LIST_ALL_VOLUMES: i32 = 282;
    pub(super) const LIST_ALL_NETWORKS: i32 = 283;
    pub(super) const LIST_ALL_NWFILTERS: i32 = 286;
}

use procedure as p;

/// `VIR_DOMAIN_XML_INACTIVE`: what holds from the next start on.
const DOMAIN_INACTIVE: u32 = 2;
/// `VIR_NETWORK_XML_INACTIVE`.
const NETWORK_INACTIVE: u32 = 1;

/// A domain, network, filter or pool, as the protocol names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) uuid: [u8; 16],
    /// Domains only: its number while it runs.
    number: i32,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) pool: String,
    pub(super) name: String,
    pub(super) key: String,
}

/// `virDomainState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// It runs: running, blocked, shutting down, suspended by its own power management.
    On,
    /// It stands still with its memory kept.
    Paused,
    /// It does not run.
    Off,
    /// It broke down.
    Crashed,
}

fn domain(from: &mut Decoder<'_>) -> Result<Named, Garbled> {
    let mut named = named(from)?;
    named.number = from.i32()?;
    Ok(named)
}

fn named(from: &mut Decoder<'_>) -> Result<Named, Garbled> {
    Ok(Named {
        name: from.text()?,
        uuid: from.fixed()?,
        number: -1,
    })
}

fn volume(from: &mut Decoder<'_>) -> Result<Volume, Garbled> {
    Ok(Volume {
        pool: from.text()?,
        name: from.text()?,
        key: from.text()?,
    })
}

impl Named {
    fn as_domain(&self) -> Encoder {
        self.plain().i32(self.number)
    }

    fn plain(&self) -> Encoder {
        Encoder::new().text(&self.name).fixed(&self.uuid)
    }
}

impl Volume {
    fn encode(&self) -> Encoder {
        Encoder::new()
            .text(&self.pool)
            .text(&self.name)
            .text(&self.key)
    }
}

/// Reads a result.
fn get<'a, T>(
    payload: &'a [u8],
    value: impl FnOnce(&mut Decoder<'a>) -> Result<T, Garbled>,
) -> Result<T, Trouble> {
    Ok(value(&mut Decoder::new(payload))?)
}

/// What was asked for, or none where there is no such thing.
fn found<T>(result: Result<T, Trouble>, none: i32) -> Result<Option<T>, Trouble> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Trouble::Remote(error)) if error.code == none => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// An open connection to a hypervisor.
pub(super) struct Session {
    connection: Connection,
    /// How a network's document is asked for: the mock knows one state of it only and takes no
    /// flag.
    network_flags: u32,
}

impl Session {
    /// Connects, and opens the hypervisor.
    pub(super) async fn open(target: &Target, ssh: &str) -> Result<Self, Trouble> {
        let link = link::connect(target, ssh).await?;
        let session = Self {
            connection: Connection::new(link),
            network_flags: match target.driver {
                Driver::Lxc | Driver::Qemu => NETWORK_INACTIVE,
                Driver::Test => 0,
            },
        };
        session.authenticate().await?;
        let name = Encoder::new().some_text(&target.uri).u32(0);
        session.read(p::OPEN, name).await?;
        Ok(session)
    }

    /// `remote_auth_type`: 0 is none, 1 SASL, 2 polkit. A daemon offers polkit where the socket is
    /// open to everybody, and asks it about this process.
    async fn authenticate(&self) -> Result<(), Trouble> {
        let list = self.read(p::AUTH_LIST, Encoder::new()).await?;
        let types = get(&list, |from| from.list(Decoder::i32))?;
        if types.contains(&0) || types.is_empty() {
            return Ok(());
        }
        if !types.contains(&2) {
            let said = "libvirt asks for a user and a password (SASL), which only ssh and local \
                        sockets spare: use one of them";
            return Err(Trouble::Shut(said.to_owned()));
        }
        self.read(p::AUTH_POLKIT, Encoder::new()).await?;
        Ok(())
    }

    pub(super) fn worn(&self) -> bool {
        self.connection.worn()
    }

    /// Asks for something. What is lost on the way changed nothing.
    async fn read(&self, procedure: i32, arguments: Encoder) -> Result<Vec<u8>, Trouble> {
        match self.connection.call(procedure, arguments.done()).await {
            Err(Trouble::Lost(why)) => Err(Trouble::Unsent(format!("libvirt is gone: {why}"))),
            answer => answer,
        }
    }

    /// Changes something.
    async fn change(&self, procedure: i32, arguments: Encoder) -> Result<Vec<u8>, Trouble> {
        self.connection.call(procedure, arguments.done()).await
    }

    async fn text(&self, procedure: i32, arguments: Encoder) -> Result<String, Trouble> {
        get(&self.read(procedure, arguments).await?, Decoder::text)
    }

    async fn lookup(
        &self,
        procedure: i32,
        name: &str,
        none: i32,
    ) -> Result<Option<Named>, Trouble> {
        let found_it = self.read(procedure, Encoder::new().text(name)).await;
        found(found_it, none)?
            .map(|payload| {
                get(
                    &payload,
                    match procedure {
                        p::DOMAIN_LOOKUP_BY_NAME => domain,
                        _ => named,
                    },
                )
            })
            .transpose()
    }

    async fn list<T>(
        &self,
        procedure: i32,
        of: Encoder,
        item: impl FnMut(&mut Decoder<'_>) -> Result<T, Garbled>,
    ) -> Result<Vec<T>, Trouble> {
        let payload = self.read(procedure, of.i32(1).u32(0)).await?;
        get(&payload, |from| from.list(item))
    }

    pub(super) async fn capabilities(&self) -> Result<String, Trouble> {
        self.text(p::CAPABILITIES, Encoder::new()).await
    }

    pub(super) async fn domains(&self) -> Result<Vec<Named>, Trouble> {
        self.list(p::LIST_ALL_DOMAINS, Encoder::new(), domain).await
    }

    pub(super) async fn domain(&self, name: &str) -> Result<Option<Named>, Trouble> {
        let none = code::NO_DOMAIN;
        self.lookup(p::DOMAIN_LOOKUP_BY_NAME, name, none).await
    }

    /// Its document as it holds from the next start on; none where it went meanwhile.
    pub(super) async fn domain_xml(&self, of: &Named) -> Result<Option<String>, Trouble> {
        let arguments = of.as_domain().u32(DOMAIN_INACTIVE);
        let text = self.text(p::DOMAIN_GET_XML_DESC, arguments).await;
        found(text, code::NO_DOMAIN)
    }

    pub(super) async fn power(&self, of: &Named) -> Result<Power, Trouble> {
        let arguments = of.as_domain().u32(0);
        let payload = self.read(p::DOMAIN_GET_STATE, arguments).await?;
        Ok(match get(&payload, Decoder::i32)? {
            3 => Power::Paused,
            5 => Power::Off,
            6 => Power::Crashed,
            _ => Power::On,
        })
    }

    pub(super) async fn autostarts(&self, of: &Named) -> Result<bool, Trouble> {
        let payload = self.read(p::DOMAIN_GET_AUTOSTART, of.as_domain()).await?;
        Ok(get(&payload, Decoder::i32)? != 0)
    }

    pub(super) async fn set_autostart(&self, of: &Named, on: bool) -> Result<(), Trouble> {
        let arguments = of.as_domain().i32(i32::from(on));
        self.change(p::DOMAIN_SET_AUTOSTART, arguments)
            .await
            .map(drop)
    }

    /// Makes or changes its definition.
    pub(super) async fn define_domain(&self, xml: &str) -> Result<Named, Trouble> {
        let arguments = Encoder::new().text(xml);
        get(&self.change(p::DOMAIN_DEFINE_XML, arguments).await?, domain)
    }

    pub(super) async fn start_domain(&self, of: &Named) -> Result<(), Trouble> {
        self.change(p::DOMAIN_CREATE, of.as_domain())
            .await
            .map(drop)
    }

    pub(super) async fn resume_domain(&self, of: &Named) -> Result<(), Trouble> {
        self.change(p::DOMAIN_RESUME, of.as_domain())
            .await
            .map(drop)
    }

    /// Stops it at once; one that does not run is stopped.
    pub(super) async fn destroy_domain(&self, of: &Named) -> Result<(), Trouble> {
        let stopped = self.change(p::DOMAIN_DESTROY, of.as_domain()).await;
        found(stopped, code::OPERATION_INVALID).map(drop)
    }

    /// `flags`: `virDomainUndefineFlagsValues`. One that is gone is undefined.
    pub(super) async fn undefine_domain(&self, of: &Named, flags: u32) -> Result<(), Trouble> {
        let arguments = of.as_domain().u32(flags);
        let gone = self.change(p::DOMAIN_UNDEFINE_FLAGS, arguments).await;
        found(gone, code::NO_DOMAIN).map(drop)
    }

    pub(super) async fn networks(&self) -> Result<Vec<Named>, Trouble> {
        self.list(p::LIST_ALL_NETWORKS, Encoder::new(), named).await
    }

    pub(super) async fn network(&self, name: &str) -> Result<Option<Named>, Trouble> {
        let none = code::NO_NETWORK;
        self.lookup(p::NETWORK_LOOKUP_BY_NAME, name, none).await
    }

    /// Its document as it holds from the next start on; none where it went meanwhile.
    pub(super) async fn network_xml(&self, of: &Named) -> Result<Option<String>, Trouble> {
        let arguments = of.plain().u32(self.network_flags);
        let text = self.text(p::NETWORK_GET_XML_DESC, arguments).await;
        found(text, code::NO_NETWORK)
    }

    pub(super) async fn network_active(&self, of: &Named) -> Result<bool, Trouble> {
        let payload = self.read(p::NETWORK_IS_ACTIVE, of.plain()).await?;
        Ok(get(&payload, Decoder::i32)? != 0)
    }

    pub(super) async fn define_network(&self, xml: &str) -> Result<Named, Trouble> {
        let arguments = Encoder::new().text(xml);
        get(&self.change(p::NETWORK_DEFINE_XML, arguments).await?, named)
    }

    pub(super) async fn start_network(&self, of: &Named) -> Result<(), Trouble> {
        self.change(p::NETWORK_CREATE, of.plain()).await.map(drop)
    }

    pub(super) async fn autostart_network(&self, of: &Named) -> Result<(), Trouble> {
        let arguments = of.plain().i32(1);
        self.change(p::NETWORK_SET_AUTOSTART, arguments)
            .await
            .map(drop)
    }

    /// Stops it; one that does not run is stopped.
    pub(super) async fn destroy_network(&self, of: &Named) -> Result<(), Trouble> {
        let stopped = self.change(p::NETWORK_DESTROY, of.plain()).await;
        found(stopped, code::OPERATION_INVALID).map(drop)
    }

    pub(super) async fn undefine_network(&self, of: &Named) -> Result<(), Trouble> {
        let gone = self.change(p::NETWORK_UNDEFINE, of.plain()).await;
        found(gone, code::NO_NETWORK).map(drop)
    }

    /// All filters; none where the connection has no such thing.
    pub(super) async fn filters(&self) -> Result<Option<Vec<Named>>, Trouble> {
        let list = self
            .list(p::LIST_ALL_NWFILTERS, Encoder::new(), named)
            .await;
        found(list, code::NO_SUPPORT)
    }

    pub(super) async fn filter_xml(&self, of: &Named) -> Result<Option<String>, Trouble> {
        let text = self.text(p::NWFILTER_GET_XML_DESC, of.plain().u32(0)).await;
        found(text, code::NO_NWFILTER)
    }

    pub(super) async fn define_filter(&self, xml: &str) -> Result<Named, Trouble> {
        let arguments = Encoder::new().text(xml);
        get(
            &self.change(p::NWFILTER_DEFINE_XML, arguments).await?,
            named,
        )
    }

    pub(super) async fn undefine_filter(&self, of: &Named) -> Result<(), Trouble> {
        let gone = self.change(p::NWFILTER_UNDEFINE, of.plain()).await;
        found(gone, code::NO_NWFILTER).map(drop)
    }

    pub(super) async fn pool(&self, name: &str) -> Result<Option<Named>, Trouble> {
        let none = code::NO_STORAGE_POOL;
        self.lookup(p::POOL_LOOKUP_BY_NAME, name, none).await
    }

    /// Has it look at what is on the disk.
    pub(super) async fn refresh_pool(&self, pool: &Named) -> Result<(), Trouble> {
        self.read(p::POOL_REFRESH, pool.plain().u32(0))
            .await
            .map(drop)
    }

    pub(super) async fn volumes(&self, pool: &Named) -> Result<Vec<Volume>, Trouble> {
        self.list(p::POOL_LIST_ALL_VOLUMES, pool.plain(), volume)
            .await
    }

    pub(super) async fn volume(&self, pool: &Named, name: &str) -> Result<Option<Volume>, Trouble> {
        let arguments = pool.plain().text(name);
        let payload = self.read(p::VOL_LOOKUP_BY_NAME, arguments).await;
        let payload = found(payload, code::NO_STORAGE_VOL)?;
        payload.map(|payload| get(&payload, volume)).transpose()
    }

    /// The volume with this path, in whatever pool it is.
    pub(super) async fn volume_at(&self, path: &str) -> Result<Option<Volume>, Trouble> {
        let payload = self
            .read(p::VOL_LOOKUP_BY_PATH, Encoder::new().text(path))
            .await;
        let payload = found(payload, code::NO_STORAGE_VOL)?;
        payload.map(|payload| get(&payload, volume)).transpose()
    }

    pub(super) async fn volume_xml(&self, of: &Volume) -> Result<String, Trouble> {
        self.text(p::VOL_GET_XML_DESC, of.encode().u32(0)).await
    }

    pub(super) async fn create_volume(&self, pool: &Named, xml: &str) -> Result<Volume, Trouble> {
        let arguments = pool.plain().text(xml).u32(0);
        get(&self.change(p::VOL_CREATE_XML, arguments).await?, volume)
    }

    pub(super) async fn delete_volume(&self, of: &Volume) -> Result<(), Trouble> {
        let gone = self.change(p::VOL_DELETE, of.encode().u32(0)).await;
        found(gone, code::NO_STORAGE_VOL).map(drop)
    }

    /// Writes `data` from the volume's beginning on.
    pub(super) async fn upload(&self, to: &Volume, data: &[u8]) -> Result<(), Trouble> {
        let arguments = to.encode().u64(0).u64(data.len() as u64).u32(0);
        self.connection
            .upload(p::VOL_UPLOAD, arguments.done(), data)
            .await
    }
}

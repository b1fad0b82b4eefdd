//! Machines of tests: no ssh, but real tunnels to what listens on this host; real etcd with TLS
//! where it is installed; an API server that keeps objects in memory.

mod api;
mod etcd;

pub(crate) use api::FakeApi;
pub(crate) use etcd::{Etcd, Pki};

use crate::Access;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quorate_engine::manifest::{Manifest, load};
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass, Key, Lane, Verb};
use quorate_hosts::{Hosts, Job, Output, Patience, Pins, Reach, Runner, Settings, Tunnel};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpStream, UnixListener};

/// What is where.
#[derive(Default)]
pub(crate) struct Lab {
    /// What reading its credentials says, by machine.
    pub(crate) credentials: BTreeMap<ResourceId, String>,
    /// Where an address leads, as a machine sees it; else to itself.
    pub(crate) routes: BTreeMap<(ResourceId, SocketAddrV4), SocketAddr>,
    /// Nothing comes back from them.
    pub(crate) dead: Mutex<BTreeSet<ResourceId>>,
    /// Machines on which a job was begun, in order.
    pub(crate) asked: Mutex<Vec<ResourceId>>,
}

impl Lab {
    pub(crate) fn kill(&self, machine: &ResourceId) {
        self.dead.lock().unwrap().insert(machine.clone());
    }

    async fn reach(&self, machine: &ResourceId) {
        if self.dead.lock().unwrap().contains(machine) {
            std::future::pending::<()>().await;
        }
    }
}

/// The same machines, for those who look from outside, too.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<Lab>);

impl Runner for Shared {
    async fn run(&self, machine: &ResourceId, _: &Reach, _: &Job<'_>) -> Result<Output, Fault> {
        self.0.asked.lock().unwrap().push(machine.clone());
        self.0.reach(machine).await;
        let said = self.0.credentials.get(machine);
        let stdout = said.ok_or_else(|| {
            let what = format!("{machine}: it is no control plane");
            Fault::new(FaultClass::Busy, what)
        })?;
        Ok(Output {
            stdout: stdout.clone(),
            stderr: String::new(),
        })
    }

    async fn tunnel(
        &self,
        machine: &ResourceId,
        _: &Reach,
        to: SocketAddrV4,
    ) -> Result<Tunnel, Fault> {
        self.0.reach(machine).await;
        let route = self.0.routes.get(&(machine.clone(), to)).copied();
        let to = route.unwrap_or(SocketAddr::V4(to));
        let tunnel = Tunnel::new().unwrap();
        let listener = UnixListener::bind(tunnel.socket()).unwrap();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        Ok(tunnel)
    }
}

struct NoPins;

impl Pins for NoPins {
    fn get(&self, _: &ResourceId) -> Option<String> {
        None
    }

    fn put(&self, _: &ResourceId, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Three control planes and a worker at one provider of one's own, called `shop`.
pub(crate) fn manifest() -> Arc<Manifest> {
    let text = r#"
apiVersion: quorate.dev/v1
kind: Cluster
metadata: {name: shop}
spec:
  kubernetes: {version: 1.30.4}
  providers: [{name: own, type: static}]
  nodePools:
    - name: cp
      provider: own
      roles: [control-plane]
      hosts: [{address: 192.0.2.1}, {address: 192.0.2.2}, {address: 192.0.2.3}]
    - name: w
      provider: own
      roles: [worker]
      hosts: [{address: 192.0.2.4}]
"#;
    let loaded = load(text.as_bytes(), None);
    Arc::new(
        loaded
            .manifest
            .unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)),
    )
}

/// The way to a cluster on these machines.
pub(crate) fn access(lab: &Arc<Lab>) -> Access<Shared> {
    let settings = Settings {
        cluster: "shop".to_owned(),
        uid: 7,
        machines: Arc::new(|_: &ResourceId, _: &[(ResourceId, Ipv4Addr)]| {
            Some(Reach {
                address: "192.0.2.1".to_owned(),
                port: None,
                user: None,
                key: quorate_hosts::Key::Agent,
            })
        }),
        pins: Arc::new(NoPins),
        agent_binary: None,
        packages: None,
        image_repository: None,
        parallel: 4,
        patience: Patience::default(),
    };
    let hosts = Hosts::over(Shared(Arc::clone(lab)), settings);
    Access::new(Arc::new(hosts), manifest())
}

/// `shop/cp/1` and so on.
pub(crate) fn plane(number: u32) -> ResourceId {
    ResourceId::new(format!("shop/cp/{number}"))
}

/// A call of the cluster's lane that knows of these machines.
pub(crate) fn call(verb: Verb, machine: &ResourceId, known: &[ResourceId]) -> Call {
    let address = |id: &ResourceId| (id.clone(), Ipv4Addr::new(192, 0, 2, 1));
    Call {
        lane: Lane::Cluster,
        verb,
        target: machine.child("etcd"),
        kind: Kind::EtcdMember,
        resource: None,
        key: Key(1),
        addresses: known.iter().map(address).collect(),
        peers: Arc::from([]),
    }
}

/// What the job that reads credentials says on a control plane.
pub(crate) fn credentials(pki: &Pki) -> String {
    let (ca, certificate, key) = (
        pki.text("ca.crt"),
        pki.text("node.crt"),
        pki.text("node.key"),
    );
    let code = |text: &str| STANDARD.encode(text);
    let admin = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{{name: c, cluster: {{server: 'https://api.shop.internal:6443', \
         certificate-authority-data: {}}}}}]\n\
         users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n\
         contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n",
        code(&ca),
        code(&certificate),
        code(&key)
    );
    format!(
        "admin {}\netcd-ca {}\netcd-certificate {}\netcd-key {}\n",
        code(&admin),
        code(&ca),
        code(&certificate),
        code(&key)
    )
}

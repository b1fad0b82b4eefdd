//! Asks one address once whether it is well.

use crate::check::{Protocol, Target};
use crate::net::Net;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// How long a connection has to stay open: HAProxy needs no longer to find that no backend is left,
/// and closes it then.
const HOLD: Duration = Duration::from_millis(300);

/// A question, ready to be asked often.
pub(super) struct Prober<N> {
    net: N,
    target: Target,
    client: Result<Option<(Client, Url)>, String>,
}

impl<N: Net> Prober<N> {
    pub(super) fn new(net: N, target: &Target) -> Self {
        let client = match target.check.protocol {
            Protocol::Tcp => Ok(None),
            Protocol::Http | Protocol::Https => client(target).map(Some),
        };
        Self {
            net,
            target: target.clone(),
            client,
        }
    }

    /// Asks, for as long as it may take.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) async fn look(&self) -> Result<(), String> {
        let most = Duration::from_nanos(self.target.check.timeout.0.0);
        let looked = async {
            match &self.client {
                Ok(None) => self.connect(most).await,
                Ok(Some((client, url))) => self.get(client, url).await,
                Err(problem) => Err(problem.clone()),
            }
        };
        let looked = timeout(most, looked).await;
        looked.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn connect(&self, most: Duration) -> Result<(), String> {
        let at = SocketAddr::new(self.target.address, self.target.check.port);
        let line = self.net.connect(at).await;
        let mut line = line.map_err(|error| error.to_string())?;
        match timeout(HOLD.min(most / 2), line.read(&mut [0; 1])).await {
            // It waits for us to speak, or speaks itself.
            Err(_) | Ok(Ok(1..)) => Ok(()),
            Ok(Ok(0)) => Err("closed at once".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
        }
    }

    async fn get(&self, client: &Client, url: &Url) -> Result<(), String> {
        let answer = client.get(url.clone()).send().await;
        let answer = answer.map_err(|error| format!("{:?}", error.without_url()))?;
        let status = answer.status().as_u16();
        if self.target.check.takes(status) {
            Ok(())
        } else {
            Err(format!("status {status}"))
        }
    }
}

fn client(target: &Target) -> Result<(Client, Url), String> {
    // Somebody else in this process may have chosen first: then that choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let check = &target.check;
    let at = SocketAddr::new(target.address, check.port);
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let mut builder = Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(Policy::none())
        .user_agent(concat!("quorate-dns/", env!("CARGO_PKG_VERSION")))
        // Each look is a connection of its own, as a client's would be.
        .pool_max_idle_per_host(0);
    builder = match &check.ca {
        None => builder.tls_danger_accept_invalid_certs(true),
        Some(pem) => {
            let roots = Certificate::from_pem_bundle(pem.as_bytes());
            builder.tls_certs_only(roots.map_err(|error| said(&error))?)
        }
    };
    let scheme = match check.protocol {
        Protocol::Https => "https",
        Protocol::Http | Protocol::Tcp => "http",
    };
    let place = match &check.host {
        None => at.to_string(),
        Some(host) => {
            builder = builder.resolve(host, at);
            format!("{host}:{}", check.port)
        }
    };
    let path = check.path.as_deref().unwrap_or("/");
    let url = Url::parse(&format!("{scheme}://{place}{path}")).map_err(|error| said(&error))?;
    let client = builder.build().map_err(|error| said(&error))?;
    Ok((client, url))
}

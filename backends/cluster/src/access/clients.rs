//! Clients of etcd and of the Kubernetes API whose connections go through a tunnel.

use super::{API_HERE, Access, Addresses, Way};
use crate::api::fault;
use crate::etcd::Gateway;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::ConfigExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Runner;
use std::future::Future;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// The name of the API server that stands in every certificate kubeadm makes.
const API_URL: &str = "https://kubernetes:6443/";

/// A request of the API, within a time, as our faults.
///
/// # Errors
/// See [`fault`]; after the time `Unknown` for what changes something, else `Retryable`.
pub(crate) async fn within<T>(
    limit: Duration,
    mutates: bool,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|error| fault(&error, mutates)),
        Err(_) => {
            let class = if mutates {
                FaultClass::Unknown
            } else {
                FaultClass::Retryable
            };
            let what = format!("the API server gave no answer within {} s", limit.as_secs());
            Err(Fault::new(class, what))
        }
    }
}

impl<R: Runner> Access<R> {
    /// etcd's gateway at an address that is seen from the way's machine.
    pub(crate) async fn gateway(
        &self,
        way: &Way,
        addresses: &Addresses,
        to: SocketAddrV4,
    ) -> Result<Gateway, Fault> {
        let tunnel = self.tunnel(&way.machine, addresses, to).await?;
        Gateway::new(tunnel, to, &way.machine, &way.credentials)
    }

    /// See [`Self::api`].
    pub(super) async fn client(
        &self,
        way: &Way,
        addresses: &Addresses,
    ) -> Result<kube::Client, Fault> {
        let tunnel = self.tunnel(&way.machine, addresses, API_HERE).await?;
        // What the parser has to say could quote a key.
        let unreadable = |_| {
            let what = format!("{}: its admin.conf is unreadable", way.machine);
            Fault::new(FaultClass::Invalid, what)
        };
        let kubeconfig = Kubeconfig::from_yaml(&way.credentials.admin).map_err(unreadable)?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(unreadable)?;
        config.cluster_url = API_URL.parse().expect("a constant URL");
        config.proxy_url = None;
        let connect = tower::service_fn(move |_| {
            let tunnel = Arc::clone(&tunnel);
            async move { UnixStream::connect(tunnel.socket()).await.map(TokioIo::new) }
        });
        let failed = |_| {
            let what = format!("{}: its admin.conf is of no use", way.machine);
            Fault::new(FaultClass::Invalid, what)
        };
        let https = config
            .rustls_https_connector_with_connector(connect)
            .map_err(failed)?;
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
        let auth = config.auth_layer().map_err(failed)?;
        let service = tower::ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(auth)
            .map_err(tower::BoxError::from)
            .service(client);
        Ok(kube::Client::new(service, config.default_namespace))
    }
}

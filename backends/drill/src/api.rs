//! Requests, each over a connection of its own, and the administrator's credentials for them.
//!
//! HTTP/1.0 by hand: one request, one answer, the end; so that every stage of it has its own time
//! and its own name when it fails.

use base64::Engine as _;
use quorate_engine::yaml;
use quorate_sim::traffic::Cause;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No answer of an API server that we ask for is longer.
const LONGEST: u64 = 64 << 20;

/// The parts of a kubeconfig that are used here.
#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(rename = "current-context")]
    current: String,
    contexts: Vec<Named<Context>>,
    clusters: Vec<Named<Cluster>>,
    users: Vec<Named<User>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    tls_server_name: Option<String>,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
}

/// Who may do everything in a cluster. Its keys do not show.
#[derive(Clone)]
pub struct Admin {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admin of {:?}", self.name)
    }
}

/// A configuration of TLS with a client's certificate, that trusts one authority; no session is
/// taken up again: every connection is a new one.
///
/// # Errors
/// What is wrong with which of them, without its text.
pub fn tls(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(authority) {
        let one = one.map_err(|error| format!("the authority's certificate: {error}"))?;
        roots
            .add(one)
            .map_err(|error| format!("the authority's certificate: {error}"))?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("the client's certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the client's key is none")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key);
    let mut config = config.map_err(|error| format!("the client's certificate: {error}"))?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl Admin {
    /// From a kubeconfig with a client's certificate, as kubeadm writes it.
    ///
    /// # Errors
    /// What is missing or wrong; no part of a key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&bytes, folder).map_err(|why| format!("{shown}: {why}"))
    }

    fn parse(bytes: &[u8], folder: &Path) -> Result<Self, String> {
        let parsed = yaml::parse(bytes);
        let root = parsed.documents.first().ok_or("it is empty")?;
        let config: Kubeconfig =
            yaml::decode(root).map_err(|found| found.finding.message.clone())?;
        let context = find(&config.contexts, &config.current, "context")?;
        let cluster = find(&config.clusters, &context.cluster, "cluster")?;
        let user = find(&config.users, &context.user, "user")?;
        let part = |data: &Option<String>, file: &Option<String>, what: &str| match (data, file) {
            (Some(data), _) => {
                let engine = base64::engine::general_purpose::STANDARD;
                engine
                    .decode(data.trim())
                    .map_err(|_| format!("{what} is no base64"))
            }
            (None, Some(file)) => {
                std::fs::read(folder.join(file)).map_err(|error| format!("{what} {file}: {error}"))
            }
            (None, None) => Err(format!("it has no {what}")),
        };
        let authority = part(
            &cluster.certificate_authority_data,
            &cluster.certificate_authority,
            "certificate-authority",
        )?;
        let certificate = part(
            &user.client_certificate_data,
            &user.client_certificate,
            "client-certificate",
        )?;
        let key = part(&user.client_key_data, &user.client_key, "client-key")?;
        let host = cluster.tls_server_name.as_deref();
        let host = host.or_else(|| host_of(&cluster.server));
        let host = host.ok_or_else(|| format!("`{}` is no server", cluster.server))?;
        let name = ServerName::try_from(host.to_owned());
        Ok(Self {
            tls: Arc::new(tls(&authority, &certificate, &key)?),
            name: name.map_err(|_| format!("`{host}` is no name of a server"))?,
        })
    }

    /// One request to an API server: the status and the body of its answer.
    ///
    /// # Errors
    /// At which stage it failed. It does not end by itself before the other side ends it.
    pub async fn ask(
        &self,
        to: &[SocketAddr],
        connect_within: Duration,
        ask: &Ask<'_>,
    ) -> Result<(u16, Vec<u8>), Cause> {
        let stream = connect(to, connect_within).await?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(self.name.clone(), stream).await;
        exchange(stream.map_err(|_| Cause::Reset)?, &ask.text()).await
    }
}

fn find<'a, T>(all: &'a [Named<T>], name: &str, what: &str) -> Result<&'a T, String> {
    let found = all.iter().find(|one| one.name == name);
    found
        .map(|one| &one.value)
        .ok_or_else(|| format!("it has no {what} `{name}`"))
}

fn host_of(server: &str) -> Option<&str> {
    let rest = server.strip_prefix("https://")?;
    let rest = rest.split('/').next()?;
    match rest.strip_prefix('[') {
        Some(six) => six.split(']').next(),
        None => rest.split(':').next(),
    }
    .filter(|host| !host.is_empty())
}

/// What is asked of an API server.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// `GET`, `PATCH`, `POST` or `DELETE`.
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// With its media type, if there is one.
    pub body: Option<(&'a str, String)>,
}

impl Ask<'_> {
    fn text(&self) -> String {
        let (method, path) = (self.method, self.path);
        let mut text = format!(
            "{method} {path} HTTP/1.0\r\nHost: kubernetes\r\nAccept: application/json\r\n\
             User-Agent: quorate-drill\r\n"
        );
        match &self.body {
            Some((kind, body)) => {
                let length = body.len();
                text.push_str(&format!(
                    "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
                ));
            }
            None => text.push_str("\r\n"),
        }
        text
    }
}

/// Tries addresses one after the other, as clients do.
///
/// # Errors
/// Why the last of them failed.
pub async fn connect(to: &[SocketAddr], within: Duration) -> Result<TcpStream, Cause> {
    let mut last = Cause::Dns;
    for address in to {
        last = match tokio::time::timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Cause::Refused,
            Ok(Err(_)) | Err(_) => Cause::ConnectTimeout,
        };
    }
    Err(last)
}

/// Sends a request and reads its answer to the end.
///
/// # Errors
/// `Reset`: the connection broke, or what came is no HTTP.
pub async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<(u16, Vec<u8>), Cause> {
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|_| Cause::Reset)?;
    stream.flush().await.map_err(|_| Cause::Reset)?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(LONGEST).read_to_end(&mut answer).await;
    // Some servers end without TLS's own farewell: what came is whole if it says how long it is.
    if let Err(error) = read
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        return Err(Cause::Reset);
    }
    parse(&answer).ok_or(Cause::Reset)
}

fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?;
    let status = status.split(' ').nth(1)?.parse().ok()?;
    let body = &answer[end + 4..];
    let fields: BTreeMap<String, &str> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let length = fields.get("content-length");
    let length = length.map_or(Some(body.len()), |text| text.parse().ok())?;
    Some((status, body.get(..length)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn answers_are_taken_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(whole), Some((200, b"{}".to_vec())));
        assert_eq!(parse(&whole[..whole.len() - 1]), None);
        assert_eq!(
            parse(b"HTTP/1.0 503 No\r\n\r\nx"),
            Some((503, b"x".to_vec()))
        );
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_server_s_host_is_its_name() {
        let cases = [
            ("https://api.lab:6443", Some("api.lab")),
            ("https://10.0.0.1", Some("10.0.0.1")),
            ("https://[2001:db8::1]:6443/x", Some("2001:db8::1")),
            ("http://api", None),
            ("https://", None),
        ];
        for (server, host) in cases {
            assert_eq!(host_of(server), host, "{server}");
        }
    }

    #[test]
    fn what_a_kubeconfig_lacks_is_named_and_its_keys_are_not() {
        let text = "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n\
            clusters: [{name: c, cluster: {server: 'https://x:1', certificate-authority-data: ''}}]\n\
            users: [{name: u, user: {client-certificate-data: '', client-key-data: U0VDUkVU}}]\n";
        let said = |text: &str| Admin::parse(text.as_bytes(), Path::new(".")).unwrap_err();
        assert_eq!(said(text), "the client's key is none");
        assert!(!said(text).contains("SECRET"));
        assert_eq!(
            said(&text.replace("name: u", "name: v")),
            "it has no user `u`"
        );
        let without = text.replace("client-key-data: U0VDUkVU", "");
        assert_eq!(said(&without), "it has no client-key");
        assert_eq!(said(""), "it is empty");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_and_the_last_one_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bad = gone.local_addr().unwrap();
        drop(gone);
        let within = Duration::from_millis(500);
        assert!(connect(&[bad, good], within).await.is_ok());
        assert_eq!(connect(&[bad], within).await.unwrap_err(), Cause::Refused);
        assert_eq!(connect(&[], within).await.unwrap_err(), Cause::Dns);
    }
}

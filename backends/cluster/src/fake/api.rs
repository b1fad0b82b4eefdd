//! An API server that keeps objects in memory, over TLS: get, list, merge, apply, delete, evict.

use super::Pki;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Json, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Objects by path, and what was asked.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<String, Value>,
    /// Method, path and query.
    pub(crate) asked: Vec<String>,
    /// Bodies of what changes something.
    pub(crate) bodies: Vec<Value>,
    /// Names of pods that a budget protects.
    pub(crate) guarded: Vec<String>,
    /// Whether the server is one before 1.22.
    pub(crate) old: bool,
}

/// See the head of this file.
#[derive(Clone)]
pub(crate) struct FakeApi {
    pub(crate) at: SocketAddr,
    pub(crate) store: Arc<Mutex<Store>>,
}

struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.0.accept().await else {
                continue;
            };
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl FakeApi {
    pub(crate) async fn serve(pki: &Pki) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let pem = |file: &str| pki.text(file).into_bytes();
        let chain = CertificateDer::pem_slice_iter(&pem("node.crt"))
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem("node.key")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&pem("ca.crt")).unwrap())
            .unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots));
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let api = Self {
            at,
            store: Arc::default(),
        };
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&api.store));
        let listener = Tls(listener, TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    /// Puts an object at its path.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.store
            .lock()
            .unwrap()
            .objects
            .insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store.lock().unwrap().objects.get(path).cloned()
    }

    /// A node with this address, ready.
    pub(crate) fn node(&self, name: &str, address: &str, labels: Value) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels, "resourceVersion": "1"},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "2", "memory": "4Gi"},
                "addresses": [{"type": "InternalIP", "address": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        self.put(&format!("/api/v1/nodes/{name}"), node);
    }

    /// A pod on a node, with more fields.
    pub(crate) fn pod(&self, name: &str, node: &str, more: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "containers": [{
                "name": "c", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
            }]},
            "status": {"phase": "Running"},
        });
        merge(&mut pod, &more);
        self.put(&format!("/api/v1/namespaces/default/pods/{name}"), pod);
    }
}

type Shared = State<Arc<Mutex<Store>>>;

async fn answer(
    State(store): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut store = store.lock().unwrap();
    store.asked.push(format!("{method} {uri}"));
    let path = uri.path().to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if method != Method::GET {
        store.bodies.push(body.clone());
    }
    let kind = headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok());
    match method {
        Method::GET => get(&store, &path, uri.query().unwrap_or_default()),
        Method::POST if path.ends_with("/eviction") => evict(&mut store, &path, &body),
        Method::PATCH => patch(&mut store, &path, kind.unwrap_or_default(), &body),
        Method::DELETE => match store.objects.remove(&path) {
            Some(object) => Json(object).into_response(),
            None => status(404, "NotFound", &path),
        },
        _ => status(405, "MethodNotAllowed", &path),
    }
}

fn get(store: &Store, path: &str, query: &str) -> Response {
    if path == "/version" {
        return Json(json!({
            "major": "1", "minor": "30", "gitVersion": "v1.30.4", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        }))
        .into_response();
    }
    if path == "/api/v1" {
        let version = if store.old { "v1beta1" } else { "v1" };
        let plain = |name: &str, kind: &str, namespaced: bool| {
            json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind,
                "verbs": ["get", "patch"]})
        };
        let mut eviction = plain("pods/eviction", "Eviction", true);
        eviction["group"] = json!("policy");
        eviction["version"] = json!(version);
        let all = [
            eviction,
            plain("namespaces", "Namespace", false),
            plain("configmaps", "ConfigMap", true),
        ];
        let list = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": all});
        return Json(list).into_response();
    }
    if let Some(object) = store.objects.get(path) {
        return Json(object).into_response();
    }
    let kind = path.rsplit('/').next().unwrap_or_default();
    if !matches!(kind, "nodes" | "pods") {
        return status(404, "NotFound", path);
    }
    let node = query
        .split_once("spec.nodeName%3D")
        .map(|(_, rest)| rest.split('&').next());
    let listed = store.objects.iter().filter(|(at, object)| {
        let here = node.is_none_or(|node| object["spec"]["nodeName"].as_str() == node);
        at.contains(&format!("/{kind}/")) && here
    });
    let items: Vec<_> = listed.map(|(_, object)| object).collect();
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
        .into_response()
}

fn evict(store: &mut Store, path: &str, body: &Value) -> Response {
    let wanted = if store.old {
        "policy/v1beta1"
    } else {
        "policy/v1"
    };
    if body["apiVersion"] != wanted {
        return status(400, "BadRequest", "no kind \"Eviction\" is registered");
    }
    let pod = path.trim_end_matches("/eviction");
    let name = pod.rsplit('/').next().unwrap_or_default();
    if store.guarded.iter().any(|guarded| guarded == name) {
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let cause = format!("The disruption budget {name}-pdb needs 2 healthy pods and has 2");
        return (
            StatusCode::TOO_MANY_REQUESTS,
            Json(json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text,
                "reason": "TooManyRequests", "code": 429,
                "details": {"causes": [{"reason": "DisruptionBudget", "message": cause}]},
            })),
        )
            .into_response();
    }
    match store.objects.remove(pod) {
        Some(_) => (
            StatusCode::CREATED,
            Json(json!({"kind": "Status", "status": "Success"})),
        )
            .into_response(),
        None => status(404, "NotFound", pod),
    }
}

fn patch(store: &mut Store, path: &str, kind: &str, body: &Value) -> Response {
    if kind == "application/apply-patch+yaml" {
        store.objects.insert(path.to_owned(), body.clone());
        return Json(body).into_response();
    }
    let Some(object) = store.objects.get_mut(path) else {
        return status(404, "NotFound", path);
    };
    let asked = &body["metadata"]["resourceVersion"];
    if !asked.is_null() && *asked != object["metadata"]["resourceVersion"] {
        return status(409, "Conflict", "the object has been modified");
    }
    merge(object, body);
    Json(object.clone()).into_response()
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let (Some(fields), true) = (patch.as_object(), into.is_object()) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key.as_str()], value);
        }
    }
}

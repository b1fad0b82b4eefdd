//! The socket before a simulated cloud, and the way in for tests.
//!
//! Knows nothing of any vendor. Everything under `/_quorate/` is ours, not a vendor's, and asks for
//! no token: the server listens on loopback only.
//!
//! | request | does |
//! |---|---|
//! | `GET /_quorate/faults` | the faults that are on, with how often each struck |
//! | `POST /_quorate/faults` | begins those of the body (YAML or JSON, as in a file); answers ids |
//! | `DELETE /_quorate/faults` | ends all |
//! | `DELETE /_quorate/faults/{id}` | ends one |
//! | `GET /_quorate/things` | all that exists |

use crate::clock::Clock;
use crate::faults::{self, Fault, FaultId, Faults};
use crate::line::{Lines, Scissors};
use crate::wire::{Answer, Request};
use crate::world::{Fate, World};
use crate::{Asked, Settings, Thing, Vendor, hetzner};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer bodies are refused: none of the vendors takes more.
const BODY_BYTES: usize = 1 << 20;

/// How long a connection hangs at an API that is gone, by the server's clock.
const SILENCE: Span = Span::from_secs(600);

struct Shared {
    world: Mutex<World>,
    clock: Clock,
    closing: watch::Receiver<bool>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no request has panicked")
    }
}

/// A simulated cloud that is being served. Dropping it stops the server.
pub struct Handle {
    address: SocketAddr,
    shared: Arc<Shared>,
    close: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

/// Serves a simulated cloud until its handle is dropped.
///
/// # Errors
/// If the listener is not on loopback: the faults and what exists are open to whoever can connect.
///
/// # Panics
/// If the speed is not above zero.
pub async fn serve(listener: TcpListener, settings: Settings) -> io::Result<Handle> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let what = format!("{address} is not on loopback: listen on 127.0.0.1");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let clock = Clock::new(settings.speed);
    let seed = Seed(settings.seed);
    let mut faults = Faults::new(seed);
    for fault in &settings.faults {
        faults.begin(clock.now(), fault.clone());
    }
    let vendor = match settings.vendor {
        Vendor::Hetzner => Box::new(hetzner::Hetzner::new(&settings, clock.calendar())),
    };
    let (close, closing) = watch::channel(false);
    let shared = Arc::new(Shared {
        world: Mutex::new(World::new(seed, vendor, faults)),
        clock,
        closing: closing.clone(),
    });
    let router = Router::new()
        .fallback(receive)
        .with_state(Arc::clone(&shared))
        .into_make_service_with_connect_info::<Scissors>();
    let served = axum::serve(Lines(listener), router).with_graceful_shutdown(closed(closing));
    let task = tokio::spawn(served.into_future());
    Ok(Handle {
        address,
        shared,
        close,
        task,
    })
}

/// Ends when the handle is dropped or stops the server.
async fn closed(mut closing: watch::Receiver<bool>) {
    // An error means that the handle is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is given as its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All that exists, in the order in which it was made; what is being deleted is still there.
    #[must_use]
    pub fn things(&self) -> Vec<Thing> {
        let now = self.shared.clock.now();
        self.shared.world().vendor.things(now)
    }

    /// How often something was made, by kind and name: above one where something was made again.
    #[must_use]
    pub fn made(&self) -> BTreeMap<(String, String), u64> {
        self.shared.world().vendor.made().clone()
    }

    /// Every request so far, in the order in which they were received.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.world().log.clone()
    }

    /// Begins a fault.
    pub fn begin(&self, fault: Fault) -> FaultId {
        let now = self.shared.clock.now();
        self.shared.world().faults.begin(now, fault)
    }

    /// Ends a fault; false where it is over already.
    pub fn end(&self, id: FaultId) -> bool {
        self.shared.world().faults.end(id)
    }

    /// How often a fault struck; also after its end.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> u32 {
        self.shared.world().faults.hits(id)
    }

    /// The server's own time, since its start.
    #[must_use]
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Lets time pass at once: what would be done by then is done.
    pub fn skip(&self, span: Span) {
        self.shared.clock.skip(span);
    }

    /// Stops the server and waits until it has stopped. Connections that hang are cut.
    ///
    /// # Errors
    /// What went wrong with the socket while it was serving.
    pub async fn stop(self) -> io::Result<()> {
        // An error means that nobody listens any more, which is what is wanted.
        let _ = self.close.send(true);
        self.task.await.map_err(io::Error::other)?
    }

    /// Waits as long as it serves: until something goes wrong.
    ///
    /// # Errors
    /// What went wrong with the socket.
    pub async fn wait(&mut self) -> io::Result<()> {
        (&mut self.task).await.map_err(io::Error::other)?
    }
}

/// Every request comes in here.
async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return response(&Answer {
            status: 413,
            headers: Vec::new(),
            body: None,
        });
    };
    let path = parts.uri.path();
    if let Some(ours) = path.strip_prefix("/_quorate/") {
        return response(&steer(&shared, parts.method.as_str(), ours, &body));
    }
    let request = read(parts.method.as_str(), &parts.uri, &parts.headers, body);
    let leg = shared.world().leg(&request);
    tokio::time::sleep(shared.clock.real(leg)).await;
    let fate = {
        let mut world = shared.world();
        let now = shared.clock.now();
        world.take(now, &request)
    };
    match fate {
        Fate::Answered(answer) => {
            tokio::time::sleep(shared.clock.real(leg)).await;
            return response(&answer);
        }
        Fate::Cut => tokio::time::sleep(shared.clock.real(leg)).await,
        Fate::Silence => {
            let mut closing = shared.closing.clone();
            tokio::select! {
                () = tokio::time::sleep(shared.clock.real(SILENCE)) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }
    scissors.cut();
    Response::new(Body::empty())
}

fn read(method: &str, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Request {
    let path = uri.path();
    let rest = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'));
    let bearer = headers.get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
    Request {
        method: method.to_owned(),
        path: rest.unwrap_or(path).to_owned(),
        query: query.map(|Query(pairs)| pairs).unwrap_or_default(),
        bearer: bearer.map(str::to_owned),
        body: body.to_vec(),
    }
}

fn response(answer: &Answer) -> Response {
    let body = answer.body.as_ref();
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).expect("a status has three digits");
    let headers = response.headers_mut();
    if answer.body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    for (name, value) in &answer.headers {
        let value = HeaderValue::from_str(value).expect("headers are plain text");
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// Carries out what is asked of the simulation itself.
fn steer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Answer {
    let now = shared.clock.now();
    let mut world = shared.world();
    let one = path.strip_prefix("faults/").map(str::parse::<u32>);
    match (method, path, one) {
        ("GET", "faults", _) => {
            let all = world
                .faults
                .given()
                .map(|(id, fault, hits)| json!({"id": id, "fault": fault, "hits": hits}));
            Answer::new(200, json!({"faults": all.collect::<Vec<_>>()}))
        }
        ("POST", "faults", _) => match faults::read(body) {
            Ok(given) => {
                let faults = &mut world.faults;
                let ids = given.into_iter().map(|fault| faults.begin(now, fault));
                Answer::new(201, json!({"ids": ids.collect::<Vec<_>>()}))
            }
            Err(mistakes) => {
                let told = mistakes.iter().map(|mistake| {
                    let at = mistake.span;
                    format!("{}:{}: {}", at.line, at.column, mistake.finding.message)
                });
                Answer::new(422, json!({"mistakes": told.collect::<Vec<_>>()}))
            }
        },
        ("DELETE", "faults", _) => {
            world.faults.clear();
            Answer::nothing()
        }
        ("DELETE", _, Some(Ok(id))) if world.faults.end(FaultId(id)) => Answer::nothing(),
        ("GET", "things", _) => {
            let all = world.vendor.things(now).into_iter().map(|thing| {
                let Thing {
                    kind,
                    id,
                    name,
                    labels,
                    state,
                    ..
                } = thing;
                json!({"kind": kind, "id": id, "name": name, "labels": labels, "state": state})
            });
            Answer::new(200, json!({"things": all.collect::<Vec<_>>()}))
        }
        (_, _, _) => Answer::new(404, json!({"mistakes": ["there is nothing here"]})),
    }
}

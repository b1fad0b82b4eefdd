//! A daemon in memory: as much of libvirt as the mock driver has, over a real socket, and a
//! connection that ends where a test wants it to.

use crate::libvirt::message::{HEAD, Message, RemoteError, Status, Type};
use crate::libvirt::xdr::{Decoder, Encoder};
use crate::libvirt::xml::Element;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// When a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the request is carried out.
    Before,
    /// After it was, and before it is answered.
    After,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Thing {
    xml: String,
    uuid: [u8; 16],
    pub(super) active: bool,
    pub(super) autostart: bool,
}

/// What it knows, by name.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) domains: BTreeMap<String, Thing>,
    pub(super) networks: BTreeMap<String, Thing>,
    /// Changes that were asked for so far.
    pub(super) changes: usize,
    /// The connection ends at this change.
    pub(super) cut: Option<(usize, Cut)>,
    /// Starts of domains that were asked for.
    pub(super) starts: usize,
    /// Requests are taken and not answered.
    pub(super) mute: bool,
    pub(super) connections: usize,
}

pub(super) struct Daemon {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Daemon {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let state = Arc::new(Mutex::new(State::default()));
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            state,
            socket,
            _folder: folder,
        }
    }

    pub(super) fn uri(&self) -> String {
        format!("test:///default?socket={}", Path::display(&self.socket))
    }
}

async fn serve(mut stream: UnixStream, state: Arc<Mutex<State>>) {
    state.lock().unwrap().connections += 1;
    loop {
        let mut first = [0; 4];
        if stream.read_exact(&mut first).await.is_err() {
            return;
        }
        let length = Message::length(first).expect("the adapter sends whole messages");
        let mut rest = vec![0; length - 4];
        stream.read_exact(&mut rest).await.unwrap();
        assert!(rest.len() >= HEAD - 4);
        let call = Message::decode(&rest).unwrap().expect("a call");
        assert_eq!(call.kind, Type::Call);
        let answer = {
            let mut state = state.lock().unwrap();
            if state.mute {
                continue;
            }
            let changes = CHANGES.contains(&call.procedure);
            let now = state.changes;
            state.changes += usize::from(changes);
            let cut = state.cut.filter(|(at, _)| changes && *at == now);
            match cut.map(|(_, cut)| cut) {
                Some(Cut::Before) => return,
                Some(Cut::After) => {
                    let _lost = state.carry_out(&call);
                    return;
                }
                None => state.carry_out(&call),
            }
        };
        let (status, payload) = match answer {
            Ok(payload) => (Status::Ok, payload.done()),
            Err(error) => (Status::Error, error.encode()),
        };
        let reply = Message {
            kind: Type::Reply,
            status,
            payload,
            ..call
        };
        if stream.write_all(&reply.encode()).await.is_err() {
            return;
        }
    }
}

/// Procedures that change something.
const CHANGES: [i32; 11] = [9, 11, 12, 28, 29, 39, 41, 42, 48, 49, 231];

fn error(code: i32, message: &str) -> RemoteError {
    RemoteError {
        code,
        domain: 12,
        message: message.to_owned(),
    }
}

fn show(name: &str, thing: &Thing, domain: bool) -> Encoder {
    let shown = Encoder::new().text(name).fixed(&thing.uuid);
    match domain {
        true => shown.i32(if thing.active { 1 } else { -1 }),
        false => shown,
    }
}

impl State {
    fn carry_out(&mut self, call: &Message) -> Result<Encoder, RemoteError> {
        let mut from = Decoder::new(&call.payload);
        let empty = Encoder::new;
        let domain = matches!(call.procedure, 9..=29 | 212 | 231 | 273);
        match call.procedure {
            66 => return Ok(empty().u32(1).i32(0)),
            1 => return Ok(empty()),
            286 => return Err(error(3, "this function is not supported")),
            11 | 41 => return self.define(&from.text().unwrap(), domain),
            273 | 283 => {
                let all = self.all(domain);
                let listed = empty().u32(all.len() as u32);
                let shown = all
                    .iter()
                    .map(|(name, thing)| show(name, thing, domain).done());
                return Ok(shown.fold(listed, |list, one| list.fixed(&one)));
            }
            _ => {}
        }
        let name = from.text().unwrap();
        let none = if domain { 42 } else { 43 };
        self.starts += usize::from(call.procedure == 9);
        let all = self.all(domain);
        let thing = all.get_mut(&name).ok_or_else(|| error(none, "not found"))?;
        match call.procedure {
            23 | 46 => return Ok(show(&name, thing, domain)),
            14 | 43 => return Ok(empty().text(&thing.xml)),
            15 => return Ok(empty().i32(i32::from(thing.autostart))),
            152 => return Ok(empty().i32(i32::from(thing.active))),
            212 => return Ok(empty().i32(if thing.active { 1 } else { 5 }).i32(0)),
            9 | 39 if thing.active => return Err(error(55, "it is running already")),
            9 | 39 => thing.active = true,
            12 | 42 if !thing.active => return Err(error(55, "it is not running")),
            12 | 42 => thing.active = false,
            29 | 48 => {
                let _uuid: [u8; 16] = from.fixed().unwrap();
                if domain {
                    from.i32().unwrap();
                }
                thing.autostart = from.i32().unwrap() != 0;
            }
            49 | 231 => drop(all.remove(&name)),
            other => panic!("procedure {other} is not expected"),
        }
        Ok(empty())
    }

    fn all(&mut self, domain: bool) -> &mut BTreeMap<String, Thing> {
        match domain {
            true => &mut self.domains,
            false => &mut self.networks,
        }
    }

    fn define(&mut self, xml: &str, domain: bool) -> Result<Encoder, RemoteError> {
        let read = Element::parse(xml).expect("the adapter writes XML");
        let name = read.at("name").unwrap().text.clone();
        let digits: String = read.at("uuid").unwrap().text.replace('-', "");
        let uuid = u128::from_str_radix(&digits, 16).unwrap().to_be_bytes();
        let all = self.all(domain);
        let thing = all.entry(name.clone()).or_insert_with(|| Thing {
            uuid,
            ..Thing::default()
        });
        if thing.uuid != uuid {
            return Err(error(9, "it already exists with another uuid"));
        }
        xml.clone_into(&mut thing.xml);
        Ok(show(&name, thing, domain))
    }
}

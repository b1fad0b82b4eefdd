//! `quorate run`: keeps a cluster as its manifest wants it, for good: one process, as a service.
//!
//! The same engine and the same driver as `apply`, told to go on. What is here is what a service
//! needs around them: the manifest is read again when it changes, a bad one changes nothing, and
//! how it goes can be asked over HTTP.

mod metrics;
mod snapshots;
mod web;

use crate::apply;
use crate::args::Run;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use metrics::Metrics;
use quorate_engine::engine::{Mode, Task};
use quorate_engine::manifest::Manifest;
use quorate_engine::seam::Ending;
use quorate_engine::time::Span;
use quorate_live::{DriveError, Ended, Signal, Store, drive, process_signals};
use quorate_sim::report::plain;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// Between two looks at the manifest's file.
const WATCH: Duration = Duration::from_secs(5);

/// After this a run that has nothing to do ends and another begins: traces are kept per run, and
/// only of the last ones.
const RENEW: Duration = Duration::from_secs(6 * 3600);

/// Between two tries to open a world that cannot be opened.
const REOPEN: Duration = Duration::from_secs(30);

/// What the service is asked for from outside.
enum Want {
    Stop(Signal),
    Reload,
}

/// Keeps the cluster.
pub(crate) fn run(args: &Run) -> Exit {
    if args.unit {
        return print_unit(args);
    }
    if args.wanted.file == Path::new("-") {
        return refuse("a service reads its manifest again and again: give it as a file");
    }
    let manifest = match read(args) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let name = &manifest.metadata.name;
    let dir = live::state_dir(args.wanted.live.state.as_deref(), name);
    let store = match Store::open(&dir, name, "quorate run") {
        Ok(store) => store,
        Err(error) => return refuse(&error.to_string()),
    };
    live::runtime().block_on(serve(args, manifest, store))
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

fn read(args: &Run) -> Result<Arc<Manifest>, Exit> {
    apply::wanted(&args.wanted)
}

async fn serve(args: &Run, manifest: Arc<Manifest>, store: Store) -> Exit {
    let metrics = Arc::new(Metrics::new(Duration::from_secs(args.interval)));
    let address = match web::serve(args.listen, Arc::clone(&metrics)).await {
        Ok(address) => address,
        Err(error) => return refuse(&format!("{}: {error}", args.listen)),
    };
    terminal::eprint(&format!(
        "keeping {}; metrics, health and readiness at http://{address}\n",
        manifest.metadata.name
    ));
    let wants = match listen(&args.wanted.file) {
        Ok(wants) => wants,
        Err(error) => return refuse(&format!("signals cannot be listened to: {error}")),
    };
    let service = Service {
        args,
        manifest,
        store,
        metrics,
        wants,
    };
    service.keep().await
}

/// Signals, and changes of the manifest's file.
fn listen(file: &Path) -> std::io::Result<UnboundedReceiver<Want>> {
    let (sender, wants) = unbounded_channel();
    let mut stops = process_signals()?;
    let mut hangups = signal(SignalKind::hangup())?;
    let stopping: UnboundedSender<Want> = sender.clone();
    tokio::spawn(async move {
        while let Some(signal) = stops.recv().await {
            if stopping.send(Want::Stop(signal)).is_err() {
                return;
            }
        }
    });
    let file = file.to_owned();
    tokio::spawn(async move {
        let mut known = tokio::fs::read(&file).await.ok();
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                () = tokio::time::sleep(WATCH) => {
                    // A file that is being replaced may be away for an instant.
                    let now = tokio::fs::read(&file).await.ok();
                    if now.is_none() || now == known {
                        continue;
                    }
                    known = now;
                }
            }
            if sender.send(Want::Reload).is_err() {
                return;
            }
        }
    });
    Ok(wants)
}

/// Takes the manifest as its file is now: whether it is another one. One with mistakes changes
/// nothing.
fn reload(args: &Run, metrics: &Metrics, manifest: &mut Arc<Manifest>) -> bool {
    let refused = |why: &str| {
        terminal::eprint(&format!("{why}\n"));
        metrics.reloaded(false);
        false
    };
    let Ok(read) = read(args) else {
        return refused("the manifest has mistakes: the cluster is kept as it was wanted");
    };
    if read.metadata.name != manifest.metadata.name {
        return refused("the manifest is of another cluster: it is not taken");
    }
    metrics.reloaded(true);
    let other = *read != **manifest;
    *manifest = read;
    other
}

struct Service<'a> {
    args: &'a Run,
    manifest: Arc<Manifest>,
    store: Store,
    metrics: Arc<Metrics>,
    wants: UnboundedReceiver<Want>,
}

/// Why a run of the driver ended.
enum Next {
    /// Go on, with the manifest as it is now.
    Again,
    Exit(Exit),
}

impl Service<'_> {
    async fn keep(mut self) -> Exit {
        loop {
            let agent = self.args.wanted.live.agent.as_deref();
            let world = match World::open(&self.manifest, Some(&self.store), agent) {
                Ok(world) => world,
                Err(problems) => {
                    live::complain(&problems);
                    self.metrics.blocked();
                    match self.wait().await {
                        Next::Again => continue,
                        Next::Exit(exit) => return exit,
                    }
                }
            };
            match self.drive(&world).await {
                Next::Again => {}
                Next::Exit(exit) => return exit,
            }
        }
    }

    /// Waits until the world may be opened again.
    async fn wait(&mut self) -> Next {
        tokio::select! {
            () = tokio::time::sleep(REOPEN) => Next::Again,
            want = self.wants.recv() => match want {
                Some(Want::Reload) => {
                    reload(self.args, &self.metrics, &mut self.manifest);
                    Next::Again
                }
                Some(Want::Stop(_)) | None => Next::Exit(Exit::Fine),
            },
        }
    }

    async fn drive(&mut self, world: &World) -> Next {
        let interval = Span::from_secs(self.args.interval);
        let task = Task {
            patience: Span::from_secs(self.args.patience),
            ..world.task(Mode::Keep { interval }, None, false)
        };
        let (stop, mut signals) = unbounded_channel();
        let mut observer = metrics::Watch::new(Arc::clone(&self.metrics));
        let mut stopping = false;
        let state = self.store.path().parent().map(Path::to_owned);
        let state = state.expect("a store is in a directory");
        let metrics = Arc::clone(&self.metrics);
        let ended = {
            let snapshots = snapshots::keep(world, &state, &metrics);
            tokio::pin!(snapshots);
            let run = drive(
                task,
                &mut self.store,
                &world.ports,
                &mut observer,
                &mut signals,
            );
            tokio::pin!(run);
            let renew = tokio::time::sleep(RENEW);
            tokio::pin!(renew);
            let mut renewed = false;
            loop {
                tokio::select! {
                    ended = &mut run => break ended,
                    () = &mut snapshots => unreachable!("they are taken for ever"),
                    want = self.wants.recv() => match want {
                        Some(Want::Stop(signal)) => {
                            stopping = true;
                            let _ended = stop.send(signal);
                        }
                        Some(Want::Reload) => {
                            let other = reload(self.args, &self.metrics, &mut self.manifest);
                            // The first request is enough; a second one would not wait.
                            if other && !renewed {
                                renewed = true;
                                let _ended = stop.send(Signal::Terminate);
                            }
                        }
                        None => {}
                    },
                    () = &mut renew, if !renewed => {
                        if self.metrics.is_converged() {
                            renewed = true;
                            let _ended = stop.send(Signal::Terminate);
                        } else {
                            renew.as_mut().reset(Instant::now() + WATCH);
                        }
                    }
                }
            }
        };
        self.ended(ended, stopping)
    }

    fn ended(&mut self, ended: Result<Ended, DriveError>, stopping: bool) -> Next {
        match ended {
            Ok(Ended {
                ending: Ending::Cancelled,
                ..
            }) if !stopping => Next::Again,
            Ok(_) => Next::Exit(Exit::Fine),
            Err(DriveError::Stopped { in_flight }) => {
                terminal::eprint(&format!(
                    "stopped at once; under way were: {}\n",
                    plain(&in_flight.join(", "))
                ));
                Next::Exit(Exit::Stopped)
            }
            Err(error @ (DriveError::Store(_) | DriveError::NoPort { .. })) => {
                Next::Exit(refuse(&error.to_string()))
            }
        }
    }
}

/// Prints a unit for systemd with this very command line.
fn print_unit(args: &Run) -> Exit {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let program = std::env::current_exe().unwrap_or_else(|_| "quorate".into());
    let mut words = vec![
        program.display().to_string(),
        "run".to_owned(),
        absolute(&args.wanted.file).display().to_string(),
        format!("--interval={}", args.interval),
        format!("--patience={}", args.patience),
        format!("--listen={}", args.listen),
    ];
    if let Some(dir) = &args.wanted.live.state {
        words.push(format!("--state={}", absolute(dir).display()));
    }
    if let Some(dir) = &args.wanted.live.data {
        words.push(format!("--data={}", absolute(dir).display()));
    }
    if let Some(name) = &args.wanted.cluster {
        words.push(format!("--cluster={name}"));
    }
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    terminal::print(&format!(
        "[Unit]\nDescription=Quorate keeps a Kubernetes cluster\nWants=network-online.target\n\
         After=network-online.target\n\n[Service]\nType=exec\nWorkingDirectory={}\nExecStart={}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n# What runs on machines is waited for.\n\
         TimeoutStopSec=960\nRestart=on-failure\nRestartSec=10\nUMask=0077\n\
         # Credentials that the manifest takes from the environment.\n\
         EnvironmentFile=-/etc/quorate/environment\n\n[Install]\nWantedBy=multi-user.target\n",
        here.display(),
        quoted.join(" ")
    ));
    Exit::Fine
}

/// One word for systemd.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        let escaped = word.replace('\\', r"\\").replace('"', r#"\""#);
        format!("\"{}\"", escaped.replace('%', "%%").replace('$', "$$"))
    }
}

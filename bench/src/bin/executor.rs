//! The executor over 1,005 resources that cost nothing: what the machinery itself costs, with the
//! journal on disk and in memory.
//!
//! 201 nodes of five resources each, one after the other on a node; calls are answered at once, in
//! order, all that are under way together. Each step is recorded before its call and after its
//! answer. The journal is a file of
//! JSON lines beside this program; it is read back and compared at the end.

use quorate_bench::median;
use quorate_engine::exec::{Executor, Guard, Input, LaneLimit, Limits, Setup};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::plan::{Plan, Step, deadline, expected, reversibility};
use quorate_engine::quorum::{EtcdVersion, Policy};
use quorate_engine::random::Seed;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{CallId, Effect, Lane, Reply, Verb};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const NODES: u32 = 201;
const KINDS: [(Kind, &str); 5] = [
    (Kind::Machine, ""),
    (Kind::Host, "host"),
    (Kind::Peer, "peer"),
    (Kind::Worker, "worker"),
    (Kind::Balancer, "balancer"),
];
const RUNS: usize = 5;

/// When what is recorded is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durable {
    /// Never: the journal is a vector.
    Memory,
    /// Those of all answers that came during the last write together, before the calls among
    /// their effects: what the engine's contract asks for.
    Together,
    /// Each by itself.
    Each,
}

/// The journal.
struct Journal {
    durable: Durable,
    entries: Vec<Entry>,
    file: Option<(PathBuf, File)>,
    line: Vec<u8>,
    dirty: bool,
    syncs: u64,
}

impl Journal {
    fn new(durable: Durable) -> io::Result<Self> {
        let file = if durable == Durable::Memory {
            None
        } else {
            let path = std::env::current_exe()?.with_extension("journal");
            let file = File::create(&path)?;
            Some((path, file))
        };
        Ok(Self {
            durable,
            entries: Vec::new(),
            file,
            line: Vec::new(),
            dirty: false,
            syncs: 0,
        })
    }

    fn record(&mut self, entry: Entry) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else {
            self.entries.push(entry);
            return Ok(());
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &entry)?;
        self.line.push(b'\n');
        file.write_all(&self.line)?;
        self.dirty = true;
        if self.durable == Durable::Each {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let (true, Some((_, file))) = (std::mem::take(&mut self.dirty), &self.file) {
            file.sync_data()?;
            self.syncs += 1;
        }
        Ok(())
    }

    /// What one would recover from.
    fn recovered(self) -> io::Result<Vec<Entry>> {
        let Some((path, _)) = self.file else {
            return Ok(self.entries);
        };
        let read = |path: &Path| -> io::Result<Vec<Entry>> {
            let lines = BufReader::new(File::open(path)?).lines();
            lines
                .map(|line| Ok(serde_json::from_str(&line?)?))
                .collect()
        };
        let entries = read(&path);
        std::fs::remove_file(&path)?;
        entries
    }
}

fn plan() -> Arc<Plan> {
    let mut steps = Vec::new();
    for node in 1..=NODES {
        let machine = ResourceId::new(format!("shop/pool/{node}"));
        for (nth, (kind, name)) in KINDS.into_iter().enumerate() {
            let index = steps.len() as u32;
            let at_provider = kind.at_provider();
            steps.push(Step {
                resource: if name.is_empty() {
                    machine.clone()
                } else {
                    machine.child(name)
                },
                kind,
                verb: Verb::Create,
                lane: if at_provider {
                    Lane::Provider("htz".into())
                } else {
                    Lane::Hosts
                },
                desired: None,
                reason: "absent".to_owned(),
                after: if nth == 0 {
                    Vec::new()
                } else {
                    vec![index - 1]
                },
                settled: Vec::new(),
                reversible: reversibility(Verb::Create, kind),
                expected: expected(Verb::Create, kind),
                deadline: deadline(Verb::Create, kind),
                change: None,
                slack: None,
                until: None,
            });
        }
    }
    Arc::new(Plan {
        steps,
        ..Plan::default()
    })
}

/// As many calls at once as by default, and no rate.
fn limits() -> Limits {
    let version = EtcdVersion::for_kubernetes("1.35.2").expect("a known version");
    let policy = Policy {
        declared: 3,
        scale_down: false,
        force: false,
    };
    let limits = Limits::new(Guard { version, policy });
    Limits {
        provider: LaneLimit {
            refill: Span::ZERO,
            settle: Span::ZERO,
            ..limits.provider
        },
        ..limits
    }
}

/// Carries a plan out; wall seconds and syncs.
fn run(plan: &Arc<Plan>, durable: Durable) -> io::Result<(f64, u64)> {
    let mut journal = Journal::new(durable)?;
    let mut ledger = Ledger::default();
    let founded = Entry::Founded { uid: 1 };
    ledger.apply(&founded);
    journal.record(founded)?;
    let start = Instant::now();
    let mut executor = Executor::new(Setup {
        plan: Arc::clone(plan),
        limits: limits(),
        addresses: BTreeMap::new(),
        seed: Seed(1),
        run: 1,
        first_call: CallId(1),
    });
    let mut now = Time::ZERO;
    let mut inputs = vec![Input::Begin];
    let mut effects = Vec::new();
    while executor.finished().is_none() {
        let mut wake = now;
        for input in std::mem::take(&mut inputs) {
            executor.handle(now, input, &mut ledger, &mut effects);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Record(entry) => journal.record(entry)?,
                Effect::Call { id, .. } => inputs.push(Input::Answer {
                    call: id,
                    outcome: Ok(Reply::Done),
                }),
                Effect::WakeAt(at) => wake = at,
                Effect::Say(_) => {}
                Effect::Done(_) => panic!("an executor does not end the engine"),
            }
        }
        // Calls begin when all records before them are durable, and are answered by now.
        journal.sync()?;
        now = now.max(wake) + Span::from_us(1);
        if inputs.is_empty() {
            inputs.push(Input::Wake);
        }
    }
    journal.sync()?;
    let wall_s = start.elapsed().as_secs_f64();
    let summary = executor.finished().expect("it has ended");
    assert!(
        summary.complete() && summary.done as usize == plan.steps.len(),
        "not carried out: {summary}"
    );
    let syncs = journal.syncs;
    let recovered = Ledger::replay(&journal.recovered()?);
    assert!(
        recovered == ledger,
        "the journal on disk says something else"
    );
    Ok((wall_s, syncs))
}

fn main() -> io::Result<()> {
    let plan = plan();
    let steps = plan.steps.len();
    println!(
        "{:<28} {:>6} {:>10} {:>11} {:>8} {:>9}",
        "journal", "steps", "wall ms", "steps/s", "syncs", "syncs/s"
    );
    for (name, durable) in [
        ("in memory", Durable::Memory),
        ("on disk, synced together", Durable::Together),
        ("on disk, each entry synced", Durable::Each),
    ] {
        let runs: Vec<(f64, u64)> = (0..RUNS)
            .map(|_| run(&plan, durable))
            .collect::<io::Result<_>>()?;
        let wall_s = median(runs.iter().map(|run| run.0).collect());
        let syncs = runs[0].1;
        println!(
            "{name:<28} {steps:>6} {:>10.2} {:>11.0} {syncs:>8} {:>9.0}",
            wall_s * 1e3,
            steps as f64 / wall_s,
            syncs as f64 / wall_s
        );
    }
    Ok(())
}

//! `quorate measure rtt`: round trips between all nodes over the mesh, as a file of data.

use crate::apply;
use crate::args::MeasureRtt;
use crate::diagnostics;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::measured::{Measured, rtt_file};
use crate::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_engine::catalog::{COLUMNS, rtt};
use quorate_engine::manifest::{Distance, Manifest, Place, ProviderKind};
use quorate_engine::mesh::PeerFact;
use quorate_engine::resource::ResourceId;
use quorate_engine::time::Span;
use quorate_engine::units::Duration;
use quorate_live::Store;
use quorate_sim::report::plain;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Machines that measure at the same time: more would measure each other's load.
const AT_ONCE: usize = 8;

/// A place, as files of data name it.
type At = (ProviderKind, String);

/// Samples by pair of places, the smaller one first.
type Samples = BTreeMap<(At, At), Vec<Span>>;

/// Measures, says what came of it, and writes the file.
pub(crate) fn rtt_of(args: &MeasureRtt) -> Exit {
    match measured(args) {
        Ok(exit) => exit,
        Err(text) => {
            if !text.is_empty() {
                terminal::eprint(&format!("error: {}\n", plain(&text)));
            }
            Exit::Failed
        }
    }
}

fn measured(args: &MeasureRtt) -> Result<Exit, String> {
    let manifest = apply::manifest(&args.file, args.cluster.as_deref(), None);
    let manifest = manifest.map_err(|_| String::new())?;
    let former = former(&args.data)?;
    let dir = live::state_dir(args.state.as_deref(), &manifest.metadata.name);
    let store = Store::view(&dir).map_err(|error| error.to_string())?;
    let world = World::open(&manifest, Some(&store), None).map_err(|problems| {
        live::complain(&problems);
        String::new()
    })?;
    let nodes = nodes(&manifest, &world.peers());
    if nodes.len() < 2 {
        return Err("fewer than two nodes are in the mesh: there is nothing to measure".to_owned());
    }
    let mut found = live::runtime().block_on(sampled(args, &world, &store, &nodes));
    let rows = rows(&mut found.samples, &date(SystemTime::now()));
    terminal::print(&table(&rows, &mut found));
    for (machine, fault) in &found.silent {
        terminal::eprint(&format!("{machine}: {}\n", plain(fault)));
    }
    if rows.is_empty() {
        return Err("nothing was measured, and nothing is written".to_owned());
    }
    let path = rtt_file(&args.data);
    let written = fs::create_dir_all(&args.data).and_then(|()| {
        let beside = path.with_extension("csv.new");
        fs::write(&beside, file(&former, &rows))?;
        fs::rename(&beside, &path)
    });
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    terminal::eprint(&format!(
        "{} has {} rows; `--data {}` takes them for check, plan, apply, run, chaos and drill\n",
        path.display(),
        rows.len(),
        args.data.display()
    ));
    let whole = found.silent.is_empty() && found.lost.is_empty();
    Ok(if whole { Exit::Fine } else { Exit::Failed })
}

/// The rows that stand there by now.
fn former(dir: &Path) -> Result<Vec<Distance>, String> {
    if !rtt_file(dir).exists() {
        return Ok(Vec::new());
    }
    let data = Measured::read(Some(dir)).map_err(|bad| {
        let text = diagnostics::rendered(&[bad], terminal::stderr_coloured());
        terminal::eprint(&text);
        "mend these rows or remove the file: it would be written over".to_owned()
    })?;
    Ok(data.distances())
}

/// A node that is in the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    machine: ResourceId,
    address: Ipv4Addr,
    at: At,
}

/// Nodes whose pool the manifest has, with their places.
fn nodes(manifest: &Manifest, peers: &[PeerFact]) -> Vec<Node> {
    let spec = &manifest.spec;
    let node = |peer: &PeerFact| {
        let pool = peer.machine.as_str().split('/').nth(1)?;
        let pool = spec.node_pools.iter().find(|known| known.name == pool)?;
        let provider = spec.providers.iter().find(|p| p.name == pool.provider)?;
        let region = pool.region.as_ref().unwrap_or(&pool.provider);
        Some(Node {
            machine: peer.machine.clone(),
            address: peer.address,
            at: (provider.kind, region.clone()),
        })
    };
    peers.iter().filter_map(node).collect()
}

/// What came back.
#[derive(Default)]
struct Found {
    samples: Samples,
    /// Machines that measured nothing, and why.
    silent: Vec<(ResourceId, String)>,
    /// Pairs of machines of which samples are missing: how many came.
    lost: Vec<(ResourceId, ResourceId, usize)>,
}

async fn sampled(args: &MeasureRtt, world: &World, store: &Store, nodes: &[Node]) -> Found {
    let bar = bar(nodes.len() as u64, !args.no_progress && terminal::watched());
    let addresses: Arc<[_]> = world.addresses(store).into();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let others = nodes.iter().filter(|other| other.machine != node.machine);
        let others: Vec<_> = others.map(|other| other.address).collect();
        let (hosts, machine) = (Arc::clone(&world.hosts), node.machine.clone());
        let (addresses, permits) = (Arc::clone(&addresses), Arc::clone(&permits));
        let samples = args.samples;
        tasks.spawn(async move {
            let _permit = permits.acquire().await.expect("it is never closed");
            let found = hosts
                .round_trips(&machine, &others, samples, &addresses)
                .await;
            (index, found)
        });
    }
    let mut found = Found::default();
    while let Some(done) = tasks.join_next().await {
        let (index, answer) = done.expect("measuring does not panic");
        let node = &nodes[index];
        bar.inc(1);
        match answer {
            Ok(answer) => found.take(args.samples, node, nodes, answer),
            Err(fault) => found.silent.push((node.machine.clone(), fault.to_string())),
        }
    }
    bar.finish_and_clear();
    found.silent.sort();
    found.lost.sort();
    found
}

impl Found {
    fn take(
        &mut self,
        wanted: u32,
        from: &Node,
        nodes: &[Node],
        mut answer: BTreeMap<Ipv4Addr, Vec<Span>>,
    ) {
        for to in nodes.iter().filter(|to| to.machine != from.machine) {
            let samples = answer.remove(&to.address).unwrap_or_default();
            if samples.len() < wanted as usize {
                let pair = (from.machine.clone(), to.machine.clone(), samples.len());
                self.lost.push(pair);
            }
            let mut pair = [from.at.clone(), to.at.clone()];
            pair.sort();
            let [a, b] = pair;
            if !samples.is_empty() {
                self.samples.entry((a, b)).or_default().extend(samples);
            }
        }
    }
}

fn bar(total: u64, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} machines have measured");
    let style = style
        .expect("the template is well-formed")
        .progress_chars("━━─");
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4))
        .with_style(style)
}

/// The value that so many thousandths of the sorted samples do not exceed.
fn quantile(sorted: &[Span], permille: usize) -> Span {
    assert!(!sorted.is_empty(), "a pair without samples has no row");
    let rank = (sorted.len() * permille).div_ceil(1_000).max(1);
    sorted[rank - 1]
}

/// One row for each pair of places: the median of both directions, and the mean deviation from it.
fn rows(samples: &mut Samples, date: &str) -> Vec<Distance> {
    let row = |((a, b), samples): (&(At, At), &mut Vec<Span>)| {
        samples.sort_unstable();
        let median = quantile(samples, 500);
        let off = samples.iter().map(|sample| sample.0.abs_diff(median.0));
        let jitter = off.sum::<u64>() / samples.len() as u64;
        let place = |(kind, region): &At| Place {
            kind: *kind,
            region: region.clone(),
        };
        Distance {
            between: [place(a), place(b)],
            rtt: Duration(median),
            jitter: Some(Duration(Span(jitter))),
            statistic: "p50".to_owned(),
            date: date.to_owned(),
            source: "measured".to_owned(),
        }
    };
    samples.iter_mut().map(row).collect()
}

/// The whole file: rows of other places as they were, and the new ones.
fn file(former: &[Distance], rows: &[Distance]) -> String {
    let mut all: BTreeMap<_, _> = former.iter().map(|row| (row.pair(), row)).collect();
    all.extend(rows.iter().map(|row| (row.pair(), row)));
    let lines = all.values().map(|row| format!("{}\n", row.line()));
    format!("{COLUMNS}\n{}", lines.collect::<String>())
}

/// What was measured, beside what the catalogue would have said.
fn table(rows: &[Distance], found: &mut Found) -> String {
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str("median   99 of 100  worst    expected  samples  between\n");
    }
    for (row, samples) in rows.iter().zip(found.samples.values()) {
        let [a, b] = &row.between;
        let expected = rtt((a.kind, &a.region), (b.kind, &b.region)).rtt;
        text.push_str(&format!(
            "{:<8} {:<10} {:<8} {:<9} {:<8} {} - {}\n",
            ms(row.rtt.0),
            ms(quantile(samples, 990)),
            ms(quantile(samples, 1_000)),
            ms(expected),
            samples.len(),
            plain(&a.region),
            plain(&b.region)
        ));
    }
    for (from, to, came) in &found.lost {
        text.push_str(&format!("{from} -> {to}: only {came} samples came back\n"));
    }
    text
}

fn ms(span: Span) -> String {
    let us = span.0 / 1_000;
    format!("{}.{:02}ms", us / 1_000, us % 1_000 / 10)
}

/// The day in UTC, like `2026-11-22`: Howard Hinnant's `civil_from_days`.
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::catalog::read_distances;

    fn at(region: &str) -> At {
        (ProviderKind::Hetzner, region.to_owned())
    }

    fn node(number: u8, region: &str) -> Node {
        Node {
            machine: ResourceId::new(format!("shop/cp/{number}")),
            address: Ipv4Addr::new(10, 88, 0, number),
            at: at(region),
        }
    }

    #[test]
    fn both_directions_make_one_row() {
        let nodes = [node(1, "nbg1"), node(2, "fsn1"), node(3, "fsn1")];
        let mut found = Found::default();
        let ms = |all: &[u64]| all.iter().map(|ms| Span::from_ms(*ms)).collect::<Vec<_>>();
        let answer = |to: &[(usize, &[u64])]| {
            to.iter()
                .map(|(n, all)| (nodes[*n].address, ms(all)))
                .collect()
        };
        found.take(2, &nodes[0], &nodes, answer(&[(1, &[4, 6]), (2, &[5, 9])]));
        found.take(2, &nodes[1], &nodes, answer(&[(0, &[5, 5]), (2, &[1])]));
        let rows = rows(&mut found.samples, "2026-11-22");
        let lines: Vec<_> = rows.iter().map(Distance::line).collect();
        let expected = [
            "hetzner,fsn1,hetzner,fsn1,1.000,0.000,p50,2026-11-22,measured,measured",
            "hetzner,fsn1,hetzner,nbg1,5.000,1.000,p50,2026-11-22,measured,measured",
        ];
        assert_eq!(lines, expected);
        let (a, b) = (nodes[1].machine.clone(), nodes[2].machine.clone());
        assert_eq!(found.lost, [(a, b, 1)]);
        let shown = table(&rows, &mut found);
        assert!(shown.contains("5.00ms   9.00ms     9.00ms"), "{shown}");
        assert!(
            shown.contains("shop/cp/2 -> shop/cp/3: only 1 samples"),
            "{shown}"
        );
    }

    #[test]
    fn rows_of_other_places_stay() {
        let row = |a: &str, b: &str, ms: u64| Distance {
            between: [a, b].map(|region| Place {
                kind: ProviderKind::Hetzner,
                region: region.to_owned(),
            }),
            rtt: Duration(Span::from_ms(ms)),
            jitter: None,
            statistic: "p50".to_owned(),
            date: "2026-11-22".to_owned(),
            source: "measured".to_owned(),
        };
        let former = [row("hel1", "fsn1", 23), row("nbg1", "fsn1", 9)];
        let text = file(&former, &[row("fsn1", "nbg1", 3)]);
        let read = read_distances(&text).unwrap();
        let rtt: Vec<_> = read.iter().map(|row| row.rtt.0.as_ms()).collect();
        assert_eq!(rtt, [23, 3]);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let at = |s| date(UNIX_EPOCH + std::time::Duration::from_secs(s));
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_305_599, "2026-11-21"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(at(seconds), day);
        }
    }
}

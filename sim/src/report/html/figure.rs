//! The timeline of one run as SVG: phases, faults, leader, quorum and clients under one axis.
//!
//! Every colour is doubled by a shape or a word, and every mark has a title.

use super::scale::{Scale, px};
use crate::outcome::{Bar, Run, Success};
use crate::report::{plain, shown_value};
use maud::{Markup, html};
use quorate_engine::time::Time;

const WIDTH: f64 = 1_040.0;
/// Names of rows stand left of this.
const LEFT: f64 = 236.0;
const RIGHT: f64 = 24.0;
/// Height of a row of bars, and the space after each row.
const BAR: f64 = 20.0;
const GAP: f64 = 12.0;
/// Height of a row with a curve.
const CURVE: f64 = 46.0;
/// Faults with a row of their own; the others share one.
const FAULT_ROWS: usize = 10;
/// Columns of a curve of successes; several buckets share a column where there are more.
const COLUMNS: usize = 420;
/// Width of a letter, at most, in pixels: to leave out labels that do not fit.
const LETTER: f64 = 6.6;
/// Letters of a row's name.
const NAME: usize = 29;
/// Colours for leaders; a leader beyond them shares one.
const LEADERS: usize = 5;

/// A figure in the making: rows are put below each other.
struct Sheet {
    scale: Scale,
    y: f64,
    rows: Vec<Markup>,
}

/// The figure of a run. `id` is unique on the page.
pub(super) fn figure(run: &Run, id: &str) -> Markup {
    let series = &run.series;
    let mut sheet = Sheet {
        scale: Scale::new(series.span, LEFT, WIDTH - LEFT - RIGHT),
        y: 30.0,
        rows: Vec::new(),
    };
    sheet.phases(&series.phases);
    sheet.faults(&series.faults);
    sheet.leader(&series.leader);
    sheet.quorum(&series.quorum);
    for population in &series.success {
        sheet.success(population);
    }
    let (title, about) = (format!("{id}t"), format!("{id}d"));
    let height = sheet.y;
    html! {
        figure {
            div.wide {
                svg role="img" aria-labelledby=(format!("{title} {about}"))
                    viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) {
                    title id=(title) {
                        "Timeline of " (plain(&run.scenario)) ", seed " (run.seed)
                    }
                    desc id=(about) { (description(run)) }
                    (axis(&sheet.scale, height))
                    @for phase in series.phases.iter().skip(1) {
                        (edge(sheet.scale.x(phase.from), height))
                    }
                    @for row in &sheet.rows { (row) }
                }
            }
            figcaption {
                "Time as minutes:seconds since the start. Leader: striped while there is none. "
                "Voters: healthy ones as area, all dotted, what a quorum needs dashed. Clients: "
                "share of requests that succeeded, failures hanging from the top."
            }
        }
    }
}

/// What the figure shows, in words.
fn description(run: &Run) -> String {
    let series = &run.series;
    let faults: Vec<String> = rows_of(&series.faults)
        .into_iter()
        .map(|(label, bars)| match bars.len() {
            1 => format!("{label} from {} to {}", bars[0].from, bars[0].to),
            times => format!("{label}, {times} times"),
        })
        .collect();
    let clients: Vec<String> = series
        .success
        .iter()
        .map(|one| format!("{}: {} succeeded", one.name, share(one)))
        .collect();
    let said = |what: &str, list: Vec<String>| match list.len() {
        0 => format!("no {what}"),
        _ => format!("{what}: {}", list.join("; ")),
    };
    plain(&format!(
        "{}. {}.",
        said("faults", faults),
        said("clients", clients)
    ))
}

/// What all figures of a page share: the pattern of times without a leader.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns aria-hidden="true" width="0" height="0" {
            defs {
                pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)" {
                    line.stripe x1="0" y1="0" x2="0" y2="6" {}
                }
            }
        }
    }
}

fn axis(scale: &Scale, height: f64) -> Markup {
    html! {
        @for (x, label) in scale.ticks() {
            line.grid x1=(px(x)) x2=(px(x)) y1="20" y2=(px(height - 6.0)) {}
            text.axis x=(px(x)) y="13" text-anchor="middle" { (label) }
        }
    }
}

/// Where a phase begins, through all rows.
fn edge(x: f64, height: f64) -> Markup {
    html! { line.edge x1=(px(x)) x2=(px(x)) y1="30" y2=(px(height - 6.0)) {} }
}

/// Bars by label, in order of first appearance; the last row takes what is too much.
fn rows_of(bars: &[Bar]) -> Vec<(String, Vec<&Bar>)> {
    let mut rows: Vec<(String, Vec<&Bar>)> = Vec::new();
    for bar in bars {
        let own = rows.iter().position(|(label, _)| *label == bar.label);
        match own {
            Some(row) => rows[row].1.push(bar),
            None if rows.len() < FAULT_ROWS => rows.push((bar.label.clone(), vec![bar])),
            None => match rows.get_mut(FAULT_ROWS) {
                Some(others) => others.1.push(bar),
                None => rows.push(("other faults".to_owned(), vec![bar])),
            },
        }
    }
    rows
}

/// A name in at most [`NAME`] letters: its ends tell it from others, so the middle goes.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= NAME {
        return name.to_owned();
    }
    let (head, tail) = (NAME / 2, NAME - NAME / 2 - 1);
    let ends = letters[..head]
        .iter()
        .chain(&['…'])
        .chain(&letters[letters.len() - tail..]);
    ends.collect()
}

impl Sheet {
    /// A row's name, left of it; `aside` below it.
    fn name(&mut self, name: &str, aside: &str, height: f64) {
        let shown = plain(name);
        let cut = shortened(&shown);
        let x = px(LEFT - 14.0);
        let middle = self.y + height / 2.0 + if aside.is_empty() { 4.0 } else { -3.0 };
        self.rows.push(html! {
            text.row x=(x) y=(px(middle)) text-anchor="end" { title { (shown) } (cut) }
            @if !aside.is_empty() {
                text.aside x=(x) y=(px(middle + 15.0)) text-anchor="end" { (aside) }
            }
        });
    }

    fn bar(&mut self, class: &str, (from, to): (Time, Time), title: &str) -> (f64, f64) {
        let (left, right) = (self.scale.x(from), self.scale.x(to));
        // A fault of an instant is seen too.
        let width = (right - left).max(2.5);
        let title = format!("{}, from {from} to {to}", plain(title));
        self.rows.push(html! {
            rect class=(class) x=(px(left)) y=(px(self.y)) width=(px(width)) height=(px(BAR))
                rx="2" { title { (title) } }
        });
        (left, width)
    }

    /// A label inside a bar. False where it does not fit.
    fn inside(&mut self, class: &str, label: &str, (left, width): (f64, f64)) -> bool {
        let label = plain(label);
        let fits = label.chars().count() as f64 * LETTER + 10.0 <= width;
        if fits {
            let (x, y) = (px(left + 6.0), px(self.y + BAR / 2.0 + 4.0));
            self.rows
                .push(html! { text class=(class) x=(x) y=(y) { (label) } });
        }
        fits
    }

    fn phases(&mut self, phases: &[Bar]) {
        if phases.is_empty() {
            return;
        }
        self.name("phase", "", BAR);
        for phase in phases {
            let place = self.bar("phase", (phase.from, phase.to), &phase.label);
            self.inside("", &phase.label, place);
        }
        self.y += BAR + GAP;
    }

    fn faults(&mut self, faults: &[Bar]) {
        let rows = rows_of(faults);
        for (label, bars) in &rows {
            let times = match bars.len() {
                1 => String::new(),
                times => format!("×{times}"),
            };
            self.name(label, "", BAR);
            for bar in bars {
                self.bar("fault", (bar.from, bar.to), &bar.label);
            }
            if let (false, Some(last)) = (times.is_empty(), bars.last()) {
                let x = self.scale.x(last.to) + 6.0;
                if x + 30.0 < WIDTH {
                    let y = px(self.y + BAR / 2.0 + 4.0);
                    self.rows
                        .push(html! { text.aside x=(px(x)) y=(y) { (times) } });
                }
            }
            self.y += BAR + 4.0;
        }
        if !rows.is_empty() {
            self.y += GAP - 4.0;
        }
    }

    fn leader(&mut self, leader: &[(Time, Option<String>)]) {
        if leader.is_empty() {
            return;
        }
        self.name("etcd leader", "", BAR);
        // In order of appearance, and whether the name stands in one of its bars.
        let mut known: Vec<(&str, bool)> = Vec::new();
        for (index, (from, who)) in leader.iter().enumerate() {
            let to = leader.get(index + 1).map_or(self.scale.to(), |next| next.0);
            let Some(who) = who else {
                self.bar("none", (*from, to), "no leader");
                continue;
            };
            let place = known
                .iter()
                .position(|(name, _)| name == who)
                .unwrap_or_else(|| {
                    known.push((who, false));
                    known.len() - 1
                });
            let colour = place % LEADERS;
            let bar = self.bar(&format!("leader{colour}"), (*from, to), who);
            let on = if matches!(colour, 0 | 2) {
                "on"
            } else {
                "dark"
            };
            known[place].1 |= self.inside(on, who, bar);
        }
        self.y += BAR + GAP;
        if known.iter().any(|(_, named)| !named) {
            self.leaders(&known);
        }
    }

    /// Which colour is whose, where the bars are too short to say so.
    fn leaders(&mut self, known: &[(&str, bool)]) {
        let (mut x, y) = (LEFT, self.y + 2.0);
        for (place, (name, _)) in known.iter().enumerate() {
            let name = shortened(&plain(name));
            let width = name.chars().count() as f64 * LETTER + 34.0;
            if x + width > WIDTH {
                break;
            }
            let class = format!("leader{}", place % LEADERS);
            self.rows.push(html! {
                rect class=(class) x=(px(x)) y=(px(y - 9.0)) width="10" height="10" rx="2" {}
                text.aside x=(px(x + 15.0)) y=(px(y)) { (name) }
            });
            x += width;
        }
        self.y += BAR + 2.0;
    }

    fn quorum(&mut self, quorum: &[(Time, u32, u32)]) {
        let most = quorum
            .iter()
            .map(|(_, voters, healthy)| *voters.max(healthy))
            .max();
        let Some(most @ 1..) = most else { return };
        let low = quorum
            .iter()
            .map(|(_, _, healthy)| *healthy)
            .min()
            .unwrap_or_default();
        let last = quorum.last().map_or(0, |(_, voters, _)| *voters);
        self.name(
            "healthy voters",
            &format!("of {last}; at least {low}"),
            CURVE,
        );
        let (bottom, unit) = (self.y + CURVE, (CURVE - 4.0) / f64::from(most));
        let level = |count: u32| bottom - f64::from(count) * unit;
        let line = |of: &dyn Fn(&(Time, u32, u32)) -> u32| self.steps(quorum, &|q| level(of(q)));
        let healthy = line(&|(_, _, healthy)| *healthy);
        let voters = line(&|(_, voters, _)| *voters);
        let need = line(&|(_, voters, _)| voters / 2 + 1);
        let first = quorum.first().map_or(self.scale.from(), |first| first.0);
        let (left, right) = (px(self.scale.x(first)), px(self.scale.x(self.scale.to())));
        let area = format!("M{left} {0}L{1}L{right} {0}Z", px(bottom), &healthy[1..]);
        self.rows.push(html! {
            path.healthy d=(area) { title { "healthy voters, at least " (low) } }
            path.voters d=(voters) { title { "voters" } }
            path.need d=(need) { title { "what a quorum needs" } }
        });
        self.y += CURVE + GAP;
    }

    /// A path that goes on at its level until the next point.
    fn steps(
        &self,
        points: &[(Time, u32, u32)],
        level: &dyn Fn(&(Time, u32, u32)) -> f64,
    ) -> String {
        let mut path = String::new();
        for point in points {
            let (x, y) = (px(self.scale.x(point.0)), px(level(point)));
            path.push_str(&match path.is_empty() {
                true => format!("M{x} {y}"),
                false => format!("H{x}V{y}"),
            });
        }
        path.push_str(&format!("H{}", px(self.scale.x(self.scale.to()))));
        path
    }

    fn success(&mut self, of: &Success) {
        if of.counts.is_empty() {
            return;
        }
        self.name(&of.name, &format!("{} succeeded", share(of)), CURVE);
        let together = of.counts.len().div_ceil(COLUMNS);
        let (mut good, mut bad) = (String::new(), String::new());
        for (column, buckets) in of.counts.chunks(together).enumerate() {
            let add = |sum: (u64, u64), next: &(u32, u32)| {
                (sum.0 + u64::from(next.0), sum.1 + u64::from(next.1))
            };
            let (succeeded, failed) = buckets.iter().fold((0, 0), add);
            if succeeded + failed == 0 {
                continue;
            }
            let edge = |buckets: usize| {
                self.scale
                    .x(self.scale.from() + of.bucket.times(buckets as u64))
            };
            let (left, right) = (
                edge(column * together),
                edge(column * together + buckets.len()),
            );
            // One failure among many is seen too.
            let lost = CURVE * failed as f64 / (succeeded + failed) as f64;
            let lost = if failed > 0 { lost.max(3.0) } else { 0.0 };
            let (x, width) = (px(left), px(right - left));
            if lost < CURVE {
                let (y, height) = (px(self.y + lost), px(CURVE - lost));
                good.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
            }
            if lost > 0.0 {
                bad.push_str(&format!(
                    "M{x} {}h{width}v{}h-{width}z",
                    px(self.y),
                    px(lost)
                ));
            }
        }
        let name = plain(&of.name);
        self.rows.push(html! {
            path.ok d=(good) { title { "requests of " (name) " that succeeded" } }
            @if !bad.is_empty() {
                path.failed d=(bad) { title { "requests of " (name) " that failed" } }
            }
        });
        self.y += CURVE + GAP;
    }
}

/// The share of a population's requests that succeeded.
fn share(of: &Success) -> String {
    let sum = |pick: fn(&(u32, u32)) -> u32| of.counts.iter().map(|c| u64::from(pick(c))).sum();
    let (good, bad): (u64, u64) = (sum(|c| c.0), sum(|c| c.1));
    match good.saturating_mul(1_000_000).checked_div(good + bad) {
        Some(millionths) => shown_value(millionths, crate::outcome::Unit::Share),
        None => "none asked, none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Series, Verdict};
    use crate::report::sample;

    #[test]
    fn a_run_without_series_has_an_axis_and_nothing_else() {
        let svg = figure(&sample::bare(1, Verdict::Pass), "s0r0").into_string();
        assert!(svg.contains("0:00") && !svg.contains("<rect"), "{svg}");
    }

    #[test]
    fn faults_with_one_name_share_a_row_and_rows_are_bounded() {
        let bar = |n: usize| Bar {
            label: format!("f{n}"),
            from: Time::ZERO,
            to: Time::ZERO,
        };
        let bars: Vec<Bar> = (0..30).chain(0..30).map(bar).collect();
        let rows = rows_of(&bars);
        assert_eq!(rows.len(), FAULT_ROWS + 1);
        assert_eq!((rows[0].1.len(), rows[FAULT_ROWS].1.len()), (2, 40));
    }

    #[test]
    fn long_names_keep_both_ends() {
        let name = "network.partition between provider one and provider two";
        let short = shortened(name);
        assert_eq!(short.chars().count(), NAME);
        assert!(
            short.starts_with("network.") && short.ends_with("provider two"),
            "{short}"
        );
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn every_leader_is_named_however_short_it_led() {
        let mut run = sample::bare(1, Verdict::Pass);
        run.series.span = (Time::ZERO, Time(1_000_000_000_000));
        let led = |at: u64, who: &str| (Time(at * 1_000_000_000), Some(who.to_owned()));
        run.series.leader = vec![
            led(0, "long-reign"),
            led(998, "brief-one"),
            led(999, "long-reign"),
        ];
        let svg = figure(&run, "s0r0").into_string();
        assert!(
            svg.contains(">brief-one</text>") && svg.contains(">long-reign</text>"),
            "{svg}"
        );
        run.series.leader.truncate(1);
        let svg = figure(&run, "s0r0").into_string();
        assert_eq!(svg.matches(">long-reign</text>").count(), 1, "{svg}");
    }

    #[test]
    fn a_single_failure_is_seen() {
        let mut run = sample::bare(1, Verdict::Pass);
        let counts = |failed| vec![(1_000_000, 0), (1_000_000, failed)];
        let mut drawn = |failed| {
            run.series = Series {
                span: (Time::ZERO, Time(2_000_000_000)),
                success: vec![Success {
                    name: "all".to_owned(),
                    bucket: quorate_engine::time::Span::from_secs(1),
                    counts: counts(failed),
                }],
                ..Series::default()
            };
            figure(&run, "s0r0")
                .into_string()
                .contains("class=\"failed\"")
        };
        assert!(!drawn(0));
        assert!(drawn(1));
    }
}

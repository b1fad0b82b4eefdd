//! Charts of the sample.

use quorate_planning::page::{Block, Chart, Drawing, Place};

type Line = (String, Vec<(f64, f64)>);

fn chart(id: &'static str, caption: &str, drawing: Drawing) -> Block {
    Block::Chart(Chart {
        id,
        caption: caption.to_owned(),
        drawing,
    })
}

fn place(kind: &str, name: &str, within: Vec<Place>) -> Place {
    Place {
        name: name.to_owned(),
        kind: kind.to_owned(),
        marks: Vec::new(),
        within,
    }
}

fn node(name: &str, marks: &[&str]) -> Place {
    Place {
        marks: marks.iter().map(|&mark| mark.to_owned()).collect(),
        ..place("node", name, Vec::new())
    }
}

const CONTROL: &[&str] = &["etcd", "API server", "load balancer"];

pub(super) fn map() -> Block {
    let zone = |name: &str, nodes| place("zone", name, nodes);
    let region = |name: &str, zones| place("region", name, zones);
    let cp = |name: &str| node(name, CONTROL);
    let worker = |name: &str| node(name, &["worker"]);
    let htz = vec![
        cp("htz-cp/1"),
        worker("htz-worker/1"),
        worker("htz-worker/2"),
    ];
    let places = vec![
        place(
            "provider",
            "htz",
            vec![region("fsn1", vec![zone("fsn1", htz)])],
        ),
        place(
            "provider",
            "gcp",
            vec![region(
                "europe-west3",
                vec![
                    zone(
                        "europe-west3-a",
                        vec![cp("gcp-cp/1"), worker("gcp-worker/1")],
                    ),
                    zone("europe-west3-b", vec![worker("gcp-worker/2")]),
                ],
            )],
        ),
        place(
            "provider",
            "aws",
            vec![region(
                "eu-central-1",
                vec![
                    zone(
                        "eu-central-1a",
                        vec![cp("aws-cp/1"), worker("aws-worker/1")],
                    ),
                    zone("eu-central-1b", vec![worker("aws-worker/2")]),
                ],
            )],
        ),
    ];
    chart(
        "domains",
        "Failure domains, and what stands in each",
        Drawing::Map(places),
    )
}

pub(super) fn large_map() -> Block {
    let providers = ["htz", "gcp", "aws"].map(|provider| {
        let regions = ["east", "west"].map(|region| {
            let zones = (1..=2).map(|number| {
                let name =
                    |what: &str, at: usize| format!("{provider}-{region}{number}-{what}/{at}");
                let mut nodes = vec![node(&name("cp", 1), CONTROL)];
                nodes.extend((1..=6).map(|at| node(&name("worker", at), &["worker"])));
                nodes.extend((1..=2).map(|at| node(&name("store", at), &["worker", "storage"])));
                place("zone", &format!("{region}-{number}"), nodes)
            });
            place("region", region, zones.collect())
        });
        place("provider", provider, regions.to_vec())
    });
    let caption = "Failure domains of 108 nodes; equal nodes of a zone are one box";
    chart("large", caption, Drawing::Map(providers.to_vec()))
}

fn line(name: &str, points: impl Iterator<Item = (f64, f64)>) -> Line {
    (name.to_owned(), points.collect())
}

pub(super) fn recovery() -> Block {
    let curve = |scale: f64| {
        (1..=60).map(move |at| {
            let seconds = f64::from(at) * 2.0;
            (seconds, 1.0 / (1.0 + (seconds / scale).powi(4)))
        })
    };
    let lines = vec![
        line("provider htz", curve(41.0)),
        line("provider gcp", curve(18.0)),
        line("provider aws", curve(17.0)),
        line("node htz-cp/1", curve(11.7)),
    ];
    let drawing = Drawing::Lines {
        x: "seconds since the failure".to_owned(),
        y: "share not yet recovered".to_owned(),
        lines,
        log_y: true,
    };
    chart(
        "recovery",
        "How likely it is that recovery takes longer",
        drawing,
    )
}

pub(super) fn cuts() -> Block {
    let bars = [
        ("transit-fra", 2.1),
        ("htz, gcp", 0.22),
        ("htz, aws", 0.16),
        ("gcp, aws (apart from transit-fra)", 0.1),
    ];
    let drawing = Drawing::Bars {
        unit: "hours a year without writes".to_owned(),
        parts: vec!["downtime".to_owned()],
        bars: bars
            .map(|(name, hours)| (name.to_owned(), vec![hours]))
            .to_vec(),
    };
    chart("cuts", "Downtime by cause", drawing)
}

pub(super) fn growth() -> Block {
    let grow = |rate: f64| (0..=12).map(move |month| (f64::from(month), 62.0 * rate.powi(month)));
    let drawing = Drawing::Lines {
        x: "months from now".to_owned(),
        y: "% of the CPU requested".to_owned(),
        lines: vec![
            line("growth of 2% a month", grow(1.02)),
            line("growth of 4% a month", grow(1.04)),
            line("what fits", (0..=12).map(|month| (f64::from(month), 100.0))),
            line(
                "fits without htz",
                (0..=12).map(|month| (f64::from(month), 76.0)),
            ),
        ],
        log_y: false,
    };
    chart("growth", "When growth uses up what is there", drawing)
}

pub(super) fn latency() -> Block {
    let parts = ["network", "disk", "agreement"];
    let bars = [
        ("all members", [14.2, 4.1, 5.7]),
        ("without htz", [23.9, 4.1, 13.0]),
        ("without gcp", [15.8, 4.1, 6.0]),
        ("without aws", [13.1, 4.1, 5.2]),
    ];
    let drawing = Drawing::Bars {
        unit: "ms, median of an etcd commit".to_owned(),
        parts: parts.map(str::to_owned).to_vec(),
        bars: bars
            .map(|(name, parts)| (name.to_owned(), parts.to_vec()))
            .to_vec(),
    };
    chart("latency", "What an etcd commit waits for", drawing)
}

pub(super) fn price() -> Block {
    let parts = [
        "machines",
        "disks",
        "addresses",
        "traffic to clients",
        "replication",
    ];
    let bars = [
        ("normal month", [268.4, 41.6, 28.0, 31.3, 43.5]),
        ("month with a failover", [268.4, 41.6, 28.0, 44.9, 140.2]),
    ];
    let drawing = Drawing::Bars {
        unit: "EUR a month".to_owned(),
        parts: parts.map(str::to_owned).to_vec(),
        bars: bars
            .map(|(name, parts)| (name.to_owned(), parts.to_vec()))
            .to_vec(),
    };
    chart("price", "What the price is made of", drawing)
}

pub(super) fn pareto() -> Block {
    let points = [
        ("today", 412.8, 2.6, false),
        ("third load balancer at scw", 418.2, 2.5, false),
        ("etcd at scw", 424.7, 0.44, true),
        ("etcd at scw, two regions", 439.0, 0.43, false),
        ("three nodes at scw", 454.5, 0.26, true),
        ("everything at htz", 296.1, 14.2, true),
        ("without aws", 331.0, 9.7, true),
        ("without gcp", 344.9, 10.4, false),
    ];
    let drawing = Drawing::Points {
        x: "EUR a month".to_owned(),
        y: "hours a year without writes".to_owned(),
        points: points
            .map(|(name, x, y, out)| (name.to_owned(), x, y, out))
            .to_vec(),
    };
    chart(
        "pareto",
        "Price against downtime: nothing is both cheaper and better than what stands out",
        drawing,
    )
}

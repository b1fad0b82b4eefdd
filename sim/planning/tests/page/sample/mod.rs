//! A report made by hand, of a cluster as people have it: three providers, nine nodes. Its figures are
//! plausible and nothing more; what is meant is every block, tone and drawing.

mod charts;
mod tables;

use quorate_planning::page::{Block, Page, Section};

/// The report.
pub(crate) fn page() -> Page {
    let made_of = [
        ("manifest", "shop.yaml, 9f2c41d07be3a815"),
        ("seed", "1"),
        ("prices", "2026-08-03, bundled"),
        (
            "incidents",
            "2019-01 to 2026-07, bundled; https://status.example.com/history",
        ),
    ];
    Page {
        title: "shop".to_owned(),
        subtitle: "Nine nodes at three providers; every figure is for this manifest and these data"
            .to_owned(),
        version: "0.1.0".to_owned(),
        made_of: made_of
            .map(|(name, what)| (name.to_owned(), what.to_owned()))
            .to_vec(),
        sections: vec![
            failures(),
            availability(),
            capacity(),
            distance(),
            price(),
            advice(),
            assumptions(),
        ],
    }
}

fn section(id: &'static str, title: &str, lead: &str, blocks: Vec<Block>) -> Section {
    Section {
        id,
        title: title.to_owned(),
        lead: lead.to_owned(),
        blocks,
    }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn caution(text: &str) -> Block {
    Block::Caution(text.to_owned())
}

fn heading(text: &str) -> Block {
    Block::Heading(text.to_owned())
}

fn failures() -> Section {
    section(
        "failures",
        "What survives which failure",
        "The cluster goes on without any one node, zone, region or provider. Without the cause that \
         gcp and aws share, etcd has no quorum.",
        vec![
            charts::map(),
            Block::Table(tables::failures()),
            text(
                "Recovery is from the failure to the end of the last request that failed for it, \
                  over 2,000 simulated failures of each domain.",
            ),
            heading("Pairs worth naming"),
            Block::Table(tables::pairs()),
            charts::recovery(),
        ],
    )
}

fn availability() -> Section {
    section(
        "availability",
        "Availability",
        "Writes are possible 99.97% of the time (99.93% to 99.99%): 2.6 hours a year without them. \
         81% of that is the cause shared by gcp and aws.",
        vec![
            Block::Table(tables::availability()),
            heading("What the downtime is made of"),
            Block::Table(tables::cuts()),
            charts::cuts(),
            caution(
                "Of three providers only two publish how long their incidents last. No more than \
                     three nines are said where the evidence holds no more.",
            ),
        ],
    )
}

fn capacity() -> Section {
    section(
        "capacity",
        "Capacity",
        "All workloads fit without the largest provider; 14% of the CPU stays free.",
        vec![Block::Table(tables::capacity()), charts::growth()],
    )
}

fn distance() -> Section {
    section(
        "distance",
        "Performance across distance",
        "A write to etcd takes 24 ms at the median, 41 ms while fsn1 is away.",
        vec![charts::latency()],
    )
}

fn price() -> Section {
    section(
        "price",
        "Price",
        "412.80 EUR in a normal month, 523.10 EUR in one with a failover of three days.",
        vec![
            Block::Table(tables::price()),
            charts::price(),
            caution("Prices of aws are from 2026-03-11: 256 days old."),
        ],
    )
}

/// Its longest line is wider than a phone.
const PATCH: &str = r#"[
  { "op": "replace", "path": "/spec/nodePools/3/provider", "value": "scw" },
  { "op": "replace", "path": "/spec/nodePools/3/image", "value": "debian-12" }
]"#;

fn advice() -> Section {
    section(
        "advice",
        "Advice",
        "A fifth etcd member at scw takes away the shared cause, for 11.90 EUR a month.",
        vec![
            charts::pareto(),
            Block::Table(tables::advice()),
            text("The first of them as a JSON Patch:"),
            Block::Code(PATCH.to_owned()),
        ],
    )
}

fn assumptions() -> Section {
    section(
        "assumptions",
        "Assumptions",
        "28 parameters; 3 are judgements. --data DIR puts yours in their place.",
        vec![
            Block::Table(tables::assumptions()),
            heading("The same report for a hundred nodes"),
            charts::large_map(),
        ],
    )
}

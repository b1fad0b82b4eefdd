//! Every form of a report made by hand: as it is, and with names that somebody means ill by.

mod hostile;
mod sample;

use quorate_planning::page::{self, Block, Cell, Column, Page, Section, Table};
use std::collections::BTreeSet;

/// The page without its style sheet and script, which have their own life.
fn body(html: &str) -> String {
    let cut = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).expect("the page has it");
        let (_, after) = rest.split_once(to).expect("and it ends");
        format!("{before}{from}…{to}{after}")
    };
    let html = cut(html, "<style>", "</style>");
    let html = cut(&html, "<script>", "</script>");
    let html = cut(&html, "Content-Security-Policy\" content=\"", "\"");
    html.replace("><", ">\n<")
}

fn attribute(html: &str, name: &str) -> Vec<String> {
    let begin = format!(" {name}=\"");
    let after = html.split(begin.as_str()).skip(1);
    after
        .map(|rest| rest[..rest.find('"').unwrap()].to_owned())
        .collect()
}

#[test]
fn the_page_of_a_report() {
    insta::assert_snapshot!("html", body(&page::html(&sample::page())));
}

#[test]
fn a_report_as_markdown() {
    insta::assert_snapshot!("markdown", page::markdown(&sample::page()));
}

#[test]
fn a_report_as_sheets() {
    let files = page::csv(&sample::page());
    let all: Vec<String> = files
        .iter()
        .map(|(name, text)| format!("== {name}\n{text}"))
        .collect();
    insta::assert_snapshot!("csv", all.join("\n").replace("\r\n", "\n"));
}

#[test]
fn a_report_in_a_terminal() {
    let page = sample::page();
    let sections: Vec<String> = page.sections.iter().map(page::terminal::section).collect();
    insta::assert_snapshot!("summary", page::summary(&page));
    insta::assert_snapshot!("sections", sections.join("\n"));
    for line in page::summary(&page)
        .lines()
        .chain(sections.iter().flat_map(|one| one.lines()))
    {
        assert!(line.chars().count() <= page::terminal::WIDTH, "{line}");
    }
}

#[test]
fn hostile_names_stay_text_on_the_page() {
    let (own, spoiled) = (page::html(&sample::page()), page::html(&hostile::page()));
    for tag in [
        "<script", "</script", "</style", "<svg", "<table", "<li", "<td",
    ] {
        let count = |html: &str| html.matches(tag).count();
        assert_eq!(count(&own), count(&spoiled), "{tag}");
    }
    assert!(spoiled.contains("&lt;script&gt;alert(1)"));
    assert!(!spoiled.contains(['\u{0}', '\u{1b}', '\u{202e}']));
    let links = attribute(&spoiled, "href");
    assert!(
        links
            .iter()
            .all(|to| to.starts_with('#') || to.starts_with("https://"))
    );
}

#[test]
fn hostile_names_stay_text_elsewhere() {
    let hostile = hostile::page();
    let markdown = page::markdown(&hostile);
    // Between fences nothing has a meaning but a fence.
    let mut fenced = false;
    let prose = |line: &&str| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    let prose: String = markdown.lines().filter(prose).collect();
    for meant in ["<script", "]("] {
        let escaped = format!("\\{meant}");
        let found = prose.matches(meant).count();
        assert!(found > 0);
        assert_eq!(found, prose.matches(&escaped).count(), "{meant}");
    }
    let terminal = format!("{}{markdown}", page::summary(&hostile));
    assert!(!terminal.contains(['\u{0}', '\u{1b}', '\u{202e}']));
    for (name, text) in page::csv(&hostile) {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.expect("as many fields in every record");
            let bad = |field: &str| field.starts_with(['=', '+', '@', '\t', '\r', '\n']);
            assert!(!record.iter().any(bad), "{name}: {record:?}");
        }
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let html = page::html(&sample::page());
    for loading in [
        "src=", "@import", "http:", "url(", "<link", "<img", "<iframe", "onclick", "style=",
    ] {
        assert!(!html.contains(loading), "{loading}");
    }
}

#[test]
fn every_id_is_unique_and_every_reference_leads_somewhere() {
    let html = page::html(&sample::page());
    let ids = attribute(&html, "id");
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    let labels = attribute(&html, "aria-labelledby");
    let links = attribute(&html, "href");
    let anchors = links.iter().filter_map(|link| link.strip_prefix('#'));
    let all: Vec<&str> = labels
        .iter()
        .flat_map(|all| all.split(' '))
        .chain(anchors)
        .collect();
    assert!(all.len() > 40, "{}", all.len());
    for id in all {
        assert!(unique.contains(&id.to_owned()), "{id}");
    }
}

#[test]
fn every_drawing_has_words_and_data() {
    let html = page::html(&sample::page());
    let count = |text: &str| html.matches(text).count();
    assert_eq!(count("<svg"), 6);
    assert_eq!(count("<svg"), count("</desc>"));
    assert_eq!(count("<figure"), count("<summary>Data"));
    assert_eq!(count("<table"), count("<caption>"));
}

fn with(tables: Vec<Table>) -> Page {
    Page {
        sections: vec![Section {
            id: "one",
            title: "One".to_owned(),
            lead: String::new(),
            blocks: tables.into_iter().map(Block::Table).collect(),
        }],
        ..sample::page()
    }
}

#[test]
fn an_empty_report_is_a_report() {
    let page = Page {
        sections: Vec::new(),
        ..sample::page()
    };
    assert!(page::html(&page).contains("At a glance"));
    assert!(page::markdown(&page).starts_with("# shop\n"));
    assert!(page::csv(&page).is_empty());
    assert!(page::summary(&page).starts_with("shop\n"));
}

#[test]
#[should_panic(expected = "the table t is there once")]
fn two_tables_of_one_name_are_our_mistake() {
    let table = || Table::new("t", "", vec![Column::words("a")]);
    let _ = page::csv(&with(vec![table(), table()]));
}

#[test]
#[should_panic(expected = "a row of t is whole")]
fn a_torn_row_is_our_mistake() {
    let mut table = Table::new("t", "", vec![Column::words("a")]);
    table.rows.push(vec![Cell::text("a"), Cell::text("b")]);
    let _ = page::html(&with(vec![table]));
}

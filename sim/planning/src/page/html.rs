//! One self-contained page: it loads nothing, is whole without its script, and reads well in light, in
//! dark and on paper, by keyboard and by ear.
//!
//! What is text goes through `maud`, which escapes it. Written as markup are only our own style sheet
//! and script, whose fingerprints are all that the page's policy lets a browser use, and what
//! `plotters` drew, which escapes too.

mod figure;
mod table;

use super::{Block, Page, Section, plain_lines};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use quorate_sim::report::plain;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/sort.js");

/// The whole page.
///
/// # Panics
/// If short names are not unique, or a row is not whole.
#[must_use]
pub fn html(page: &Page) -> String {
    page.assert_sound();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("quorate {}", plain(&page.version)));
                title { (plain(&page.title)) " · Quorate report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the report" }
                header {
                    p.what.soft { "Planning report · quorate " (plain(&page.version)) }
                    h1 { (plain(&page.title)) }
                    @if !page.subtitle.is_empty() { p.soft { (plain(&page.subtitle)) } }
                }
                (navigation(page))
                main #content tabindex="-1" {
                    (glance(page))
                    @for one in &page.sections { (section(one)) }
                }
                (made_of(page))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// Nothing may be used but our own style sheet and script, whatever a name says.
fn policy() -> String {
    let print = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        print(STYLE),
        print(SCRIPT)
    )
}

fn navigation(page: &Page) -> Markup {
    html! {
        nav aria-label="Sections" {
            ul {
                @for one in &page.sections {
                    li { a href=(format!("#{}", anchor(one))) { (plain(&one.title)) } }
                }
                li { a href="#made-of" { "What this was made of" } }
            }
        }
    }
}

/// What each section came to, on the first screen.
fn glance(page: &Page) -> Markup {
    html! {
        section.glance aria-labelledby="glance" {
            h2 #glance { "At a glance" }
            dl {
                @for one in &page.sections {
                    div {
                        dt { a href=(format!("#{}", anchor(one))) { (plain(&one.title)) } }
                        dd { (plain(&one.lead)) }
                    }
                }
            }
        }
    }
}

fn anchor(section: &Section) -> String {
    format!("section-{}", section.id)
}

fn section(section: &Section) -> Markup {
    let id = anchor(section);
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (plain(&section.title)) }
            @if !section.lead.is_empty() { p.lead { (plain(&section.lead)) } }
            @for one in &section.blocks { (block(one)) }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Heading(text) => html! { h3 { (plain(text)) } },
        Block::Text(text) => html! { p { (table::linked(text)) } },
        Block::Caution(text) => html! {
            p.caution { strong { "Caution: " } (table::linked(text)) }
        },
        Block::Code(text) => html! { pre tabindex="0" { code { (plain_lines(text)) } } },
        Block::Table(one) => table::table(one, &format!("table-{}", one.id)),
        Block::Chart(chart) => figure::figure(chart),
    }
}

fn made_of(page: &Page) -> Markup {
    html! {
        footer aria-labelledby="made-of" {
            h2 #made-of { "What this was made of" }
            dl {
                dt { "quorate" } dd { (plain(&page.version)) }
                @for (name, what) in &page.made_of {
                    dt { (plain(name)) } dd { (table::linked(what)) }
                }
            }
        }
    }
}

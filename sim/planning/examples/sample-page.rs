//! Prints the page of a report made by hand, to be looked at and checked in a browser:
//! `cargo run -p quorate-planning --example sample-page > page.html`.

#[path = "../tests/page/sample/mod.rs"]
mod sample;

fn main() {
    print!("{}", quorate_planning::page::html(&sample::page()));
}

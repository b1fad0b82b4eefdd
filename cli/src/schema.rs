//! `quorate schema`: JSON Schemas for editors.

use crate::args::{Schema, SchemaOf};
use crate::exit::Exit;
use crate::input;
use crate::terminal;

/// Prints a schema.
pub(crate) fn run(args: &Schema) -> Exit {
    let schema = match args.of {
        SchemaOf::Manifest => quorate_engine::manifest::schema_of_manifest(),
        SchemaOf::Scenario => input::schema_of_scenario(),
        SchemaOf::Report => quorate_planning::report::schema(),
        SchemaOf::Dns => quorate_dns::config::schema_of_file(),
    };
    terminal::print(&format!("{schema:#}\n"));
    Exit::Fine
}

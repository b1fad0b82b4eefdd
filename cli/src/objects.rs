//! `quorate objects`: what a manifest means for a cluster, in Kubernetes' own words.

use crate::apply;
use crate::args::{Objects as Args, ObjectsOf};
use crate::exit::Exit;
use crate::terminal;
use quorate_cluster::objects;
use serde_json::{Value, json};

/// Prints objects, ready to be applied.
pub(crate) fn run(args: &Args) -> Exit {
    let manifest = match apply::manifest(&args.file, args.cluster.as_deref(), None) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let mut all = Vec::new();
    if args.only != Some(ObjectsOf::Workloads) {
        all.extend(objects::storage(&manifest));
    }
    if args.only != Some(ObjectsOf::Storage) {
        all.extend(objects::workloads(&manifest));
    }
    if all.is_empty() {
        terminal::eprint("the manifest has neither workloads nor storage of that kind\n");
    }
    terminal::print(&text(&all, args.json));
    Exit::Fine
}

fn text(all: &[Value], as_json: bool) -> String {
    if as_json {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": all});
        return format!("{list:#}\n");
    }
    let each = all.iter().map(|object| {
        let text = serde_saphyr::to_string(object).expect("plain data");
        format!("---\n{}\n", text.trim_end())
    });
    each.collect()
}

//! The whole state as one JSON document, out and in: for backups, for moving to another machine,
//! for a look at it with other tools.
//!
//! What comes in has to be what went out: the journal's checksum goes along. An import replaces
//! the state in one transaction or leaves it alone.

use super::error::StoreError;
use super::inventory::{Inventory, Pins};
use super::journal::Tip;
use super::runs::{RunRecord, TraceLine};
use super::{NAME, Store, create, schema};
use quorate_engine::journal::{Entry, Ledger};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a document calls itself.
const FORMAT: &str = "quorate.dev/state";

/// The whole state of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format: String,
    version: u32,
    /// Whose state it is.
    pub cluster: String,
    /// See [`Store::lineage`].
    pub lineage: String,
    /// See [`Store::serial`].
    pub serial: u64,
    /// The journal's last checksum.
    chain: String,
    /// The journal.
    pub journal: Vec<Entry>,
    /// Every run.
    pub runs: Vec<RunRecord>,
    /// What was last seen of each machine.
    pub inventory: Inventory,
    trace: Vec<TraceLine>,
}

impl Document {
    /// From its text.
    ///
    /// # Errors
    /// If it is not an export, was made by a newer version, or was changed since.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong = |what: String| StoreError::Document(what);
        let raw: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| wrong(format!("it is not JSON, or cut off: {error}")))?;
        if raw["format"] != FORMAT {
            let what = "it is not an export of Quorate's state (`quorate state export`)";
            return Err(wrong(what.to_owned()));
        }
        if raw["version"]
            .as_u64()
            .is_some_and(|v| v > u64::from(schema::VERSION))
        {
            let what = format!(
                "it has version {}, and this program knows {} and older: use a newer program",
                raw["version"],
                schema::VERSION
            );
            return Err(wrong(what));
        }
        let document: Self = serde_json::from_value(raw)
            .map_err(|error| wrong(format!("a part of it is not as exported: {error}")))?;
        if document.chain != format!("{:016x}", document.tip().chain) {
            let what = "its journal was changed after the export: the checksum does not match";
            return Err(wrong(what.to_owned()));
        }
        Ok(document)
    }

    /// As text, for [`Self::parse`].
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a document is plain data");
        text + "\n"
    }

    fn tip(&self) -> Tip {
        let text = |entry| serde_json::to_string(entry).expect("an entry is plain data");
        let first = Tip::first(&self.lineage);
        self.journal
            .iter()
            .fold(first, |tip, entry| tip.next(&text(entry)))
    }
}

impl Store {
    /// The whole state.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn export(&self) -> Result<Document, StoreError> {
        Ok(Document {
            format: FORMAT.to_owned(),
            version: schema::VERSION,
            cluster: self.cluster.clone(),
            lineage: self.lineage.clone(),
            serial: self.serial,
            chain: format!("{:016x}", self.chain()),
            journal: self.journal()?,
            runs: self.runs()?,
            inventory: self.inventory()?,
            trace: self.trace()?,
        })
    }

    /// Makes the state in a directory what the document says; the cluster is the document's.
    /// Without `force` only a later state of the same lineage goes in.
    ///
    /// # Errors
    /// If the document's journal cannot have come about, if it is not a later state of what is
    /// there, or as with [`Store::open`].
    pub fn import(
        dir: &Path,
        document: &Document,
        command: &str,
        force: bool,
    ) -> Result<Self, StoreError> {
        // A checksum that was made anew is no proof: what cannot be followed never goes in.
        Ledger::read(&document.journal)
            .map_err(|misfit| StoreError::Document(misfit.to_string()))?;
        let lock = Self::prepare(dir, command)?;
        let path = dir.join(NAME);
        let there = path
            .try_exists()
            .map_err(|e| StoreError::io(&path, "look for", e))?;
        if !there {
            let birth = schema::Birth::again(&document.cluster, &document.lineage);
            create(dir, &birth)?;
        }
        let mut store = Self::of_file(path, Some(lock))?;
        if store.cluster != document.cluster {
            return Err(StoreError::OtherCluster {
                path: store.path,
                found: store.cluster,
                wanted: document.cluster.clone(),
            });
        }
        if store.lineage != document.lineage && !force {
            return Err(StoreError::Lineage {
                path: store.path,
                ours: store.lineage,
                theirs: document.lineage.clone(),
            });
        }
        if there && document.serial <= store.serial && !force {
            if store.export()? == *document {
                return Ok(store);
            }
            return Err(StoreError::Older {
                path: store.path,
                ours: store.serial,
                theirs: document.serial,
            });
        }
        store.replace(document)?;
        Ok(store)
    }

    fn replace(&mut self, document: &Document) -> Result<(), StoreError> {
        // Serials never go back, so whoever knows the one before knows that it was overtaken.
        let serial = document.serial.max(self.serial + 1);
        self.write("import into", |writing| {
            for table in ["trace", "runs", "inventory", "journal"] {
                writing.run(&format!("DELETE FROM {table}"), [])?;
            }
            writing.lineage.clone_from(&document.lineage);
            writing.serial = serial;
            writing.tip = Tip::first(&document.lineage);
            writing.append(&document.journal)?;
            for run in &document.runs {
                writing.put_run(run)?;
            }
            for line in &document.trace {
                writing.put_line(line)?;
            }
            for (id, machine) in &document.inventory {
                writing.put_machine(id, machine)?;
            }
            Ok(())
        })?;
        self.pins = Pins::of(&document.inventory);
        Ok(())
    }
}

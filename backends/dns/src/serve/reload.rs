//! Follows the configuration file: what it says is served as soon as it says so.

use super::shared::Shared;
use super::{Event, Refused, lines};
use crate::config;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the file again when its content changes, and when it is asked to. `known` is its content
/// as it is served.
pub(super) async fn follow(path: PathBuf, mut known: Vec<u8>, shared: Arc<Shared>) {
    let mut unreadable = false;
    loop {
        let asked = tokio::select! {
            () = shared.ended() => return,
            () = shared.reload.notified() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(error) => {
                // Said once, and again whenever somebody asks.
                if asked || !unreadable {
                    let problem = format!("{} cannot be read: {error}", path.display());
                    shared.tell(&Event::Refused(Refused {
                        problems: vec![problem],
                    }));
                }
                unreadable = true;
                continue;
            }
        };
        unreadable = false;
        if text == known && !asked {
            continue;
        }
        match config::load(&text) {
            Ok((file, zones)) => shared.load(file, zones),
            Err(all) => {
                let problems = lines(&all);
                shared.tell(&Event::Refused(Refused { problems }));
            }
        }
        known = text;
    }
}

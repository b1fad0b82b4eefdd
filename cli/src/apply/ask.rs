//! The one question: go on or not.

use crate::terminal;
use quorate_engine::engine::Mode;
use std::io::{self, BufRead as _, IsTerminal as _};

/// Whether somebody says yes. Nobody there to ask is a no that says how to say yes.
pub(super) fn agreed(mode: Mode) -> bool {
    let question = if mode == Mode::Destroy {
        "All of this goes, and what is stored there with it. Go on?"
    } else {
        "Go on?"
    };
    asked(question).is_some_and(|line| means_yes(&line, mode))
}

/// Whether somebody says the whole word to what cannot be taken back.
pub(crate) fn insisted(question: &str) -> bool {
    asked(question).is_some_and(|line| means_yes(&line, Mode::Destroy))
}

fn asked(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() {
        terminal::eprint("There is nobody to ask: give `--yes` to go on without.\n");
        return None;
    }
    terminal::eprint(&format!("\n{question} [yes/no] "));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    Some(line)
}

/// What cannot be taken back takes the whole word.
fn means_yes(line: &str, mode: Mode) -> bool {
    match line.trim() {
        "yes" => true,
        "y" => mode != Mode::Destroy,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destruction_takes_the_whole_word() {
        for (line, apply, destroy) in [
            ("yes\n", true, true),
            ("y\n", true, false),
            ("", false, false),
            ("no\n", false, false),
            ("yes please", false, false),
        ] {
            assert_eq!(means_yes(line, Mode::Apply), apply, "{line:?}");
            assert_eq!(means_yes(line, Mode::Destroy), destroy, "{line:?}");
        }
    }
}

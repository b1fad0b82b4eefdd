//! Where text goes: a closed pipe ends the program quietly, colour is for terminals only.

use crate::exit::{CLOSED, UNWRITABLE};
use std::io::{self, IsTerminal as _, Write};
use std::process;

/// Prints to the standard output.
pub(crate) fn print(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// Prints to the standard error.
pub(crate) fn eprint(text: &str) {
    write(&mut io::stderr().lock(), text);
}

/// A reader that went away, as `head` does, has what it wanted: that is no failure of ours, and
/// nobody is left to tell.
fn write(out: &mut impl Write, text: &str) {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        process::exit(i32::from(if closed { CLOSED } else { UNWRITABLE }));
    }
}

/// Whether the standard output takes colour.
pub(crate) fn stdout_coloured() -> bool {
    coloured(io::stdout().is_terminal(), no_color())
}

/// Whether the standard error takes colour.
pub(crate) fn stderr_coloured() -> bool {
    coloured(io::stderr().is_terminal(), no_color())
}

/// Whether somebody watches the standard error.
pub(crate) fn watched() -> bool {
    io::stderr().is_terminal()
}

fn no_color() -> Option<std::ffi::OsString> {
    std::env::var_os("NO_COLOR")
}

/// By <https://no-color.org>: set and not empty means no colour.
fn coloured(terminal: bool, no_color: Option<std::ffi::OsString>) -> bool {
    terminal && no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_whose_user_does_not_mind() {
        assert!(coloured(true, None));
        assert!(coloured(true, Some("".into())));
        assert!(!coloured(true, Some("1".into())));
        assert!(!coloured(false, None));
    }
}

//! Exit codes: what a shell script may rely on.

use quorate_sim::outcome::Verdict;
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well; a plan has nothing to do.
    Fine,
    /// Errors in what was to be checked or planned, or an expectation that failed.
    Failed,
    /// A plan has changes.
    Changes,
    /// A scenario cannot be run, a run says nothing, or a report cannot be written.
    Invalid,
    /// Two runs of one seed differ.
    Nondeterministic,
    /// Stopped on request, or not agreed to: 128 + SIGINT.
    Stopped,
    /// The command line cannot be understood: `EX_USAGE` of sysexits.h, as 2 means changes here.
    Usage,
}

/// The table of the codes, for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0   all is well: nothing but warnings, no changes, every expectation held
  1   check, plan: errors in the input; chaos, drill, replay: an expectation failed;
      apply, destroy: something is undone or left; any command that cannot begin
  2   plan: there are changes; status: something differs
  3   chaos, drill, replay: a scenario cannot be run, a run says nothing (a fault was
      never injected), or a report cannot be written
  4   chaos, replay: two runs of one seed differ, which is a bug of quorate
  64  the command line cannot be understood
  130  stopped on request, or not agreed to
  74  the output cannot be written (141: its reader went away)";

/// The output cannot be written: `EX_IOERR` of sysexits.h.
pub(crate) const UNWRITABLE: u8 = 74;

/// What a shell sees of a program that SIGPIPE ended: 128 + 13.
pub(crate) const CLOSED: u8 = 141;

impl Exit {
    /// The code of a campaign's verdict.
    pub(crate) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass | Verdict::UnavailableByDesign | Verdict::Skipped => Self::Fine,
            Verdict::FailSlo | Verdict::FailLiveness | Verdict::FailSafety => Self::Failed,
            Verdict::Invalid => Self::Invalid,
            Verdict::Nondeterministic => Self::Nondeterministic,
        }
    }

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Invalid => 3,
            Self::Nondeterministic => 4,
            Self::Stopped => 130,
            Self::Usage => 64,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code() {
        let all = [
            Exit::Fine.code(),
            Exit::Failed.code(),
            Exit::Changes.code(),
            Exit::Invalid.code(),
            Exit::Nondeterministic.code(),
            Exit::Usage.code(),
            Exit::Stopped.code(),
            UNWRITABLE,
        ];
        let listed: Vec<u8> = TABLE
            .lines()
            .filter_map(|line| line.trim_start().split("  ").next()?.parse().ok())
            .collect();
        assert_eq!(listed, all);
        assert!(TABLE.contains(&CLOSED.to_string()));
    }

    #[test]
    fn only_verdicts_that_hold_are_fine() {
        let all = [
            (Verdict::Pass, 0),
            (Verdict::UnavailableByDesign, 0),
            (Verdict::Skipped, 0),
            (Verdict::FailSlo, 1),
            (Verdict::FailLiveness, 1),
            (Verdict::FailSafety, 1),
            (Verdict::Invalid, 3),
            (Verdict::Nondeterministic, 4),
        ];
        for (verdict, code) in all {
            assert_eq!(Exit::of(verdict).code(), code, "{verdict}");
            assert_eq!(code == 0, verdict.holds());
        }
    }
}

//! How a plan went, for the controller and for people.
//!
//! Does not judge whether that is good enough.

use crate::seam::{Fault, Reply};
use std::fmt;

/// How a plan went.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// Steps that succeeded.
    pub done: u32,
    /// Steps that failed for good: titles with their faults, in the order of failing.
    pub failed: Vec<(String, Fault)>,
    /// Steps that were not tried, because one before them failed or the run was cancelled.
    pub skipped: u32,
    /// Whether it was stopped on request.
    pub cancelled: bool,
    /// What the reading steps (list, probe, read, describe) were answered, by step index.
    pub replies: Vec<(u32, Reply)>,
}

impl Summary {
    /// Whether every step succeeded.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failed.is_empty() && self.skipped == 0
    }
}

/// `12 done, 1 failed, 3 skipped`, then a line for each failure.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done", self.done)?;
        if !self.failed.is_empty() {
            write!(f, ", {} failed", self.failed.len())?;
        }
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        if self.cancelled {
            f.write_str(", cancelled")?;
        }
        for (title, fault) in &self.failed {
            write!(f, "\n  {title}: {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::FaultClass;

    #[test]
    fn a_summary_reads_well() {
        let mut summary = Summary {
            done: 2,
            ..Summary::default()
        };
        assert_eq!(summary.to_string(), "2 done");
        assert!(summary.complete());
        summary.skipped = 1;
        summary.cancelled = true;
        let fault = Fault::new(FaultClass::Quota, "limit of 10 servers");
        summary.failed.push(("create shop/cp/3".to_owned(), fault));
        assert_eq!(
            summary.to_string(),
            "2 done, 1 failed, 1 skipped, cancelled\n  create shop/cp/3: quota: limit of 10 servers"
        );
        assert!(!summary.complete());
    }
}

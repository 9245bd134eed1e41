//! The wall clock. Nodes start a test at the same time even if their wall clocks differ, as they
//! measure the differences; but times in logs and results are wall clock times.

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};

pub(super) fn clock(facts: &Facts) -> Check {
    match (
        facts.timedatectl.as_deref().map(str::trim),
        facts.timesync_mark,
    ) {
        (Some("yes"), _) | (_, true) => {
            Check::new("clock", Finding::Pass, "synchronised by a time service")
        }
        (Some("no"), false) => Check::new(
            "clock",
            Finding::Warn,
            "not synchronised by a time service: times in logs and results differ between nodes",
        )
        .hint("timedatectl set-ntp true, or install chrony"),
        _ => Check::new(
            "clock",
            Finding::Skip,
            "unknown on this system (containers use the host's clock)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_source_is_enough() {
        let of = |timedatectl: Option<&str>, mark| {
            let facts = Facts {
                timedatectl: timedatectl.map(str::to_owned),
                timesync_mark: mark,
                ..Facts::default()
            };
            clock(&facts).finding
        };
        assert_eq!(of(Some("yes\n"), false), Finding::Pass);
        assert_eq!(of(None, true), Finding::Pass);
        assert_eq!(of(Some("no\n"), false), Finding::Warn);
        assert_eq!(of(None, false), Finding::Skip);
    }
}

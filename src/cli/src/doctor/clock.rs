//! The wall clock. Nodes measure their clocks against each other and start a test together
//! whatever those say; but the times in logs and results are the wall clock's.

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};

pub(super) fn clock(facts: &Facts) -> Check {
    match (
        facts.timedatectl.as_deref().map(str::trim),
        facts.timesync_mark,
    ) {
        (Some("yes"), _) | (_, true) => Check::new(
            "clock",
            Finding::Pass,
            "it is kept in step by a time service",
        ),
        (Some("no"), false) => Check::new(
            "clock",
            Finding::Warn,
            "no time service keeps it in step: times in logs and results differ between nodes",
        )
        .hint("timedatectl set-ntp true, or install chrony"),
        _ => Check::new(
            "clock",
            Finding::Skip,
            "this system does not tell (containers have the host's clock)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_sign_of_a_time_service_is_enough() {
        let of = |said: Option<&str>, mark| {
            let facts = Facts {
                timedatectl: said.map(str::to_owned),
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

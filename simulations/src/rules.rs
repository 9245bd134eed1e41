//! Rules checked one by one, on the state machines themselves, for the bugs that another rule
//! hides from every sweep. Each check holds without a bug and fails with its own.

use vajra_node::protocol::planted::{Bug, plant};

/// A rule's check: what it found wrong, if anything.
type Check = fn() -> Result<(), String>;

/// The bugs that need a check of their own.
const CHECKS: &[(Bug, Check)] = &[];

/// What the check of this bug's rule says with the bug planted; `None` if there is no check or
/// it found nothing.
pub fn broken_by(bug: Bug) -> Option<String> {
    let (_, check) = CHECKS.iter().find(|(b, _)| *b == bug)?;
    plant(Some(bug));
    let found = check();
    plant(None);
    found.err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_holds_without_a_bug_and_fails_with_its_own() {
        for (bug, check) in CHECKS {
            assert_eq!(check(), Ok(()), "{}", bug.key());
            assert!(broken_by(*bug).is_some(), "{}", bug.key());
        }
    }
}

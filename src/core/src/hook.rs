//! The hooks of a test: steps that one node runs once, for the whole swarm.

use std::fmt;

/// When a hook runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hook {
    /// Before the load.
    Setup,
    /// After the load.
    Teardown,
}

impl Hook {
    /// Iteration number that seeds its random values. No arrival of a test has this number.
    pub fn number(self) -> u64 {
        match self {
            Hook::Setup => u64::MAX,
            Hook::Teardown => u64::MAX - 1,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Setup => "setup",
            Hook::Teardown => "teardown",
        })
    }
}

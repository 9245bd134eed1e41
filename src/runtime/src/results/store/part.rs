//! The parts of a stored test.

/// A stored part of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The result.
    Result,
    /// The test over time.
    Timeline,
}

//! Where tests come from.

/// Where a test was started. Tests from other nodes are subject to the node's target policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOrigin {
    /// On this node.
    ThisNode,
    /// On another node.
    OtherNode,
}

impl TestOrigin {
    /// This node's, if the test is its own.
    pub fn of(own_test: bool) -> TestOrigin {
        match own_test {
            true => TestOrigin::ThisNode,
            false => TestOrigin::OtherNode,
        }
    }
}

//! The `vajra-node` binary.

fn main() {}

//! The `vajra-node` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    vajra_node::cli::main()
}

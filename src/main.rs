//! The `vajra-node` binary.

use std::process::ExitCode;

use vajra_cli::{BuildInfo, Product};

const _: () = assert!(
    !vajra_core::protocol::planted::ENABLED,
    "a node must not contain planted bugs: build it without the simulator (cargo build)"
);

const PRODUCT: Product = Product {
    build: BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("VAJRA_BUILT_FROM"),
        full: env!("VAJRA_BUILD"),
    },
    profiles: [
        ("lan", include_str!("../swarm-config/lan.toml")),
        ("wan", include_str!("../swarm-config/wan.toml")),
        ("private", include_str!("../swarm-config/private.toml")),
    ],
};

fn main() -> ExitCode {
    vajra_cli::main(&PRODUCT)
}

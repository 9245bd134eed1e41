//! Compiles `proto/` in pure Rust. The pure core has no wire format, so without the feature
//! `node` there is nothing to do.

use std::error::Error;

const FILES: [&str; 2] = ["proto/worker_service.proto", "proto/vajra.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    if std::env::var_os("CARGO_FEATURE_NODE").is_none() {
        return Ok(());
    }
    let files = protox::compile(FILES, ["proto"])?;
    prost_build::Config::new()
        // Maps in order, so that equal messages are equal bytes.
        .btree_map(["."])
        // The comments of the .proto files are not written as Rust documentation.
        .disable_comments(["."])
        .compile_fds(files)?;
    Ok(())
}

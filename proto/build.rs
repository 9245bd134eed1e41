//! Compiles the `.proto` files in pure Rust; no system `protoc` is needed.

use std::error::Error;

const FILES: [&str; 2] = ["worker_service.proto", "vajra.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let files = protox::compile(FILES, ["."])?;
    prost_build::Config::new()
        // Ordered maps, so that equal messages have equal bytes.
        .btree_map(["."])
        // The comments of the .proto files are not Rust documentation.
        .disable_comments(["."])
        .compile_fds(files)?;
    Ok(())
}

//! Compresses the chart library, so that the binary embeds a third of its size and browsers can
//! be sent it as it is.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Apache ECharts 5.5.1 with its licence: `dist/echarts.min.js` of the npm package `echarts`.
const ECHARTS: &str = "vendor/echarts/echarts.min.js";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ECHARTS}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut packed = GzEncoder::new(
        File::create(out.join("echarts.js.gz"))?,
        Compression::best(),
    );
    packed.write_all(&fs::read(ECHARTS)?)?;
    packed.finish()?;
    Ok(())
}

//! Compiles `proto/` in pure Rust, packs the chart library that reports and the dashboard draw
//! with, and tells the crate which commit it is built from. The pure core has neither messages
//! nor charts, so without the feature `node` nothing that makes them is built.

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-env-changed=VAJRA_COMMIT");
    let commit = commit();
    let version = std::env::var("CARGO_PKG_VERSION")?;
    let shown = match &commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=VAJRA_BUILD={shown}");
    if let Some(commit) = commit {
        println!("cargo::rustc-env=VAJRA_BUILT_FROM={commit}");
    }
    #[cfg(feature = "node")]
    {
        node::messages()?;
        node::charts()?;
    }
    Ok(())
}

/// What only nodes need, with what it takes to make it.
#[cfg(feature = "node")]
mod node {
    use std::error::Error;
    use std::ffi::OsString;
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    const FILES: [&str; 2] = ["proto/worker_service.proto", "proto/vajra.proto"];

    /// The crate whose package brings Apache ECharts along, and where in it.
    const ECHARTS_CRATE: &str = "charming";
    const ECHARTS_FILE: &str = "src/asset/echarts-5.5.1.min.js";

    pub fn messages() -> Result<(), Box<dyn Error>> {
        let files = protox::compile(FILES, ["proto"])?;
        prost_build::Config::new()
            // Maps in order, so that equal messages are equal bytes.
            .btree_map(["."])
            // The comments of the .proto files are not written as Rust documentation.
            .disable_comments(["."])
            .compile_fds(files)?;
        Ok(())
    }

    /// Packs the chart library into `OUT_DIR`: the binary carries a third of its size, and a
    /// browser can have it as it is.
    pub fn charts() -> Result<(), Box<dyn Error>> {
        let file = crate_dir(ECHARTS_CRATE)?.join(ECHARTS_FILE);
        println!("cargo::rerun-if-changed={}", file.display());
        let script = fs::read(&file).map_err(|e| {
            format!(
                "{ECHARTS_CRATE} has no {ECHARTS_FILE} ({e}): another version of it was taken; \
                 Cargo.toml asks for the one that has"
            )
        })?;
        let packed = Path::new(&variable("OUT_DIR")?).join("echarts.js.gz");
        let mut out = GzEncoder::new(File::create(packed)?, Compression::best());
        std::io::Write::write_all(&mut out, &script)?;
        out.finish()?;
        Ok(())
    }

    /// Where a dependency's package lies, as cargo says: in the registry's cache, or vendored.
    fn crate_dir(name: &str) -> Result<PathBuf, Box<dyn Error>> {
        // What the build itself needed is there already. What only tests need may not be, and
        // cargo asks for it, too: then the network is used, as the build just did.
        let metadata = match metadata("--frozen") {
            Ok(metadata) => metadata,
            Err(_) => metadata("--locked")?,
        };
        let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let manifest = packages
            .filter(|p| p["name"] == name)
            .find_map(|p| p["manifest_path"].as_str())
            .ok_or_else(|| format!("cargo metadata knows no package {name}"))?;
        let dir = Path::new(manifest).parent();
        Ok(dir.unwrap_or(Path::new("/")).to_owned())
    }

    fn metadata(how: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let manifest = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
        let asked = Command::new(variable("CARGO")?)
            .args(["metadata", "--format-version=1", how])
            // Packages of other platforms need not be here.
            .arg("--filter-platform")
            .arg(variable("HOST")?)
            .arg("--manifest-path")
            .arg(manifest)
            .output()?;
        match asked.status.success() {
            true => Ok(asked.stdout),
            false => Err(format!(
                "cargo metadata {how} failed: {}",
                String::from_utf8_lossy(&asked.stderr)
            )
            .into()),
        }
    }

    fn variable(name: &str) -> Result<OsString, Box<dyn Error>> {
        std::env::var_os(name).ok_or_else(|| format!("{name} is not set; cargo sets it").into())
    }
}

/// The commit: from `VAJRA_COMMIT`, for builds from a source archive, else from the repository
/// that this directory is the top of. Nothing if there is neither, or no git.
fn commit() -> Option<String> {
    if let Ok(given) = std::env::var("VAJRA_COMMIT") {
        let plain = given.len() <= 40 && given.bytes().all(|b| b.is_ascii_alphanumeric());
        return Some(given).filter(|_| plain);
    }
    // Unpacked inside somebody else's repository, this is not built from their commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::var_os("CARGO_MANIFEST_DIR")?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // HEAD changes with the branch, the file of the branch with each commit, packed-refs when
    // git tidies up. In a work tree these are not below `.git`, so git is asked where.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        // A file that is not there would have the script run at every build.
        if let Some(path) = path.filter(|p| Path::new(p).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|t| out.status.success() && !t.is_empty())
}

//! Records the commit that the binary is built from.

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
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
    Ok(())
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

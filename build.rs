//! Sets the version text and the commit of the build.

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=VAJRA_COMMIT");
    let commit = commit();
    let version = std::env::var("CARGO_PKG_VERSION")?;
    let full = match &commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=VAJRA_BUILD={full}");
    if let Some(commit) = commit {
        println!("cargo::rustc-env=VAJRA_BUILT_FROM={commit}");
    }
    Ok(())
}

/// The commit from `VAJRA_COMMIT`, for builds from a source archive, else from the git repository of
/// this directory. `None` without either.
fn commit() -> Option<String> {
    if let Ok(commit) = std::env::var("VAJRA_COMMIT") {
        let valid = commit.len() <= 40 && commit.bytes().all(|b| b.is_ascii_alphanumeric());
        return Some(commit).filter(|_| valid);
    }
    // A source archive unpacked inside another repository is not of that repository's commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::var_os("CARGO_MANIFEST_DIR")?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // HEAD changes with the branch, the file of the branch with each commit, packed-refs with
    // `git gc`. In a linked worktree they are not below `.git`, so their paths come from git.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        // Cargo would run the script at every build if a file did not exist.
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

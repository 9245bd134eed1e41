//! Invalid plans in `broken_plans/`, and the output of `validate` for each: the problem, the marked
//! line, and hints.
//!
//! The expectation for `NAME.toml` or `NAME.json` is `NAME.stderr`. To rewrite the expectations:
//! `SNAPSHOTS=overwrite cargo test --test command_line broken_plans`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::{Assert, Data};

use crate::common::{VAJRA, finish};

/// Lower bound for the number of plans, so that none is lost by mistake.
const MIN_CASES: usize = 33;

#[test]
fn every_invalid_plan_is_reported_with_its_position() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command_line/broken_plans");
    let files = |extensions: &[&str]| -> BTreeSet<PathBuf> {
        let files = std::fs::read_dir(&directory).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter(|p| extensions.iter().any(|e| p.extension().unwrap() == *e))
            .collect()
    };
    let plans = files(&["toml", "json"]);
    assert!(plans.len() >= MIN_CASES, "{} plans", plans.len());
    for plan in &plans {
        let name = plan.file_name().unwrap().to_str().unwrap();
        let mut command = Command::new(VAJRA);
        let out = finish(command.args(["validate", name]).current_dir(&directory));
        let expected = Data::read_from(&plan.with_extension("stderr"), None).raw();
        Assert::new()
            .action_env("SNAPSHOTS")
            .eq(out.stderr, expected);
        assert_eq!((out.code, out.stdout.as_str()), (104, ""), "{name}");
    }
    let expectations: BTreeSet<PathBuf> =
        plans.iter().map(|p| p.with_extension("stderr")).collect();
    assert_eq!(files(&["stderr"]), expectations);
}

#[test]
fn the_schema_and_the_reference_are_printed() {
    let out = crate::common::vajra(&["schema"]);
    assert_eq!(out.code, 0, "{}", out.stderr);
    let schema = out.json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["properties"]["load"]["$ref"], "#/$defs/Load");
    let out = crate::common::vajra(&["schema", "--markdown"]);
    assert_eq!(
        out.stdout.trim_end(),
        include_str!("../../docs/plan-reference.md").trim_end()
    );
}

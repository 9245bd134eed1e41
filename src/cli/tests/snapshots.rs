//! Snapshots of the help of all commands and of common errors.
//!
//! `SNAPSHOTS=overwrite cargo test -p vajra-cli --test snapshots` writes them anew.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use snapbox::{Assert, Data};
use vajra_cli::{BuildInfo, Product, args, run_from};

const PRODUCT: Product = Product {
    build: BuildInfo {
        version: "0.0.0",
        commit: None,
        full: "0.0.0",
    },
    profiles: [
        ("lan", include_str!("../../../swarm-config/lan.toml")),
        ("wan", include_str!("../../../swarm-config/wan.toml")),
        (
            "private",
            include_str!("../../../swarm-config/private.toml"),
        ),
    ],
};

#[track_caller]
fn assert_snapshot(path: &str, actual: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let expected = Data::read_from(&directory.join(path), None).raw();
    Assert::new()
        .action_env("SNAPSHOTS")
        .eq(actual.to_owned(), expected);
}

/// Lines without trailing spaces, which clap leaves in front of line breaks.
fn trimmed(text: &str) -> String {
    text.lines()
        .map(|l| format!("{}\n", l.trim_end()))
        .collect()
}

#[test]
fn help() {
    let mut command = args::command(&PRODUCT).term_width(100);
    command.build();
    let text = command.render_long_help().to_string();
    assert_snapshot("help/vajra-node.txt", &trimmed(&text));
    for command in command.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        if name != "help" {
            let text = command.render_long_help().to_string();
            assert_snapshot(&format!("help/{name}.txt"), &trimmed(&text));
        }
    }
}

#[test]
fn errors() {
    const URL: &str = "http://127.0.0.1:8080/";
    let cases: [(&str, &[&str]); 17] = [
        ("plan_path", &["start-test", "no-such-plan.toml"]),
        ("url", &["start-test", "http:///index.html"]),
        ("scheme", &["start-test", "ws://127.0.0.1:8080/"]),
        (
            "rate_and_users",
            &["start-test", URL, "--rate", "5", "--users", "5"],
        ),
        // No service uses port 1.
        (
            "detach_without_node",
            &["start-test", URL, "--detach", "--api", "127.0.0.1:1"],
        ),
        (
            "threshold",
            &["start-test", URL, "--threshold", "response_tme.p99 < 250ms"],
        ),
        ("duration", &["start-test", URL, "--duration", "soon"]),
        ("unknown_option", &["start-test", URL, "--durration", "5s"]),
        ("api_without_token", &["--api", "0.0.0.0:7401"]),
        ("config", &["--config", "no-such-config.toml"]),
        (
            "baseline_path",
            &["start-test", URL, "--baseline", "no-such-result.json"],
        ),
        ("report_path", &["report", "no-such-result.json"]),
        // A load that no plan can have is refused before the node is contacted.
        ("scale_without_load", &["scale", "latest"]),
        ("scale_rate_zero", &["scale", "latest", "--rate", "0"]),
        ("scale_rate_negative", &["scale", "latest", "--rate", "-5"]),
        ("scale_rate_too_high", &["scale", "latest", "--rate", "2m"]),
        ("scale_users_zero", &["scale", "latest", "--users", "0"]),
    ];
    for (name, line) in cases {
        let line = [&["vajra-node"], line].concat();
        let error = run_from(line.iter().copied(), &PRODUCT).unwrap_err();
        let text = format!(
            "$ {}\n{}\nexit code {}\n",
            line.join(" "),
            error.to_string().trim_end(),
            error.exit_code()
        );
        assert_snapshot(&format!("errors/{name}.txt"), &trimmed(&text));
    }
}

//! The API's OpenAPI document, checked by a validator, and by a fuzzer that looks for responses
//! that the document does not describe. Needs `openapi-spec-validator` and `schemathesis` from
//! PyPI; without them, these tests are reported as ignored.

use std::process::Command;

use crate::common::{Node, VAJRA, finish, get, require};

fn runs(name: &str) -> bool {
    let command = Command::new(name).arg("--version").output();
    command.is_ok_and(|out| out.status.success())
}

#[test]
fn the_api_description_is_valid_openapi() {
    let there = runs("openapi-spec-validator");
    if !require("openapi-spec-validator, from PyPI", there) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), "n0", &[]);
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, get(&node.api, "/api/v1/openapi.json")).unwrap();
    let out = finish(Command::new("openapi-spec-validator").arg(&file));
    assert_eq!(out.code, 0, "{}{}", out.stdout, out.stderr);
}

/// A generated request may be a plan against any address, so node and fuzzer run in a network
/// namespace without a route to the outside.
const ISOLATED_RUN: &str = r#"
set -eu
ip link set lo up
"$VAJRA" --no-mdns --listen /ip4/127.0.0.1/tcp/0 --api 127.0.0.1:7950 --data-dir data \
    --name fuzzed >out 2>log &
node=$!
"$VAJRA" target --listen 127.0.0.1:7951 >/dev/null &
target=$!
trap 'kill $node $target' EXIT
for _ in $(seq 100); do grep -q '^api ' out && break; sleep 0.1; done
# Creates a test, so that requests for the id `latest` find one.
"$VAJRA" start-test --api 127.0.0.1:7950 --rate 10 --duration 1s http://127.0.0.1:7951/ >/dev/null
schemathesis run http://127.0.0.1:7950/api/v1/openapi.json --url http://127.0.0.1:7950 \
    --checks "$CHECKS" --phases coverage,fuzzing --max-examples "$EXAMPLES" \
    --exclude-path-regex '^/api/v1/(events|tests/\{id\}/events)$' --seed 7 --request-timeout 15 --warnings off --no-color
kill -0 $node
if grep -E 'panicked|ERROR' log; then exit 9; fi
"#;

#[test]
fn fuzzed_requests_get_only_documented_responses() {
    let isolated = Command::new("unshare")
        .args(["-rn", "ip", "link", "set", "lo", "up"])
        .output()
        .is_ok_and(|out| out.status.success());
    let there = runs("schemathesis") && isolated;
    if !require("schemathesis, from PyPI, and network namespaces", there) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let examples = std::env::var("VAJRA_FUZZ_EXAMPLES");
    let out = finish(
        Command::new("unshare")
            .args(["-rn", "sh", "-c", ISOLATED_RUN])
            .current_dir(dir.path())
            .env("VAJRA", VAJRA)
            .env("EXAMPLES", examples.unwrap_or("10".into()))
            // Not `unsupported_method`: a body of the wrong media type is refused before path and
            // method are checked, so that web pages cannot probe for endpoints.
            .env(
                "CHECKS",
                "not_a_server_error,status_code_conformance,content_type_conformance,\
                 response_headers_conformance,response_schema_conformance,\
                 allow_header_conformance",
            ),
    );
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert_eq!(out.code, 0, "{}{}\n{log}", out.stdout, out.stderr);
}

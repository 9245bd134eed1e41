//! Invalid plans, and the output of `validate`: the problem, the marked line, and hints.

use std::process::Command;

use crate::common::{VAJRA, finish};

/// Name of the case, the plan's file and text, and the expected output.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "an unknown key",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duraton = "1s"
"#,
        r#"error: unknown key `duraton`
 --> a.toml:7:1
  |
7 | duraton = "1s"
  | ^^^^^^^
  |
  = did you mean `duration`?
  = allowed here: `model`, `rate`, `users`, `think_time`, `duration`, `warm_up`, `ramp_up`, `requests`, `connections`, `max_in_flight`, `max_lateness`, `pacing`, `arrivals`, `stages`
"#,
    ),
    (
        "a key in the wrong section",
        "a.toml",
        r#"rate = 5
[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duration = "1s"
"#,
        r#"error: unknown key `rate`
 --> a.toml:1:1
  |
1 | rate = 5
  | ^^^^
  |
  = `rate` belongs in [load]
  = allowed here: `name`, `tags`, `task`, `http`, `scenario`, `data`, `vars`, `setup`, `teardown`, `load`, `thresholds`, `swarm`, `limits`, `local`
"#,
    ),
    (
        "a key that only the canonical form has",
        "a.toml",
        r#"[task]
type = "HTTP"
url = "http://10.0.0.1/"
scenarios = []

[load]
rate = 5
duration = "1s"
"#,
        r#"error: unknown key `scenarios`
 --> a.toml:4:1
  |
4 | scenarios = []
  | ^^^^^^^^^
  |
  = allowed here: `type`, `url`, `version`, `streams`, `method`, `headers`, `body`, `body_size`, `timeout`, `insecure`, `tls`, `disable_keepalive`, `addresses`, `dns_refresh`, `ms`
"#,
    ),
    (
        "a missing key",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: the key `url` is missing
  --> a.toml:14:1
   |
14 | [[scenario.step]]
   | ^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "a number without a unit",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duration = 30
"#,
        r#"error: load.duration: 30 has no unit: write a duration such as "5ms", "30s" or "1m30s"
 --> a.toml:7:12
  |
7 | duration = 30
  |            ^^
"#,
    ),
    (
        "an unknown unit",
        "a.toml",
        r#"[task]
type = "HTTP"
url = "http://10.0.0.1/"
timeout = "30sek"

[load]
rate = 5
duration = "1s"
"#,
        r#"error: task.timeout: "30sek" is not a duration: "sek" is not a unit of time; available: ns, us, ms, s, m, h and days
 --> a.toml:4:11
  |
4 | timeout = "30sek"
  |           ^^^^^^^
"#,
    ),
    (
        "an unknown enum value",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duration = "1s"

[swarm]
on_lost_worker = "reasign"
"#,
        r#"error: swarm.on_lost_worker: "reasign" is not known here
  --> a.toml:10:18
   |
10 | on_lost_worker = "reasign"
   |                  ^^^^^^^^^
   |
   = did you mean `reassign`?
   = allowed here: `reassign`, `hold`, `fail`
"#,
    ),
    (
        "a value of the wrong type",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duration = "1s"

[swarm]
min_workers = "two"
"#,
        r#"error: swarm.min_workers: "two" is not allowed; it must be a whole number
  --> a.toml:10:15
   |
10 | min_workers = "two"
   |               ^^^^^
"#,
    ),
    (
        "a value out of range",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
rate = 0
duration = "1s"
"#,
        r#"error: load.rate: 0 is not allowed; it must be between 0.001 and 1000000 per second
 --> a.toml:6:8
  |
6 | rate = 0
  |        ^
"#,
    ),
    (
        "a value out of range in [http]",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"
timeout = "2h"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: http.timeout: 2h is not allowed; it must be between 1ms and 1h
 --> a.toml:3:11
  |
3 | timeout = "2h"
  |           ^^^^
"#,
    ),
    (
        "a misplaced stage",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
model = "open"
stages = [
  { type = "ramp", target = 50, length = "1m" },
  { type = "warm-up", target = 5, length = "1m" },
]
"#,
        r#"error: load.stages: number 2 (warm-up): a warm-up can only be the first
 --> a.toml:9:12
  |
9 |   { type = "warm-up", target = 5, length = "1m" },
  |            ^^^^^^^^^
"#,
    ),
    (
        "a stage with a missing key",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1

[load]
model = "open"
[[load.stages]]
type = "ramp"
target = 50
length = "1m"
[[load.stages]]
type = "step"
target = 100
length = "1m"
"#,
        r#"error: load.stages: number 2 (step) needs a number of steps: steps = 4
  --> a.toml:11:1
   |
11 | [[load.stages]]
   | ^^^^^^^^^^^^^^^
"#,
    ),
    (
        "an unknown variable in the second step with that name",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer {{ token }}" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "look", step "log in": {{ token }} is not known here; available: iteration, scenario, user, env.NAME
  --> a.toml:17:37
   |
17 | headers = { authorization = "Bearer {{ token }}" }
   |                                     ^^^^^^^^^^^
"#,
    ),
    (
        "a mistyped variable",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario.step]]
url = "/cart"
json = { for = "me", by = "{{ tokn }}" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "buy", step "step 2": {{ tokn }} is not known here; available: iteration, scenario, token, user, env.NAME (did you mean {{ token }}?)
  --> a.toml:14:28
   |
14 | json = { for = "me", by = "{{ tokn }}" }
   |                            ^^^^^^^^^^
"#,
    ),
    (
        "two steps with the same name",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "buy", step "log in": has the same name as another one
  --> a.toml:13:8
   |
13 | name = "log in"
   |        ^^^^^^^^
"#,
    ),
    (
        "a threshold on an unknown step",
        "a.toml",
        r#"thresholds = [
  "rate > 3/s",
  "response_time.p99[buy/login] < 1s",
]
[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: thresholds: "response_time.p99[buy/login] < 1s" refers to [buy/login], which is not a scenario, step or label of the plan (did you mean [buy/log in]?); available: scenarios buy, look; steps buy/log in, look/log in; labels label:api
 --> a.toml:3:3
  |
3 |   "response_time.p99[buy/login] < 1s",
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "a threshold on an unknown label",
        "a.toml",
        r#"thresholds = [{ is = "error_rate[label:web] < 1%", abort = true }]
[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: thresholds: "error_rate[label:web] < 1%" refers to [label:web], which is not a scenario, step or label of the plan (did you mean [label:api]?); available: scenarios buy, look; steps buy/log in, look/log in; labels label:api
 --> a.toml:1:15
  |
1 | thresholds = [{ is = "error_rate[label:web] < 1%", abort = true }]
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "an unknown metric",
        "a.toml",
        r#"thresholds = ["latency.p99 < 1s"]
[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: thresholds: "latency.p99" is not a metric; available: response_time, service_time or lag with .p50 .p75 .p90 .p95 .p99 .p99.9 .max or .mean; error_rate; dropped; checks; rate
 --> a.toml:1:15
  |
1 | thresholds = ["latency.p99 < 1s"]
  |               ^^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "a malformed check",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
check = ["status == 200", "status == ok"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario.step.check: the check "status == ok": "ok" is not a status code
  --> a.toml:10:27
   |
10 | check = ["status == 200", "status == ok"]
   |                           ^^^^^^^^^^^^^^
"#,
    ),
    (
        "a malformed extraction",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario.step.extract.token: "token" is not an extraction; write a JSONPath such as $.token, "regex PATTERN", "header NAME", "status" or "body"
  --> a.toml:10:21
   |
10 | extract = { token = "token" }
   |                     ^^^^^^^
"#,
    ),
    (
        "an invalid label",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api", "api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "buy", step "log in": has the label "api" twice
 --> a.toml:9:10
  |
9 | labels = ["api", "api"]
  |          ^^^^^^^^^^^^^^
"#,
    ),
    (
        "a header that the engine sets",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { host = "shop", Content-Length = "5" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "look", step "log in": headers: "Content-Length" is set by the engine itself
  --> a.toml:17:45
   |
17 | headers = { host = "shop", Content-Length = "5" }
   |                                             ^^^
"#,
    ),
    (
        "a literal private key",
        "a.toml",
        r#"[task]
type = "HTTP"
url = "https://10.0.0.1/"
tls = { client_cert = "file:a.pem", client_key = "MIIB" }

[load]
rate = 5
duration = "1s"
"#,
        r#"error: task.tls.client_key: must be a reference, env:NAME or file:PATH: private keys are not sent with a plan
 --> a.toml:4:50
  |
4 | tls = { client_cert = "file:a.pem", client_key = "MIIB" }
  |                                                  ^^^^^^
"#,
    ),
    (
        "a missing data file",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[data.users]
file = "users.csv"

[load]
rate = 5
duration = "1s"
"#,
        r#"error: data.users: users.csv: No such file or directory (os error 2)
  --> a.toml:19:1
   |
19 | [data.users]
   | ^^^^^^^^^^^^
"#,
    ),
    (
        "a task and scenarios",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "buy"
[[scenario.step]]
name = "log in"
url = "/login"
labels = ["api"]
extract = { token = "$.token" }

[[scenario]]
name = "look"
[[scenario.step]]
name = "log in"
url = "/items"
headers = { authorization = "Bearer x" }

[task]
type = "SLEEP"
ms = 1

[load]
rate = 5
duration = "1s"
"#,
        r#"error: task: and scenarios exclude each other; make the task a step of a scenario
  --> a.toml:19:1
   |
19 | [task]
   | ^^^^^^
"#,
    ),
    (
        "no load",
        "a.toml",
        r#"[task]
type = "SLEEP"
ms = 1
"#,
        r#"error: the key `load` is missing
 --> a.toml
"#,
    ),
    (
        "a URL with an unsupported scheme",
        "a.toml",
        r#"[task]
type = "HTTP"
url = "ws://10.0.0.1/"

[load]
rate = 5
duration = "1s"
"#,
        r#"error: task.url: ws:// is not supported; supported schemes are http:// and https://
 --> a.toml:3:7
  |
3 | url = "ws://10.0.0.1/"
  |       ^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "a step with an unsupported scheme",
        "a.toml",
        r#"[http]
base_url = "http://10.0.0.1/"

[[scenario]]
name = "chat"
[[scenario.step]]
name = "join"
url = "grpc://10.0.0.1/join"

[load]
rate = 5
duration = "1s"
"#,
        r#"error: scenario "chat", step "join": grpc:// is not supported; supported schemes are http:// and https://
 --> a.toml:8:7
  |
8 | url = "grpc://10.0.0.1/join"
  |       ^^^^^^^^^^^^^^^^^^^^^^
"#,
    ),
    (
        "invalid TOML",
        "a.toml",
        r#"[task]
type = "SLEEP
ms = 1
"#,
        r#"error: invalid basic string, expected `"`
 --> a.toml:2:14
  |
2 | type = "SLEEP
  |              ^
"#,
    ),
    (
        "an unknown key in JSON",
        "a.json",
        r#"{
  "task": { "type": "SLEEP", "ms": 1 },
  "load": { "rat": 5, "duration": "1s" }
}
"#,
        r#"error: unknown key `rat`
 --> a.json:3:13
  |
3 |   "load": { "rat": 5, "duration": "1s" }
  |             ^^^^^
  |
  = did you mean `rate`?
  = allowed here: `model`, `rate`, `users`, `think_time`, `duration`, `warm_up`, `ramp_up`, `requests`, `connections`, `max_in_flight`, `max_lateness`, `pacing`, `arrivals`, `stages`
"#,
    ),
    (
        "a value out of range in JSON",
        "a.json",
        r#"{
  "task": { "type": "SLEEP", "ms": 1 },
  "load": { "rate": 5, "duration": "1s",
            "max_lateness": "1m" }
}
"#,
        r#"error: load.max_lateness: 1m is not allowed; it must be between 1ms and 10s
 --> a.json:4:29
  |
4 |             "max_lateness": "1m" }
  |                             ^^^^
"#,
    ),
    (
        "a value of the wrong type in JSON",
        "a.json",
        r#"{
  "task": { "type": "SLEEP", "ms": "long" },
  "load": { "rate": 5, "duration": "1s" }
}
"#,
        r#"error: task.ms: "long" is not allowed; it must be a whole number
 --> a.json:2:36
  |
2 |   "task": { "type": "SLEEP", "ms": "long" },
  |                                    ^^^^^^
"#,
    ),
    (
        "invalid JSON",
        "a.json",
        r#"{
  "task": { "type": "SLEEP", "ms": 1 },
  "load": { "rate": 5, }
}
"#,
        r#"error: trailing comma
 --> a.json:3:24
  |
3 |   "load": { "rate": 5, }
  |                        ^
"#,
    ),
];

#[test]
fn every_invalid_plan_is_reported_with_its_position() {
    let dir = tempfile::tempdir().unwrap();
    for (what, name, text, expected) in CASES {
        std::fs::write(dir.path().join(name), text).unwrap();
        let mut command = Command::new(VAJRA);
        let out = finish(command.args(["validate", name]).current_dir(dir.path()));
        assert_eq!(out.stderr, *expected, "{what}:\n{}", out.stderr);
        assert_eq!((out.code, out.stdout.as_str()), (104, ""), "{what}");
    }
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

#![allow(clippy::unwrap_used)]
//! The schema agrees with the parser.

mod keys;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::tables::{Table, tables};
use super::*;
use crate::units::{Bytes, Count, Time};
use crate::{
    Check, Extract, FileError, PlanFile, ThinkTime, Threshold, parse_duration, parse_plan,
    show_duration,
};

fn parsed(plan: &Value) -> Result<PlanFile, String> {
    let read = |file: &str| match file {
        "rows.csv" => Ok("name\nann\n".to_owned()),
        other => Err(FileError(format!("no file {other}"))),
    };
    parse_plan(&plan.to_string(), true, &read).map_err(|e| e.to_string())
}

/// Plans that together have every table.
fn bases() -> [Value; 3] {
    [
        json!({
            "task": {"type": "HTTP", "url": "https://h/", "version": "2", "tls": {}},
            "load": {"rate": 10, "duration": "1h"},
            "thresholds": [{"is": "error_rate < 1%"}],
            "swarm": {}, "limits": {}, "local": {"target": {}},
        }),
        json!({
            "http": {"base_url": "https://h/", "version": "2", "tls": {}},
            "data": {"NAME": {"file": "rows.csv"}},
            "scenario": [{"name": "a", "step": [{"name": "b", "url": "/"}]}],
            "load": {"users": 10, "duration": "1h"},
        }),
        json!({
            "task": {"type": "SLEEP", "ms": 1},
            "load": {"model": "open", "stages": [
                {"type": "step", "steps": 1, "target": 1, "length": "1s"}
            ]},
        }),
    ]
}

fn table<'a>(plan: &'a mut Value, path: &[String]) -> Option<&'a mut Map<String, Value>> {
    let mut at = plan;
    for key in path {
        at = at.get_mut(key)?;
        if at.is_array() {
            at = at.get_mut(0)?;
        }
    }
    at.as_object_mut()
}

/// Results of parsing every base plan that has the table, with this value of the key.
fn parsed_with(of: &Table<'_>, key: &str, value: &Value) -> Vec<Result<PlanFile, String>> {
    let mut bases = bases();
    let with = bases.iter_mut().filter_map(|plan| {
        table(plan, &of.path)?.insert(key.to_owned(), value.clone());
        Some(parsed(plan))
    });
    let all: Vec<_> = with.collect();
    assert!(!all.is_empty(), "no base plan has {}", of.written());
    all
}

#[test]
fn the_base_plans_are_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for plan in bases() {
        parsed(&plan).unwrap();
        assert!(validator.is_valid(&plan), "{plan}");
    }
}

#[test]
fn defaults_of_the_schema_are_those_of_the_parser() {
    let schema = schema();
    let mut seen = 0;
    for of in tables(&schema) {
        for key in &of.keys {
            let Some(default) = key.schema.get("default") else {
                continue;
            };
            let same = bases().into_iter().any(|mut plan| {
                let Some(there) = table(&mut plan, &of.path) else {
                    return false;
                };
                there.shift_remove(key.name);
                let without = parsed(&plan);
                let there = table(&mut plan, &of.path).unwrap();
                there.insert(key.name.to_owned(), default.clone());
                without.is_ok() && without == parsed(&plan)
            });
            assert!(same, "{} {} = {default}", of.written(), key.name);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn ranges_of_the_schema_are_those_of_the_parser() {
    let schema = schema();
    let mut seen = 0;
    for of in tables(&schema) {
        for key in &of.keys {
            let (inside, outside) = edges(key.schema);
            for value in &outside {
                for result in parsed_with(&of, key.name, value) {
                    assert!(result.is_err(), "{} {} = {value}", of.written(), key.name);
                }
            }
            for value in &inside {
                let results = parsed_with(&of, key.name, value);
                let accepted = results.iter().any(Result::is_ok);
                assert!(
                    accepted,
                    "{} {} = {value}: {results:?}",
                    of.written(),
                    key.name
                );
            }
            seen += usize::from(!outside.is_empty());
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The largest values within a schema's range, and the nearest ones outside.
fn edges(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    if let Some(range) = schema["x-range"].as_str() {
        match range.split_once(" to ") {
            Some((least, most)) => {
                let (least, most) = (
                    parse_duration(least).unwrap(),
                    parse_duration(most).unwrap(),
                );
                let more = most + Duration::from_millis(1);
                inside.push(show_duration(most).into());
                outside.push(show_duration(more).into());
                if let Some(less) = least.checked_sub(Duration::from_nanos(1)) {
                    outside.push(show_duration(less).into());
                }
            }
            None => {
                assert_eq!(range, "above 0s");
                outside.push("0s".into());
            }
        }
    }
    if let Some(most) = schema.get("maximum") {
        inside.push(most.clone());
        outside.push(json!(most.as_f64().unwrap() + 1.0));
    }
    if let Some(least) = schema["minimum"].as_f64() {
        outside.push(json!((least - 1.0).ceil() as i64));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        inside.push("x".repeat(most as usize).into());
        outside.push("x".repeat(most as usize + 1).into());
        outside.push("".into());
    }
    (inside, outside)
}

#[test]
fn schema_and_parser_accept_the_same_texts() {
    fn check<'a, T: schemars::JsonSchema>(
        reads: impl Fn(Value) -> bool,
        good: impl IntoIterator<Item = &'a str>,
        bad: impl IntoIterator<Item = &'a str>,
    ) {
        let schema = schemars::schema_for!(T);
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        let examples = schema.get("examples").and_then(Value::as_array).cloned();
        let good = good.into_iter().map(|text| json!(text));
        for text in good.chain(examples.unwrap_or_default()) {
            assert!(validator.is_valid(&text), "{}: {text}", T::schema_name());
            assert!(reads(text.clone()), "{}: {text}", T::schema_name());
        }
        for text in bad {
            let text = json!(text);
            assert!(!validator.is_valid(&text), "{}: {text}", T::schema_name());
            assert!(!reads(text.clone()), "{}: {text}", T::schema_name());
        }
    }
    fn from<T: serde::de::DeserializeOwned>(value: Value) -> bool {
        serde_json::from_value::<T>(value).is_ok()
    }
    let duration = |v: Value| parse_duration(v.as_str().unwrap()).is_ok();
    check::<Time>(
        duration,
        ["0s", "1m30s", " 2 days ", "1.5h", "4us", "4µs", "3weeks"],
        ["", "30", "1.5", "fast", "-5s", "5 parsecs", "s", "1s2"],
    );
    check::<Count>(
        from::<Count>,
        ["250", "1.5K", "1m", "0.25", ".5"],
        ["", "k", "-1", "1e9", "10 k", "1.2.3", "inf"],
    );
    check::<Bytes>(
        from::<Bytes>,
        ["512", "1.5 KiB", "2M", "3B"],
        ["", "KB", "-1", "10 GB", "ten"],
    );
    check::<ThinkTime>(
        from::<ThinkTime>,
        ["1s .. 3s", "exponential 500ms", "normal  2s 1s"],
        [
            "2",
            "",
            "exponential",
            "normal 2s",
            "1s..",
            "sometimes 1s",
            "-1s",
        ],
    );
    check::<Extract>(
        from::<Extract>,
        ["$['a b'][0]", "header x-id"],
        ["token", "", "regex", "header"],
    );
    check::<Check>(
        from::<Check>,
        [
            "status in 200, 201",
            "time<=39ms",
            "body matches ^<html",
            "$.n != \"x\"",
        ],
        ["status", "colour == red", "header == x", "", "time 50ms"],
    );
    check::<Threshold>(
        from::<Threshold>,
        [
            "response_time.p99.9<200ms",
            "lag.max [ label:api ] <= 1s",
            "checks[buy/log in] > 90%",
        ],
        [
            "p99 250ms",
            "latency < 1s",
            "response_time.p98 < 1s",
            "rate[buy > 3",
            "",
        ],
    );
}

#[test]
fn the_example_plans_are_valid() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../swarm-config/plans");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|f| f.unwrap().path());
    let plans = files.filter(|f| f.extension().is_some_and(|e| e == "toml"));
    let mut seen = 0;
    for file in plans {
        let text = std::fs::read_to_string(&file).unwrap();
        let plan: Value = toml::from_str(&text).unwrap();
        if plan.get("suite").is_some() {
            // The schema describes single plans only.
            continue;
        }
        let errors: Vec<String> = validator
            .iter_errors(&plan)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn invalid_plans_are_rejected() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let sleep = "[task]\ntype = 'SLEEP'\nms = 1\n";
    let load = "[load]\nrate = 1\nduration = '1s'\n";
    let step = "[[scenario.step]]\nurl = 'http://h/'\n";
    for text in [
        // No task, and two tasks.
        load.to_owned(),
        format!("{sleep}{load}[[scenario]]\n{step}"),
        format!("{sleep}{load}[http]\n"),
        format!("{sleep}{load}[data.a]\nfile = 'a.csv'\n"),
        // No load, or not enough of it.
        sleep.to_owned(),
        format!("{sleep}[load]\nrate = 1\n"),
        format!("{sleep}[load]\nduration = '1s'\n"),
        format!("{sleep}{load}users = 1\n"),
        // Unknown and misplaced keys.
        format!("{sleep}{load}duraton = '1s'\n"),
        format!("[task]\ntype = 'HTTP'\nurl = 'http://h'\nhttp = {{}}\n{load}"),
        format!("{sleep}url = 'http://h'\n{load}"),
        format!("[task]\ntype = 'HTTP'\nms = 3\n{load}"),
        // Values of another type.
        format!("{sleep}[load]\nrate = 1\nduration = 30\n"),
        format!("{sleep}[load]\nrate = 'fast'\nduration = '1s'\n"),
        format!("{sleep}{load}pacing = 'slow'\n"),
        format!("name = 5\n{sleep}{load}"),
        // Out of range.
        format!("{sleep}[load]\nrate = 2000000\nduration = '1s'\n"),
        format!("{sleep}[load]\nusers = 1.5\nduration = '1s'\n"),
        format!("{sleep}{load}[swarm]\nmin_workers = 0\n"),
        // Invalid stages.
        format!("{sleep}[load]\nstages = [{{ type = 'ramp', length = '1s' }}]\n"),
        format!("{sleep}[load]\nmodel = 'open'\nstages = [{{ type = 'step', length = '1s' }}]\n"),
        format!(
            "{sleep}[load]\nrate = 1\nstages = [{{ type = 'ramp', steps = 3, length = '1s' }}]\n"
        ),
        // Invalid scenarios.
        format!("[[scenario]]\nname = 'a'\n{load}"),
        format!("[[scenario]]\n{step}labels = ['']\n{load}"),
        format!("[[scenario]]\n{step}body = 'a'\nform = {{ a = 'b' }}\n{load}"),
        format!("[[scenario]]\n{step}extract = {{ a = 'token' }}\n{load}"),
        format!("[[scenario]]\n{step}headers = [['a', 'b', 'c']]\n{load}"),
        format!("thresholds = ['p99 < 1s']\n{sleep}{load}"),
        format!("thresholds = [{{ is = 'rate > 1', abrt = true }}]\n{sleep}{load}"),
    ] {
        let plan: Value = toml::from_str(&text).unwrap();
        assert!(!validator.is_valid(&plan), "{text}");
        assert!(parsed(&plan).is_err(), "{text}");
    }
}

#[test]
fn the_reference_page_in_docs_is_up_to_date() {
    let file = include_str!("../../../../docs/plan-reference.md");
    let same = file.trim_end() == markdown().trim_end();
    assert!(
        same,
        "docs/plan-reference.md is out of date; update it with:\n  \
         cargo run -- schema --markdown > docs/plan-reference.md"
    );
}

//! Scenarios as they are written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Blob, Body, Check, Data, Extract, Format, Pick, Scenario, Scenarios, Step};
use crate::plan::parse::PlanError;
use crate::plan::raw::{RawHeaders, ten_seconds};
use crate::plan::{HttpTask, HttpVersion, ThinkTime, TlsOptions, units};

/// `[http]`: what all steps have in common.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    /// What paths are added to.
    pub base_url: Option<String>,
    headers: Option<RawHeaders>,
    #[serde(with = "units::as_optional_text")]
    timeout: Option<Duration>,
    version: HttpVersion,
    streams: Option<u32>,
    insecure: bool,
    tls: TlsOptions,
    disable_keepalive: bool,
    addresses: Vec<SocketAddr>,
    #[serde(with = "units::as_optional_text")]
    dns_refresh: Option<Duration>,
}

/// `[[scenario]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawScenario {
    name: Option<String>,
    weight: Option<u32>,
    #[serde(default)]
    step: Vec<RawStep>,
}

/// `[[scenario.step]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    name: Option<String>,
    method: Option<String>,
    url: String,
    headers: Option<RawHeaders>,
    body: Option<String>,
    json: Option<serde_json::Value>,
    form: Option<RawHeaders>,
    #[serde(default, with = "units::as_optional_text")]
    timeout: Option<Duration>,
    think: Option<ThinkTime>,
    #[serde(default)]
    extract: BTreeMap<String, Extract>,
    #[serde(default)]
    check: Vec<Check>,
}

/// `[data.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    /// CSV, or JSON lines if its name ends in `.jsonl` or `.ndjson`.
    file: String,
    #[serde(default)]
    pick: Pick,
}

impl RawData {
    /// What the plan says of the file, and the file; `read` gives its text.
    fn load(&self, read: &dyn Fn(&str) -> Result<String, String>) -> Result<(Data, Blob), String> {
        let text = read(&self.file);
        let data = text.and_then(|text| Data::of(text, Format::of(&self.file), self.pick));
        data.map_err(|why| format!("{}: {why}", self.file))
    }
}

impl Scenarios {
    /// Puts together what a plan file says, with the data files that it names.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn from_raw(
        http: RawHttp,
        scenarios: Vec<RawScenario>,
        data: BTreeMap<String, RawData>,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<(Scenarios, Vec<Blob>), PlanError> {
        let base = http.base_url.unwrap_or_default();
        let all = scenarios.into_iter().enumerate();
        let scenarios = all
            .map(|(i, raw)| scenario(i, raw, &base))
            .collect::<Result<Vec<_>, _>>()?;
        let first = scenarios.iter().flat_map(|s| &s.steps).next();
        let url = match first {
            Some(step) if base.is_empty() => step.url.clone(),
            _ => base,
        };
        let (mut described, mut blobs) = (BTreeMap::new(), Vec::new());
        for (name, raw) in data {
            let loaded = raw.load(read);
            let (data, blob) = loaded.map_err(|why| PlanError::at(format!("data.{name}"), why))?;
            described.insert(name, data);
            blobs.push(blob);
        }
        let scenarios = Scenarios {
            http: HttpTask {
                headers: http.headers.map(|h| h.0).unwrap_or_default(),
                timeout: http.timeout.unwrap_or_else(ten_seconds),
                version: http.version,
                streams: http.streams.unwrap_or(1),
                insecure: http.insecure,
                tls: http.tls,
                disable_keepalive: http.disable_keepalive,
                addresses: http.addresses,
                dns_refresh: http.dns_refresh,
                ..HttpTask::get(&url)
            },
            scenarios,
            data: described,
        };
        Ok((scenarios, blobs))
    }
}

fn scenario(i: usize, raw: RawScenario, base: &str) -> Result<Scenario, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("scenario {}", i + 1));
    let steps = raw.step.into_iter().enumerate();
    let steps = steps.map(|(n, raw)| step(&name, n, raw, base));
    Ok(Scenario {
        steps: steps.collect::<Result<_, _>>()?,
        name,
        weight: raw.weight.unwrap_or(1),
    })
}

fn step(scenario: &str, n: usize, raw: RawStep, base: &str) -> Result<Step, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("step {}", n + 1));
    let wrong =
        |problem: &str| PlanError::at(format!("scenario {scenario:?}, step {name:?}"), problem);
    let relative = raw.url.starts_with('/') || raw.url.starts_with("{{");
    if relative && base.is_empty() {
        return Err(wrong(
            "has a path for its URL, and there is no http.base_url to add it to",
        ));
    }
    let url = match raw.url.strip_prefix('/') {
        Some(path) => format!("{}/{path}", base.trim_end_matches('/')),
        None => raw.url,
    };
    let body = match (raw.body, raw.json, raw.form) {
        (None, None, None) => Body::None,
        (Some(text), None, None) => Body::Text(text),
        (None, Some(value), None) => Body::Json(value),
        (None, None, Some(fields)) => Body::Form(fields.0),
        _ => return Err(wrong("has more than one of body, json and form")),
    };
    let method = match body {
        Body::None => "GET",
        _ => "POST",
    };
    Ok(Step {
        name,
        method: raw.method.unwrap_or_else(|| method.into()),
        url,
        headers: raw.headers.map(|h| h.0).unwrap_or_default(),
        body,
        timeout: raw.timeout,
        think: raw.think.unwrap_or(ThinkTime::NONE),
        extract: raw.extract,
        check: raw.check,
    })
}

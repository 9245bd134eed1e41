//! Scenarios as they are written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::validate::{MAX_LABELS, MAX_NAME, MAX_OF_STEP, MAX_STEPS, MAX_WEIGHT};
use super::{Blob, Body, Check, Data, Extract, Format, Pick, Scenario, Scenarios, Step, Values};
use crate::parse::PlanError;
use crate::raw::{RawHeaders, ten_seconds};
use crate::source::Seg;
use crate::validate::{MAX_ADDRESSES, MAX_STREAMS};
use crate::{HttpTask, HttpVersion, ThinkTime, TlsOptions, units};
use vajra_core::Hook;

/// What all steps of all scenarios have in common.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Http")]
pub struct RawHttp {
    /// What paths are added to. `start-test --url` puts another one in its place.
    pub base_url: Option<String>,
    /// Headers of every request; see those of a task.
    headers: Option<RawHeaders>,
    /// From the send to the end of the response.
    #[serde(with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1ms to 1h"))]
    #[schemars(extend("default" = units::show_duration(ten_seconds())))]
    timeout: Option<Duration>,
    /// Version of the protocol; for `2` see [connections](configuration.md#connections).
    version: HttpVersion,
    /// HTTP/2: requests that share a connection at the same time.
    #[schemars(range(min = 1, max = MAX_STREAMS), extend("default" = 1))]
    streams: Option<u32>,
    /// Accept any TLS certificate.
    insecure: bool,
    tls: TlsOptions,
    /// A new connection for every request.
    disable_keepalive: bool,
    /// Connect to these in turn (`10.0.0.5:8080`), whatever the URLs' hosts resolve to.
    #[schemars(with = "Vec<String>", length(max = MAX_ADDRESSES))]
    addresses: Vec<SocketAddr>,
    /// Resolve the URLs' hosts again so often; without it, once.
    #[serde(with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1s to 1day"))]
    dns_refresh: Option<Duration>,
}

/// A way through the target.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scenario", extend("required" = ["step"]))]
pub struct RawScenario {
    /// Unique in the plan; by default `scenario N`.
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: Option<String>,
    /// How often it comes, in proportion to the others.
    #[schemars(range(max = MAX_WEIGHT), extend("default" = 1))]
    weight: Option<u32>,
    /// Its requests, one after the other; all scenarios together have at most 64.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_STEPS))]
    step: Vec<RawStep>,
}

/// `[[setup]]` or `[[teardown]]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RawSteps(Vec<RawStep>);

impl RawSteps {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn steps(self, phase: Hook, base: &str) -> Result<Vec<Step>, PlanError> {
        let steps = self.0.into_iter().enumerate();
        let place = phase.to_string();
        let path = [Seg::from(place.as_str())];
        steps
            .map(|(n, raw)| step(&place, &path, n, raw, base))
            .collect()
    }
}

/// A request of a scenario. `url` (path and query), header values and bodies may have
/// [holes](plans.md#holes): `{{ token }}`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step", extend("not" = {"anyOf": [
    {"required": ["body", "json"]}, {"required": ["body", "form"]}, {"required": ["json", "form"]},
]}))]
struct RawStep {
    /// Unique in the scenario; by default `step N`.
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: Option<String>,
    /// Marks, such as `["api", "checkout"]`: the result has all steps of a label together, and
    /// thresholds may be about one.
    #[serde(default)]
    #[schemars(length(max = MAX_LABELS), inner(length(min = 1, max = MAX_NAME)))]
    labels: Vec<String>,
    /// Request method; by default `GET`, with a body `POST`.
    #[schemars(length(min = 1, max = 32))]
    method: Option<String>,
    /// A path below the base URL; or a whole URL, whose host has no holes; or a text that begins
    /// with a hole, filled with a path (or URL) of the base URL's host.
    url: String,
    /// Besides those in `[http]`; one of the same name replaces it.
    headers: Option<RawHeaders>,
    /// The body as it is. At most one of `body`, `json` and `form`.
    body: Option<String>,
    /// The body as JSON, whose texts may have holes; sets `content-type`.
    json: Option<serde_json::Value>,
    /// The body as fields of a form; sets `content-type`.
    form: Option<RawHeaders>,
    /// In place of that of `[http]`.
    #[serde(default, with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1ms to 1h"))]
    timeout: Option<Duration>,
    /// Pause after it.
    #[schemars(extend("default" = ThinkTime::NONE, "x-range" = "0s to 1h"))]
    think: Option<ThinkTime>,
    /// Variables for later steps: `{ token = "$.auth.token" }`. One that is not there fails the
    /// request and ends the iteration.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MAX_OF_STEP))]
    extract: BTreeMap<String, Extract>,
    /// What its response must be. Without one about the status, that must be below 400.
    #[serde(default)]
    #[schemars(length(max = MAX_OF_STEP))]
    check: Vec<Check>,
}

/// Rows of data, by the name that templates use.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Data")]
pub struct RawData {
    /// A file beside the plan: CSV with a first line of names, or JSON objects, one a line, if
    /// its name ends in `.jsonl` or `.ndjson`.
    file: String,
    /// Which row an iteration takes.
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
        [setup, teardown]: [RawSteps; 2],
        vars: Values,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<(Scenarios, Vec<Blob>), PlanError> {
        let base = http.base_url.unwrap_or_default();
        let all = scenarios.into_iter().enumerate();
        let scenarios = all
            .map(|(i, raw)| scenario(i, raw, &base))
            .collect::<Result<Vec<_>, _>>()?;
        let setup = setup.steps(Hook::Setup, &base)?;
        let teardown = teardown.steps(Hook::Teardown, &base)?;
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
            setup,
            teardown,
            vars,
        };
        Ok((scenarios, blobs))
    }
}

fn scenario(i: usize, raw: RawScenario, base: &str) -> Result<Scenario, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("scenario {}", i + 1));
    let steps = raw.step.into_iter().enumerate();
    let place = format!("scenario {name:?},");
    let path = ["scenario".into(), i.into(), "step".into()];
    let steps = steps.map(|(n, raw)| step(&place, &path, n, raw, base));
    Ok(Scenario {
        steps: steps.collect::<Result<_, _>>()?,
        name,
        weight: raw.weight.unwrap_or(1),
    })
}

/// `place` is what the step belongs to: `scenario "buy",` or `setup`; `path` is that of its list.
fn step(place: &str, path: &[Seg], n: usize, raw: RawStep, base: &str) -> Result<Step, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("step {}", n + 1));
    let wrong = |key: &str, problem: &str| {
        let path = [path, &[n.into(), key.into()]].concat();
        PlanError::at(format!("{place} step {name:?}"), problem).found_at(path)
    };
    let relative = raw.url.starts_with('/') || raw.url.starts_with("{{");
    if relative && base.is_empty() {
        return Err(wrong(
            "url",
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
        _ => return Err(wrong("", "has more than one of body, json and form")),
    };
    let method = match body {
        Body::None => "GET",
        _ => "POST",
    };
    Ok(Step {
        name,
        labels: raw.labels,
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

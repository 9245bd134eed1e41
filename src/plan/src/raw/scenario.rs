//! Scenarios, hooks and data as they are written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use vajra_core::Hook;

use super::headers::RawHeaders;
use crate::error::PlanError;
use crate::http::{DEFAULT_TIMEOUT, HttpTask, HttpVersion, TlsOptions};
use crate::limits::{
    MAX_ADDRESSES, MAX_LABELS, MAX_NAME, MAX_OF_STEP, MAX_STEPS, MAX_STREAMS, MAX_WEIGHT,
};
use crate::path::Path;
use crate::plan_file::ReadFile;
use crate::scenario::{
    Blob, Body, Check, Data, Extract, Format, Pick, Scenario, Scenarios, Step, Values,
};
use crate::think::ThinkTime;
use crate::units;

/// Connection settings and defaults of all steps.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Http")]
pub struct RawHttp {
    /// URL that paths are appended to. `start-test --url` overrides it.
    pub base_url: Option<String>,
    /// Headers of every request; see those of [`[task]`](#task).
    headers: Option<RawHeaders>,
    /// Maximum time from the send to the end of the response.
    #[serde(with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1ms to 1h"))]
    #[schemars(extend("default" = units::show_duration(DEFAULT_TIMEOUT)))]
    timeout: Option<Duration>,
    /// HTTP version; for `2` see [connections](configuration.md#connections).
    version: HttpVersion,
    /// HTTP/2: concurrent requests on one connection.
    #[schemars(range(min = 1, max = MAX_STREAMS), extend("default" = 1))]
    streams: Option<u32>,
    /// Whether any TLS certificate is accepted.
    insecure: bool,
    tls: TlsOptions,
    /// Whether every request opens a new connection.
    disable_keepalive: bool,
    /// Addresses (`10.0.0.5:8080`) to connect to in round-robin order, instead of those that the
    /// URLs' hosts resolve to.
    #[schemars(with = "Vec<String>", length(max = MAX_ADDRESSES))]
    addresses: Vec<SocketAddr>,
    /// Interval at which the URLs' hosts are resolved again; without it, once.
    #[serde(with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1s to 1day"))]
    dns_refresh: Option<Duration>,
}

/// A sequence of requests. Each arrival, or iteration of a user, runs one scenario.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Scenario", extend("required" = ["step"]))]
pub struct RawScenario {
    /// Name, unique in the plan; by default `scenario N`.
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: Option<String>,
    /// Frequency in proportion to the other scenarios; 0 disables it.
    #[schemars(range(max = MAX_WEIGHT), extend("default" = 1))]
    weight: Option<u32>,
    /// Requests in order; at most 64 in all scenarios together.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_STEPS))]
    step: Vec<RawStep>,
}

/// The steps of `[[setup]]` or `[[teardown]]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RawSteps(Vec<RawStep>);

impl RawSteps {
    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn steps(self, hook: Hook, base: &str) -> Result<Vec<Step>, PlanError> {
        let steps = self.0.into_iter().enumerate();
        let label = hook.to_string();
        let path = Path::dotted(&label);
        steps
            .map(|(n, raw)| step(&label, &path, n, raw, base))
            .collect()
    }
}

/// A request of a scenario. `url` (path and query), header values and bodies may contain
/// [placeholders](plans.md#placeholders): `{{ token }}`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step", extend("not" = {"anyOf": [
    {"required": ["body", "json"]}, {"required": ["body", "form"]}, {"required": ["json", "form"]},
]}))]
struct RawStep {
    /// Name, unique in the scenario; by default `step N`.
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: Option<String>,
    /// Labels, such as `["api", "checkout"]`. The result has an entry for all steps of a label, and
    /// thresholds can refer to it.
    #[serde(default)]
    #[schemars(length(max = MAX_LABELS), inner(length(min = 1, max = MAX_NAME)))]
    labels: Vec<String>,
    /// Request method; by default `GET`, or `POST` with a body.
    #[schemars(length(min = 1, max = 32))]
    method: Option<String>,
    /// A path below the base URL; a whole URL without placeholders in its host; or a text that starts
    /// with a placeholder for a path (or URL) on the base URL's host.
    url: String,
    /// Headers in addition to those of `[http]`; the same name replaces the common one.
    headers: Option<RawHeaders>,
    /// Body as text. At most one of `body`, `json` and `form`.
    body: Option<String>,
    /// Body as JSON; its texts may contain placeholders. Sets `content-type`.
    json: Option<serde_json::Value>,
    /// Body as form fields. Sets `content-type`.
    form: Option<RawHeaders>,
    /// Timeout, instead of that of `[http]`.
    #[serde(default, with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1ms to 1h"))]
    timeout: Option<Duration>,
    /// Pause after the step.
    #[schemars(extend("default" = ThinkTime::NONE, "x-range" = "0s to 1h"))]
    think: Option<ThinkTime>,
    /// Variables for later steps: `{ token = "$.auth.token" }`. If a response lacks one, the request
    /// fails and the iteration ends.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MAX_OF_STEP))]
    extract: BTreeMap<String, Extract>,
    /// Conditions on the response. Without a check of the status, it must be below 400.
    #[serde(default)]
    #[schemars(length(max = MAX_OF_STEP))]
    check: Vec<Check>,
}

/// A data file, by its name in placeholders.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Data")]
pub struct RawData {
    /// Path relative to the plan: CSV with column names in the first line, or JSON objects, one per
    /// line, if it ends in `.jsonl` or `.ndjson`.
    file: String,
    /// Selection of the row of an iteration.
    #[serde(default)]
    pick: Pick,
}

impl RawData {
    /// The description of the file for the plan, and the file.
    fn load(&self, name: &str, read: &ReadFile<'_>) -> Result<(Data, Blob), PlanError> {
        let file = &self.file;
        let wrong = |problem| PlanError::at(Path::dotted("data").then(name), problem);
        let text = read(file).map_err(|e| wrong(format!("cannot read {file}: {e}")))?;
        let data = Data::of(text, Format::of(file), self.pick);
        data.map_err(|e| wrong(format!("{file}: {e}")))
    }
}

/// Builds scenarios from the tables of a plan file and the data files that it names.
///
/// # Errors
/// The first field that is not allowed.
pub fn scenarios_of(
    http: RawHttp,
    scenarios: Vec<RawScenario>,
    data: BTreeMap<String, RawData>,
    [setup, teardown]: [RawSteps; 2],
    vars: Values,
    read: &ReadFile<'_>,
) -> Result<(Scenarios, Vec<Blob>), PlanError> {
    let base = http.base_url.unwrap_or_default();
    let scenarios = scenarios.into_iter().enumerate();
    let scenarios = scenarios
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
        let (data, blob) = raw.load(&name, read)?;
        described.insert(name, data);
        blobs.push(blob);
    }
    let scenarios = Scenarios {
        http: HttpTask {
            headers: http.headers.map(|h| h.0).unwrap_or_default(),
            timeout: http.timeout.unwrap_or(DEFAULT_TIMEOUT),
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

fn scenario(i: usize, raw: RawScenario, base: &str) -> Result<Scenario, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("scenario {}", i + 1));
    let label = format!("scenario {name:?},");
    let path = Path::dotted("scenario").then(i).then("step");
    let steps = raw.step.into_iter().enumerate();
    let steps = steps.map(|(n, raw)| step(&label, &path, n, raw, base));
    Ok(Scenario {
        steps: steps.collect::<Result<_, _>>()?,
        name,
        weight: raw.weight.unwrap_or(1),
    })
}

/// A step. `parent` is what it belongs to (`scenario "buy",` or `setup`), `list` the path of its
/// list.
fn step(parent: &str, list: &Path, n: usize, raw: RawStep, base: &str) -> Result<Step, PlanError> {
    let name = raw.name.unwrap_or_else(|| format!("step {}", n + 1));
    let path = list.then(n);
    let wrong = |path: Path, problem: &str| {
        Err(PlanError::at(path, problem).labelled(format!("{parent} step {name:?}")))
    };
    let relative = raw.url.starts_with('/') || raw.url.starts_with("{{");
    if relative && base.is_empty() {
        return wrong(
            path.then("url"),
            "has a path as its URL, and there is no http.base_url to append it to",
        );
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
        _ => return wrong(path, "has more than one of body, json and form"),
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

//! Scenarios, steps and bodies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::data::Data;
use super::extract::Extract;
use super::mix::Mix;
use super::values::Values;
use crate::http::HttpTask;
use crate::path::Path;
use crate::think::ThinkTime;
use crate::units;

/// The scenarios of a plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenarios {
    /// Connection settings and defaults of all steps. Its URL is the base URL of paths; its method
    /// and body are unused.
    pub http: HttpTask,
    /// The scenarios, each with at least one step.
    pub scenarios: Vec<Scenario>,
    /// Data files, by their names in placeholders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Data>,
    /// Setup hook, carried out once before the load; its extracted values are `setup.NAME` in all
    /// scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<Step>,
    /// Teardown hook, carried out once after the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teardown: Vec<Step>,
    /// Constants, `vars.NAME` in placeholders.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub vars: Values,
}

/// A scenario: a sequence of requests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, unique in the plan.
    pub name: String,
    /// Frequency in proportion to the other scenarios (0 to 1,000).
    pub weight: u32,
    /// Requests in order.
    pub steps: Vec<Step>,
}

/// One request of a scenario. Placeholders `{{ … }}` are replaced in every iteration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name, unique in the scenario.
    pub name: String,
    /// Labels that group steps in the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Request method.
    pub method: String,
    /// A path, a whole URL without placeholders in scheme, host and port, or a text that starts
    /// with a placeholder for a path on the base URL's host.
    pub url: String,
    /// Headers in addition to those of all steps; the same name replaces the common one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Request body.
    #[serde(default, skip_serializing_if = "Body::is_none")]
    pub body: Body,
    /// Timeout, instead of that of all steps.
    #[serde(
        default,
        with = "units::as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Duration>,
    /// Pause between this step and the next one.
    #[serde(default = "no_time", skip_serializing_if = "ThinkTime::is_none")]
    pub think: ThinkTime,
    /// Variables for later steps. If a response lacks one, the request fails and the iteration ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extract: BTreeMap<String, Extract>,
    /// Conditions on the response. Without one on the status, it must be below 400.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Check>,
}

fn no_time() -> ThinkTime {
    ThinkTime::NONE
}

/// A request's body.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// No body.
    #[default]
    None,
    /// Text.
    Text(String),
    /// JSON; placeholders in its texts are replaced.
    Json(serde_json::Value),
    /// Form fields, percent-encoded.
    Form(Vec<(String, String)>),
}

impl Body {
    fn is_none(&self) -> bool {
        *self == Body::None
    }

    /// Media type that is set where the plan sets none.
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Body::None | Body::Text(_) => None,
            Body::Json(_) => Some("application/json"),
            Body::Form(_) => Some("application/x-www-form-urlencoded"),
        }
    }
}

impl Scenarios {
    /// Names of all steps as `scenario/step`, in the order of measurement.
    pub fn step_names(&self) -> impl Iterator<Item = String> {
        let steps = |s: &Scenario| {
            let name = s.name.clone();
            let of_step = move |step: &Step| format!("{name}/{}", step.name);
            s.steps.iter().map(of_step).collect::<Vec<_>>()
        };
        self.scenarios.iter().flat_map(steps)
    }

    /// All labels, in the order of their first steps.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels = Vec::new();
        for label in self.steps().flat_map(|step| &step.labels) {
            if !labels.contains(&label.as_str()) {
                labels.push(label);
            }
        }
        labels
    }

    /// All steps, in the order of measurement.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.scenarios.iter().flat_map(|s| &s.steps)
    }

    /// Replaces the base URL, also in every step whose URL starts with it.
    pub fn move_to(&mut self, base: &str) {
        let old = self.http.url.trim_end_matches('/').to_owned();
        let new = base.trim_end_matches('/');
        let hooks = self.setup.iter_mut().chain(&mut self.teardown);
        let steps = self.scenarios.iter_mut().flat_map(|s| &mut s.steps);
        for step in steps.chain(hooks) {
            if let Some(path) = step.url.strip_prefix(&old) {
                step.url = format!("{new}{path}");
            }
        }
        self.http.url = base.to_owned();
    }

    /// The order of the scenarios.
    pub fn mix(&self) -> Mix {
        let weights: Vec<u32> = self.scenarios.iter().map(|s| s.weight).collect();
        Mix::new(&weights)
    }

    /// Longest duration of an iteration: timeouts and mean pauses of its steps.
    pub fn longest(&self) -> Duration {
        let of_step = |step: &Step| step.timeout.unwrap_or(self.http.timeout) + step.think.mean();
        let of = |s: &Scenario| s.steps.iter().map(of_step).sum();
        self.scenarios.iter().map(of).max().unwrap_or_default()
    }
}

impl Step {
    /// Every text that may contain placeholders.
    pub fn texts(&self) -> Vec<&str> {
        self.located_texts().into_iter().map(|(_, t)| t).collect()
    }

    /// Every text that may contain placeholders, with its path below the step.
    pub(crate) fn located_texts(&self) -> Vec<(Path, &str)> {
        let mut texts = vec![(Path::dotted("url"), self.url.as_str())];
        texts.extend(pairs("headers", &self.headers));
        match &self.body {
            Body::None => {}
            Body::Text(text) => texts.push((Path::dotted("body"), text)),
            Body::Json(value) => texts_of(Path::dotted("json"), value, &mut texts),
            Body::Form(fields) => texts.extend(pairs("form", fields)),
        }
        texts
    }
}

/// Values of headers or form fields, with their paths.
pub fn pairs<'a>(
    key: &str,
    pairs: &'a [(String, String)],
) -> impl Iterator<Item = (Path, &'a str)> {
    let parent = Path::dotted(key);
    let located = move |(name, value): &'a (String, String)| (parent.then(name.as_str()), &**value);
    pairs.iter().map(located)
}

fn texts_of<'a>(path: Path, value: &'a serde_json::Value, texts: &mut Vec<(Path, &'a str)>) {
    match value {
        serde_json::Value::String(text) => texts.push((path, text)),
        serde_json::Value::Array(values) => {
            let values = values.iter().enumerate();
            values.for_each(|(i, v)| texts_of(path.then(i), v, texts));
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.iter();
            fields.for_each(|(key, v)| texts_of(path.then(key.as_str()), v, texts));
        }
        _ => {}
    }
}

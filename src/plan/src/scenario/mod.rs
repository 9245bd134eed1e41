//! What users do: scenarios of several steps, which values they hand on, what they check, and
//! the data they bring.

mod blob;
mod check;
mod data;
mod extract;
mod hooks;
mod mix;
mod raw;
mod response;
mod table;
mod text;
mod text_serde;
mod validate;
mod values;

#[cfg(test)]
mod once_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use blob::{Blob, Sha256};
pub use check::Check;
pub use data::{Data, MAX_ALL_FILES, MAX_FILE, Pick, is_name};
pub use extract::Extract;
pub use hooks::{MAX_ONCE_STEPS, pause};
pub use mix::Mix;
pub use raw::{RawData, RawHttp, RawScenario, RawSteps};
pub use response::Received;
pub use table::{Format, Table};
pub use text::{Draws, environment, explain, has_holes, variables};
pub use values::{
    MAX_VALUES_BYTES, MAX_VARS, Scalar, Values, decode_values, encode_values, value_of,
};

use super::units;
use super::{HttpTask, ThinkTime};

/// What users do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenarios {
    /// What all steps have in common: how to connect, and what a step does not say itself.
    /// The URL is the one that paths are added to; method and body are of no use.
    pub http: HttpTask,
    /// Each with at least one step.
    pub scenarios: Vec<Scenario>,
    /// Files of rows, by the name that templates use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Data>,
    /// Carried out once before the load; what it extracts is `setup.NAME` for all scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<Step>,
    /// Carried out once after the load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teardown: Vec<Step>,
    /// Constants, `vars.NAME` in templates.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub vars: Values,
}

/// A user's way through the target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, unique in the plan.
    pub name: String,
    /// How often it comes, in proportion to the others' (0 to 1,000).
    pub weight: u32,
    /// In order.
    pub steps: Vec<Step>,
}

/// One request of a scenario. Texts with `{{ … }}` in them are filled in each time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the scenario.
    pub name: String,
    /// Marks by which steps are looked at together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Request method.
    pub method: String,
    /// A path, or a whole URL whose scheme, host and port have no holes; or one that begins
    /// with a hole, for a path below the common URL's host.
    pub url: String,
    /// Headers besides those that all steps have; one of the same name replaces it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default, skip_serializing_if = "Body::is_none")]
    pub body: Body,
    /// In place of the one that all steps have.
    #[serde(
        default,
        with = "units::as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<Duration>,
    /// Pause after it, before the next step.
    #[serde(default = "no_time", skip_serializing_if = "ThinkTime::is_none")]
    pub think: ThinkTime,
    /// Variables for later steps. One that is not there fails the request and ends the
    /// iteration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extract: BTreeMap<String, Extract>,
    /// What its response must be. Without one about the status, it must be below 400.
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
    /// As it is.
    Text(String),
    /// JSON; its texts are filled in.
    Json(serde_json::Value),
    /// A form, percent-encoded.
    Form(Vec<(String, String)>),
}

impl Body {
    fn is_none(&self) -> bool {
        *self == Body::None
    }

    /// Its media type, if the plan need not say it.
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Body::None | Body::Text(_) => None,
            Body::Json(_) => Some("application/json"),
            Body::Form(_) => Some("application/x-www-form-urlencoded"),
        }
    }
}

impl Scenarios {
    /// Names of all steps, in the order in which they are measured: `scenario/step`.
    pub fn step_names(&self) -> impl Iterator<Item = String> {
        let steps = |s: &Scenario| {
            let name = s.name.clone();
            let of_step = move |step: &Step| format!("{name}/{}", step.name);
            s.steps.iter().map(of_step).collect::<Vec<_>>()
        };
        self.scenarios.iter().flat_map(steps)
    }

    /// Every label, in the order of the steps that have it first.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels = Vec::new();
        for label in self.steps().flat_map(|step| &step.labels) {
            if !labels.contains(&label.as_str()) {
                labels.push(label);
            }
        }
        labels
    }

    /// All steps, in the order in which they are measured.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.scenarios.iter().flat_map(|s| &s.steps)
    }

    /// The same at another place: every URL that begins with the base URL begins with this
    /// one.
    pub fn move_to(&mut self, base: &str) {
        let old = self.http.url.trim_end_matches('/').to_owned();
        let new = base.trim_end_matches('/');
        let once = self.setup.iter_mut().chain(&mut self.teardown);
        let steps = self.scenarios.iter_mut().flat_map(|s| &mut s.steps);
        for step in steps.chain(once) {
            if let Some(path) = step.url.strip_prefix(&old) {
                step.url = format!("{new}{path}");
            }
        }
        self.http.url = base.to_owned();
    }

    /// The order in which scenarios come.
    pub fn mix(&self) -> Mix {
        let weights: Vec<u32> = self.scenarios.iter().map(|s| s.weight).collect();
        Mix::new(&weights)
    }

    /// The longest that an iteration's requests may take, and its pauses on top.
    pub fn longest(&self) -> Duration {
        let of_step = |step: &Step| step.timeout.unwrap_or(self.http.timeout) + step.think.mean();
        let of = |s: &Scenario| s.steps.iter().map(of_step).sum();
        self.scenarios.iter().map(of).max().unwrap_or_default()
    }
}

impl Step {
    /// Every text that may have holes.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.url.as_str()];
        texts.extend(self.headers.iter().map(|(_, value)| value.as_str()));
        match &self.body {
            Body::None => {}
            Body::Text(text) => texts.push(text),
            Body::Json(value) => texts_of(value, &mut texts),
            Body::Form(fields) => texts.extend(fields.iter().map(|(_, v)| v.as_str())),
        }
        texts
    }
}

fn texts_of<'a>(value: &'a serde_json::Value, texts: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => texts.push(text),
        serde_json::Value::Array(values) => values.iter().for_each(|v| texts_of(v, texts)),
        serde_json::Value::Object(fields) => fields.values().for_each(|v| texts_of(v, texts)),
        _ => {}
    }
}

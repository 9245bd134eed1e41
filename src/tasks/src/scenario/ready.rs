//! What is made ready before the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, Value};

use super::variables::{Constants, SetupValues};
use crate::http::AGENT;
use crate::{Failure, HttpPrepared, PrepareError, Secrets, TaskContext};
use vajra_plan::{
    self as plan, Body, HttpTask, HttpVersion, Mix, Pick, Scenarios, Table, TargetUrl, environment,
    explain, has_placeholders, value_of, variables,
};

/// Scenarios, ready to be run.
pub struct ScenarioPrepared {
    /// As the plan has them.
    pub plan: Scenarios,
    /// The order in which they come.
    pub mix: Mix,
    /// Their steps.
    pub scenarios: Vec<Vec<Ready>>,
    /// Their names, as templates see them.
    pub names: Vec<Value>,
    /// Where steps connect to.
    pub endpoints: Vec<Arc<HttpPrepared>>,
    /// The data, as each scenario uses it.
    pub feeds: Vec<Feed>,
    /// Holds every template by its text.
    environment: Environment<'static>,
    /// What templates find in every iteration.
    pub constants: Arc<Constants>,
    /// The setup's values.
    pub handed: SetupValues,
}

impl std::fmt::Debug for ScenarioPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.plan.scenarios.iter().map(|s| &s.name))
            .finish()
    }
}

/// A step, ready to be run.
pub struct Ready {
    /// Which of all steps it is.
    pub index: usize,
    /// Which of the endpoints it connects to.
    pub endpoint: usize,
    /// Scheme, host and port.
    pub origin: String,
    /// Path and query, perhaps with holes.
    pub path: String,
    /// All headers but the body's length; values perhaps with holes.
    pub headers: Vec<(String, String)>,
    /// Most time for a response.
    pub timeout: Duration,
    /// It says itself which status codes are good.
    pub judges_status: bool,
    /// It can't be filled in without the setup's values.
    pub needs_setup: bool,
}

/// Some data.
pub struct Feed {
    /// The name that templates use.
    pub name: String,
    /// Which row an iteration takes.
    pub pick: Pick,
    /// The rows.
    pub table: Arc<Table>,
    /// Whether each scenario uses it.
    pub used_by: Vec<bool>,
}

impl ScenarioPrepared {
    /// Compiles templates, resolves and checks targets, reads secrets. May block. `handed`
    /// may be filled later, before the first arrival.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn new(
        plan: &Scenarios,
        site: &Arc<TaskContext>,
        own: bool,
        handed: &SetupValues,
    ) -> Result<ScenarioPrepared, PrepareError> {
        let mut environment = environment();
        let mut names = Vec::new();
        let steps = || plan.scenarios.iter().flat_map(|s| &s.steps);
        let common = plan.http.headers.iter().map(|(_, value)| value.as_str());
        for text in steps().flat_map(plan::Step::texts).chain(common) {
            names.extend(variables(text).map_err(|e| PrepareError::Request(e.to_string()))?);
        }
        let mut secrets = BTreeMap::new();
        for name in names.iter().filter_map(|n| n.strip_prefix("env.")) {
            let value = site.secrets.resolve(&format!("env:{name}"))?;
            secrets.insert(name.to_owned(), value.text);
        }
        let mut origins: Vec<&str> = Vec::new();
        let mut endpoints = Vec::new();
        let mut index = 0..;
        let mut scenarios = Vec::new();
        for scenario in &plan.scenarios {
            let mut ready = Vec::new();
            for step in &scenario.steps {
                let (origin, path) = plan
                    .split(step)
                    .map_err(|e| PrepareError::Request(e.to_string()))?;
                let known = origins.iter().position(|o| *o == origin);
                let endpoint = match known {
                    Some(endpoint) => endpoint,
                    None => {
                        let common = HttpTask {
                            url: origin.to_owned(),
                            headers: Vec::new(),
                            ..plan.http.clone()
                        };
                        endpoints.push(Arc::new(HttpPrepared::new(&common, site, own)?));
                        origins.push(origin);
                        origins.len() - 1
                    }
                };
                let path = path.split('#').next().unwrap_or_default();
                let headers = headers(&plan.http, step, origin, &site.secrets)?;
                ready.push(Ready {
                    index: index.next().unwrap_or_default(),
                    endpoint,
                    origin: origin.to_owned(),
                    path: match path.starts_with('/') || path.starts_with("{{") {
                        true => path.to_owned(),
                        false => format!("/{path}"),
                    },
                    needs_setup: needs_setup(step, &headers),
                    headers,
                    timeout: step.timeout.unwrap_or(plan.http.timeout),
                    judges_status: step.check.iter().any(plan::Check::checks_status),
                });
            }
            scenarios.push(ready);
        }
        let all = scenarios.iter().flatten();
        let filled = all.flat_map(|r| {
            let headers = r.headers.iter().map(|(_, value)| value.as_str());
            headers.chain([r.path.as_str()])
        });
        for text in filled.chain(steps().flat_map(plan::Step::texts)) {
            if has_placeholders(text) {
                environment
                    .add_template_owned(text.to_owned(), text.to_owned())
                    .map_err(|e| PrepareError::Request(explain(&e)))?;
            }
        }
        let mut feeds = Vec::new();
        for (name, data) in &plan.data {
            let scenarios = 0..plan.scenarios.len();
            let table = site.data.get(data);
            feeds.push(Feed {
                name: name.clone(),
                pick: data.pick,
                table: table.ok_or_else(|| PrepareError::Data(name.clone()))?,
                used_by: scenarios.map(|s| plan.uses(s, name)).collect(),
            });
        }
        Ok(ScenarioPrepared {
            mix: plan.mix(),
            feeds,
            plan: plan.clone(),
            scenarios,
            endpoints,
            names: names_of(plan),
            environment,
            constants: Arc::new(Constants {
                env: secrets.into(),
                vars: value_of(&plan.vars),
            }),
            handed: handed.clone(),
        })
    }

    /// A text with its holes filled in.
    ///
    /// # Errors
    /// A failure of kind `template`.
    pub fn fill(&self, text: &str, context: &Value) -> Result<String, Failure> {
        if !has_placeholders(text) {
            return Ok(text.to_owned());
        }
        let template = self.environment.get_template(text);
        let filled = template.and_then(|t| t.render(context.clone()));
        filled.map_err(|e| Failure::new("template", explain(&e)))
    }

    /// A body's bytes.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn fill_body(&self, body: &Body, context: &Value) -> Result<Vec<u8>, Failure> {
        Ok(match body {
            Body::None => Vec::new(),
            Body::Text(text) => self.fill(text, context)?.into_bytes(),
            Body::Json(value) => self.fill_json(value, context)?.to_string().into_bytes(),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &self.fill(value, context)?);
                }
                form.finish().into_bytes()
            }
        })
    }

    fn fill_json(
        &self,
        value: &serde_json::Value,
        context: &Value,
    ) -> Result<serde_json::Value, Failure> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(text) => Json::String(self.fill(text, context)?),
            Json::Array(values) => {
                let filled = values.iter().map(|v| self.fill_json(v, context));
                Json::Array(filled.collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let filled = fields
                    .iter()
                    .map(|(name, v)| Ok((name.clone(), self.fill_json(v, context)?)));
                Json::Object(filled.collect::<Result<_, Failure>>()?)
            }
            other => other.clone(),
        })
    }
}

fn names_of(plan: &Scenarios) -> Vec<Value> {
    let names = plan.scenarios.iter().map(|s| s.name.as_str());
    names.map(Value::from).collect()
}

/// Some text of the step uses the setup's values.
fn needs_setup(step: &plan::Step, headers: &[(String, String)]) -> bool {
    let headers = headers.iter().map(|(_, value)| value.as_str());
    let uses = |text: &str| {
        variables(text).is_ok_and(|names| names.iter().any(|n| n.starts_with("setup.")))
    };
    headers.chain(step.texts()).any(uses)
}

/// A step's headers: its own, those that all steps have, and what every request needs.
fn headers(
    http: &HttpTask,
    step: &plan::Step,
    origin: &str,
    secrets: &Secrets,
) -> Result<Vec<(String, String)>, PrepareError> {
    let url = TargetUrl::parse(origin).map_err(|e| PrepareError::Request(e.to_string()))?;
    let mut headers: Vec<(String, String)> = Vec::new();
    let named = |headers: &[(String, String)], name: &str| {
        headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    };
    let common = http.headers.iter();
    let common = common.filter(|(name, _)| !named(&step.headers, name));
    for (name, value) in step.headers.iter().chain(common) {
        headers.push((name.clone(), secrets.resolve(value)?.text));
    }
    let mut needed = vec![
        ("host", url.authority()),
        ("user-agent", AGENT.to_owned()),
        ("accept", "*/*".to_owned()),
    ];
    if http.disable_keepalive && http.version == HttpVersion::One {
        needed.push(("connection", "close".to_owned()));
    }
    needed.extend(
        step.body
            .media_type()
            .map(|t| ("content-type", t.to_owned())),
    );
    for (name, value) in needed {
        if !named(&headers, name) {
            headers.push((name.to_owned(), value));
        }
    }
    Ok(headers)
}

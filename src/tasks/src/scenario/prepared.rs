//! Scenarios, prepared before the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, Value};

use vajra_plan::{
    self as plan, Body, HttpTask, HttpVersion, Mix, Pick, Scenarios, Table, TargetUrl, environment,
    explain, has_placeholders, value_of, variables,
};
use vajra_task::{Failure, FailureKind, PrepareError, Secrets, TaskContext, TestOrigin};

use super::variables::{Constants, SetupValues};
use crate::http::{HttpPrepared, USER_AGENT};
use crate::tables::Tables;

/// What scenarios are prepared from. Their rows are taken from the node's [`Tables`].
#[derive(Debug, Clone)]
pub struct ScenarioSpec {
    /// The plan's scenarios.
    pub scenarios: Scenarios,
    /// The values of the plan's setup; may be set after preparation.
    pub setup: SetupValues,
}

/// Scenarios, ready to run.
pub struct ScenarioPrepared {
    /// The plan's scenarios.
    pub plan: Scenarios,
    /// The order in which they run.
    pub mix: Mix,
    /// Their steps.
    pub scenarios: Vec<Vec<PreparedStep>>,
    /// Their names as template values.
    pub names: Vec<Value>,
    /// The endpoints that steps connect to.
    pub endpoints: Vec<Arc<HttpPrepared>>,
    /// The data that scenarios use.
    pub feeds: Vec<Feed>,
    /// Every template, by its text.
    environment: Environment<'static>,
    /// Variables of every iteration.
    pub constants: Arc<Constants>,
    /// The setup's values.
    pub setup: SetupValues,
}

impl std::fmt::Debug for ScenarioPrepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.plan.scenarios.iter().map(|s| &s.name))
            .finish()
    }
}

/// A step, ready to run.
pub struct PreparedStep {
    /// Index among all steps of the plan.
    pub index: usize,
    /// Index of the endpoint that it connects to.
    pub endpoint: usize,
    /// Scheme, host and port.
    pub origin: String,
    /// Path and query; may contain placeholders.
    pub path: String,
    /// All headers except the body's length; values may contain placeholders.
    pub headers: Vec<(String, String)>,
    /// Time limit for the response.
    pub timeout: Duration,
    /// A check defines the accepted status codes.
    pub checks_status: bool,
    /// It uses the setup's values.
    pub needs_setup: bool,
}

/// Rows of data, and which scenarios use them.
pub struct Feed {
    /// Name in templates.
    pub name: String,
    /// How an iteration selects its row.
    pub pick: Pick,
    /// The rows.
    pub table: Arc<Table>,
    /// Whether each scenario uses it.
    pub used_by: Vec<bool>,
}

impl ScenarioPrepared {
    /// Compiles templates, resolves and checks targets, reads secrets. May block. Looks up rows
    /// last, so that missing rows are reported only if everything else succeeds.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub fn new(
        spec: &ScenarioSpec,
        context: &Arc<TaskContext>,
        origin: TestOrigin,
    ) -> Result<ScenarioPrepared, PrepareError> {
        let plan = &spec.scenarios;
        let mut environment = environment();
        let mut names = Vec::new();
        let steps = || plan.scenarios.iter().flat_map(|s| &s.steps);
        let common = plan.http.headers.iter().map(|(_, value)| value.as_str());
        for text in steps().flat_map(plan::Step::texts).chain(common) {
            names.extend(variables(text).map_err(|e| PrepareError::Request(e.to_string()))?);
        }
        let mut secrets = BTreeMap::new();
        for name in names.iter().filter_map(|n| n.strip_prefix("env.")) {
            let value = context.secrets.resolve(&format!("env:{name}"))?;
            secrets.insert(name.to_owned(), value.text);
        }
        let mut bases: Vec<&str> = Vec::new();
        let mut endpoints = Vec::new();
        let mut index = 0..;
        let mut scenarios = Vec::new();
        for scenario in &plan.scenarios {
            let mut prepared = Vec::new();
            for step in &scenario.steps {
                let (base, path) = plan
                    .split(step)
                    .map_err(|e| PrepareError::Request(e.to_string()))?;
                let known = bases.iter().position(|b| *b == base);
                let endpoint = match known {
                    Some(endpoint) => endpoint,
                    None => {
                        let common = HttpTask {
                            url: base.to_owned(),
                            headers: Vec::new(),
                            ..plan.http.clone()
                        };
                        endpoints.push(Arc::new(HttpPrepared::new(&common, context, origin)?));
                        bases.push(base);
                        bases.len() - 1
                    }
                };
                let path = path.split('#').next().unwrap_or_default();
                let headers = headers(&plan.http, step, base, &context.secrets)?;
                prepared.push(PreparedStep {
                    index: index.next().unwrap_or_default(),
                    endpoint,
                    origin: base.to_owned(),
                    path: match path.starts_with('/') || path.starts_with("{{") {
                        true => path.to_owned(),
                        false => format!("/{path}"),
                    },
                    needs_setup: needs_setup(step, &headers),
                    headers,
                    timeout: step.timeout.unwrap_or(plan.http.timeout),
                    checks_status: step.check.iter().any(plan::Check::checks_status),
                });
            }
            scenarios.push(prepared);
        }
        let all = scenarios.iter().flatten();
        let prepared = all.flat_map(|s| {
            let headers = s.headers.iter().map(|(_, value)| value.as_str());
            headers.chain([s.path.as_str()])
        });
        for text in prepared.chain(steps().flat_map(plan::Step::texts)) {
            if has_placeholders(text) {
                environment
                    .add_template_owned(text.to_owned(), text.to_owned())
                    .map_err(|e| PrepareError::Request(explain(&e)))?;
            }
        }
        let tables = context.shared.get::<Tables>();
        let mut feeds = Vec::new();
        for (name, data) in &plan.data {
            let scenarios = 0..plan.scenarios.len();
            let table = tables.get(data);
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
            setup: spec.setup.clone(),
        })
    }

    /// Renders a text with placeholders.
    ///
    /// # Errors
    /// A failure of kind `template`.
    pub fn render(&self, text: &str, context: &Value) -> Result<String, Failure> {
        if !has_placeholders(text) {
            return Ok(text.to_owned());
        }
        let template = self.environment.get_template(text);
        let rendered = template.and_then(|t| t.render(context.clone()));
        rendered.map_err(|e| Failure::new(FailureKind::Template, explain(&e)))
    }

    /// Renders a body.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_body(&self, body: &Body, context: &Value) -> Result<Vec<u8>, Failure> {
        Ok(match body {
            Body::None => Vec::new(),
            Body::Text(text) => self.render(text, context)?.into_bytes(),
            Body::Json(value) => self.render_json(value, context)?.to_string().into_bytes(),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &self.render(value, context)?);
                }
                form.finish().into_bytes()
            }
        })
    }

    fn render_json(
        &self,
        value: &serde_json::Value,
        context: &Value,
    ) -> Result<serde_json::Value, Failure> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(text) => Json::String(self.render(text, context)?),
            Json::Array(values) => {
                let rendered = values.iter().map(|v| self.render_json(v, context));
                Json::Array(rendered.collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let rendered = fields
                    .iter()
                    .map(|(name, v)| Ok((name.clone(), self.render_json(v, context)?)));
                Json::Object(rendered.collect::<Result<_, Failure>>()?)
            }
            other => other.clone(),
        })
    }
}

fn names_of(plan: &Scenarios) -> Vec<Value> {
    let names = plan.scenarios.iter().map(|s| s.name.as_str());
    names.map(Value::from).collect()
}

/// Whether a text of the step uses the setup's values.
fn needs_setup(step: &plan::Step, headers: &[(String, String)]) -> bool {
    let headers = headers.iter().map(|(_, value)| value.as_str());
    let uses = |text: &str| {
        variables(text).is_ok_and(|names| names.iter().any(|n| n.starts_with("setup.")))
    };
    headers.chain(step.texts()).any(uses)
}

/// A step's headers: its own, those of all steps, and those that every request needs.
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
        ("user-agent", USER_AGENT.to_owned()),
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

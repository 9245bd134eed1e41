//! From text to a plan, and to its canonical bytes.
//!
//! Errors are one line each. They name the field, repeat what was given and say what is
//! allowed; those of a file also name line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::{RawLoad, RawTask};
use super::scenario::{Blob, RawData, RawHttp, RawScenario, RawSteps, Scalar, Values};
use super::scenario::{MAX_ONCE_STEPS, MAX_VARS};
use super::schema;
use super::source::{self, Node, Seg, line_and_column};
use super::units::{self, show_duration};
use super::validate::MAX_PAIRS;
use super::{Limits, Plan, Scenarios, SwarmRules, Task, Threshold};

/// Largest plan in bytes, as text and in its canonical form.
pub const MAX_PLAN_BYTES: usize = 1 << 20;

/// Most processes that a `[local]` table may start.
const MAX_LOCAL_NODES: u32 = 50;

/// Stands in for the URL of a target that isn't started yet, while the rest is checked.
const STAND_IN_URL: &str = "http://localhost/";

/// Why a plan is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// Not TOML or JSON, or a field unknown or of the wrong kind.
    #[error("{place}: {problem}{}", help.iter().map(|h| format!("; {h}")).collect::<String>())]
    Syntax {
        /// Line and column, and the field where it is known.
        place: String,
        /// The field; empty where it is not known.
        field: String,
        /// Bytes of the text.
        at: Range<usize>,
        /// What is wrong there.
        problem: String,
        /// What may help: one thing each.
        help: Vec<String>,
    },
    /// A value that is not allowed.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path in the plan, as people say it.
        field: std::borrow::Cow<'static, str>,
        /// Its path in a plan file; empty where `field` says it.
        path: Vec<Seg>,
        /// What was given and what is allowed.
        problem: String,
    },
    /// Larger than [`MAX_PLAN_BYTES`].
    #[error("the plan has {0} bytes; at most {MAX_PLAN_BYTES} are allowed")]
    TooLarge(usize),
}

impl PlanError {
    /// A value that is not allowed. Its place in a plan file is found by the field's name:
    /// `load.rate`, or `scenario "buy", step "list"`.
    pub fn field(field: &'static str, problem: impl Into<String>) -> PlanError {
        PlanError::Field {
            field: field.into(),
            path: Vec::new(),
            problem: problem.into(),
        }
    }

    /// The same, at a place that is not known beforehand.
    pub fn at(place: String, problem: impl Into<String>) -> PlanError {
        PlanError::Field {
            field: place.into(),
            path: Vec::new(),
            problem: problem.into(),
        }
    }

    /// The same, with its path in a plan file where its name alone does not say it.
    pub fn found_at(mut self, found: Vec<Seg>) -> PlanError {
        if let PlanError::Field { path, .. } = &mut self {
            *path = found;
        }
        self
    }

    /// What was read from `text` is wrong: at these bytes, in this field if it is known.
    pub fn syntax(text: &str, at: Range<usize>, field: &str, problem: &str) -> PlanError {
        let place = match (at.is_empty() && at.start == 0, field) {
            (true, "") => "the plan".to_owned(),
            (true, field) => field.to_owned(),
            (false, field) => {
                let (line, column) = line_and_column(text, at.start);
                let place = format!("line {line}, column {column}");
                match field {
                    "" => place,
                    field => format!("{place} ({field})"),
                }
            }
        };
        PlanError::Syntax {
            place,
            field: field.to_owned(),
            at,
            problem: problem.split_whitespace().collect::<Vec<_>>().join(" "),
            help: Vec::new(),
        }
    }
}

/// A plan file: the plan, and what only the command line may do with it.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanFile {
    plan: Plan,
    needs_target: bool,
    local: Option<Local>,
    blobs: Vec<Blob>,
    awaited: BTreeSet<String>,
}

impl PlanFile {
    /// The data files that it names: a node needs them before it can run the plan.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// Processes to start for the length of the test. Never part of the plan itself.
    pub fn local(&self) -> Option<&Local> {
        self.local.as_ref()
    }

    /// The plan names no URL: it is to be sent to the target that [`Local`] starts.
    pub fn needs_target(&self) -> bool {
        self.needs_target
    }

    /// What it gets in place of its own `[vars]`, or besides them; of no use without
    /// scenarios.
    pub fn give(&mut self, vars: &Values) {
        if let Task::Scenarios(scenarios) = &mut self.plan.task {
            scenarios.vars.extend(vars.clone());
        }
        self.awaited.retain(|name| !vars.contains_key(name));
    }

    /// Gives up on values that were to come later and did not; tells which. A plan that uses
    /// one is no longer valid.
    pub fn give_up(&mut self) -> BTreeSet<String> {
        if let Task::Scenarios(scenarios) = &mut self.plan.task {
            scenarios
                .vars
                .retain(|name, _| !self.awaited.contains(name));
        }
        std::mem::take(&mut self.awaited)
    }

    /// Its name, if it says none itself.
    pub fn name_by_default(&mut self, name: &str) {
        self.plan.name.get_or_insert_with(|| name.to_owned());
    }

    /// Its scenarios, if it is one of such.
    pub fn scenarios(&self) -> Option<&Scenarios> {
        match &self.plan.task {
            Task::Scenarios(scenarios) => Some(scenarios),
            _ => None,
        }
    }

    /// The plan as it stands.
    ///
    /// # Errors
    /// The URL is missing ([`Self::needs_target`]).
    pub fn into_plan(self) -> Result<Plan, PlanError> {
        match self.needs_target {
            true => Err(PlanError::field(
                "task.url",
                "is missing, and no target was started",
            )),
            false => Ok(self.plan),
        }
    }

    /// The plan with a URL, in place of its own if it has one.
    ///
    /// # Errors
    /// The URL is not valid, or the task takes none.
    pub fn with_url(mut self, url: &str) -> Result<Plan, PlanError> {
        match &mut self.plan.task {
            Task::Http(http) => http.url = url.to_owned(),
            Task::Scenarios(scenarios) => scenarios.move_to(url),
            other => {
                let problem = format!("is for HTTP tasks, not for {}", other.type_name());
                return Err(PlanError::field("task.url", problem));
            }
        }
        self.plan.validate()?;
        Ok(self.plan)
    }
}

/// A swarm on this machine for the length of the test, started from the command line, and not
/// with `--api` or `--standalone`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// Node processes to start besides this one.
    #[schemars(range(max = MAX_LOCAL_NODES))]
    pub nodes: u32,
    /// A built-in target to start, if the plan has no URL.
    pub target: Option<LocalTarget>,
}

/// How the built-in target answers.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalTarget {
    /// Time until it answers.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1m"))]
    pub latency: Duration,
    /// How much earlier or later each response is, at random.
    #[serde(with = "units::as_text")]
    #[schemars(with = "units::Time", extend("x-range" = "0s to 1m"))]
    pub jitter: Duration,
    /// Part of the requests answered with status 500.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: f64,
}

impl Local {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        if self.nodes > MAX_LOCAL_NODES {
            let problem = format!(
                "{} is not allowed; it must be between 0 and {MAX_LOCAL_NODES}",
                self.nodes
            );
            return Err(PlanError::field("local.nodes", problem));
        }
        let Some(target) = &self.target else {
            return Ok(());
        };
        for (field, given) in [
            ("local.target.latency", target.latency),
            ("local.target.jitter", target.jitter),
        ] {
            if given > Duration::from_secs(60) {
                let problem = format!(
                    "{} is not allowed; it must be at most 1m",
                    show_duration(given)
                );
                return Err(PlanError::field(field, problem));
            }
        }
        if !(0.0..=1.0).contains(&target.error_rate) {
            let problem = format!("{} is not between 0 and 1", target.error_rate);
            return Err(PlanError::field("local.target.error_rate", problem));
        }
        Ok(())
    }
}

/// A plan: what to send, how much of it, and what makes a result good. It has either a `task`,
/// one request again and again, or scenarios.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan", extend("oneOf" = [{"required": ["task"]}, {"required": ["scenario"]}]))]
#[schemars(extend("dependentRequired" = {
    "http": ["scenario"], "data": ["scenario"], "vars": ["scenario"], "setup": ["scenario"],
    "teardown": ["scenario"],
}))]
pub(super) struct RawFile {
    /// A name for people; shown in lists and reports.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// Free marks, kept in the result: `{ build = "17" }`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MAX_PAIRS))]
    tags: BTreeMap<String, String>,
    task: Option<RawTask>,
    #[serde(default)]
    http: Option<RawHttp>,
    /// What users do: a user, or an arrival, goes through the steps of one of these.
    #[serde(default)]
    scenario: Vec<RawScenario>,
    /// Rows that templates use, by the name they use.
    #[serde(default)]
    data: BTreeMap<String, RawData>,
    /// Constants that templates use as `{{ vars.NAME }}`: texts, numbers, true or false.
    /// `start-test --var NAME=VALUE` puts others in their place.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>", extend("maxProperties" = MAX_VARS))]
    vars: Values,
    /// Steps that one node carries out once, before the load begins. What they extract is
    /// `{{ setup.NAME }}` in all scenarios and in the teardown.
    #[serde(default)]
    #[schemars(length(max = MAX_ONCE_STEPS))]
    setup: RawSteps,
    /// Steps that one node carries out once, after the load.
    #[serde(default)]
    #[schemars(length(max = MAX_ONCE_STEPS))]
    teardown: RawSteps,
    load: RawLoad,
    /// What a good result is. If one is not kept, `start-test` exits with 99.
    #[serde(default)]
    #[schemars(length(max = MAX_PAIRS))]
    thresholds: Vec<Threshold>,
    #[serde(default)]
    swarm: SwarmRules,
    #[serde(default)]
    limits: Limits,
    local: Option<Local>,
}

/// Reads a plan file that names no other files.
///
/// # Errors
/// One line that says where and what.
pub fn parse_toml(text: &str) -> Result<PlanFile, PlanError> {
    let nowhere = |_: &str| Err("it can't be read from here".into());
    parse_plan(text, false, &nowhere)
}

/// Reads a plan file, TOML or JSON; `read` gives the text of a file that it names.
///
/// # Errors
/// One line that says where and what.
pub fn parse_plan(
    text: &str,
    json: bool,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<PlanFile, PlanError> {
    parse_plan_with(text, json, read, &Given::default())
}

/// What a plan gets besides its file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// In place of its own `[vars]`, or besides them.
    pub vars: Values,
    /// Names of `vars` whose values come later ([`PlanFile::give`]); of its own a plan keeps the
    /// value until then.
    pub later: BTreeSet<String>,
    /// It is one of a suite.
    pub suite: Option<InSuite>,
}

/// What a suite has for its plans. There `vars` are of no use for a plan without scenarios,
/// and no error.
#[derive(Clone, Copy, Debug)]
pub struct InSuite {
    /// It has a `[local]` table, which stands for that of its plans.
    pub local: bool,
    /// That table starts a target.
    pub target: bool,
}

/// [`parse_plan`], with what the plan gets besides its file.
///
/// # Errors
/// As there; also if it is given `vars`, is none of scenarios and stands alone.
pub fn parse_plan_with(
    text: &str,
    json: bool,
    read: &dyn Fn(&str) -> Result<String, String>,
    given: &Given,
) -> Result<PlanFile, PlanError> {
    if text.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge(text.len()));
    }
    let tree = match json {
        true => source::json(text)?,
        false => source::toml(text)?,
    };
    let raw: RawFile = read_from(&tree, text)?;
    raw.into_file(read, given)
}

impl RawFile {
    /// Makes a plan of what was written.
    pub(super) fn into_file(
        self,
        read: &dyn Fn(&str) -> Result<String, String>,
        given: &Given,
    ) -> Result<PlanFile, PlanError> {
        file_of(self, read, given)
    }
}

fn file_of(
    mut raw: RawFile,
    read: &dyn Fn(&str) -> Result<String, String>,
    given: &Given,
) -> Result<PlanFile, PlanError> {
    let starts_target = match given.suite {
        Some(suite) => suite.target,
        None => raw.local.as_ref().is_some_and(|l| l.target.is_some()),
    };
    if let Some(suite) = given.suite {
        if raw.local.is_some() && !suite.local {
            return Err(PlanError::field(
                "local",
                "is for a plan that runs alone; in a suite, [local] stands in the suite file itself \
                 and serves all its plans",
            ));
        }
        raw.local = None;
    }
    let vars_of_no_use = !given.vars.is_empty() && given.suite.is_none();
    let mut awaited = BTreeSet::new();
    let mut blobs = Vec::new();
    let (task, needs_target) = match (raw.task, raw.scenario.is_empty()) {
        (Some(_), false) => {
            return Err(PlanError::field(
                "task",
                "and scenarios exclude each other; make the task a step of a scenario",
            ));
        }
        (None, true) => {
            return Err(PlanError::field(
                "task",
                "is missing; say what to send in [task], or in [[scenario]] with its steps",
            ));
        }
        (Some(_), true) if raw.http.is_some() || !raw.data.is_empty() => {
            return Err(PlanError::field(
                "http",
                "and data are for scenarios; a [task] says everything itself",
            ));
        }
        (Some(_), true) if !(raw.setup.is_empty() && raw.teardown.is_empty()) => {
            let field = match raw.setup.is_empty() {
                true => "teardown",
                false => "setup",
            };
            return Err(PlanError::field(
                field,
                "is for scenarios; make the task a step of a scenario, or leave it out",
            ));
        }
        (Some(_), true) if !raw.vars.is_empty() || vars_of_no_use => {
            return Err(PlanError::field(
                "vars",
                "are for the steps of scenarios, and the plan has a [task]; make it a step of a \
                 scenario, or leave them out",
            ));
        }
        (Some(mut task), true) => {
            let needs_target = starts_target && task.wants_url();
            if needs_target {
                task.url = Some(STAND_IN_URL.to_owned());
            }
            (task.try_into()?, needs_target)
        }
        (None, false) => {
            let mut http = raw.http.unwrap_or_default();
            let needs_target = starts_target && http.base_url.is_none();
            if needs_target {
                http.base_url = Some(STAND_IN_URL.to_owned());
            }
            let mut all = raw.vars;
            all.extend(given.vars.clone());
            for name in &given.later {
                // So that templates can be checked before it is there.
                all.entry(name.clone()).or_insert_with(|| {
                    awaited.insert(name.clone());
                    Scalar::Text(String::new())
                });
            }
            let once = [raw.setup, raw.teardown];
            let (made, files) = Scenarios::from_raw(http, raw.scenario, raw.data, once, all, read)?;
            blobs = files;
            (Task::Scenarios(Box::new(made)), needs_target)
        }
    };
    let plan = Plan {
        name: raw.name,
        tags: raw.tags,
        task,
        load: raw.load.try_into()?,
        swarm: raw.swarm,
        limits: raw.limits,
        thresholds: raw.thresholds,
    };
    plan.validate()?;
    if let Some(local) = &raw.local {
        local.validate()?;
    }
    Ok(PlanFile {
        plan,
        needs_target,
        local: raw.local,
        blobs,
        awaited,
    })
}

/// Reads a plan from JSON, as the HTTP API takes it and nodes exchange it.
///
/// # Errors
/// One line that says where and what.
pub fn parse_json(bytes: &[u8]) -> Result<Plan, PlanError> {
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let place = e.valid_up_to()..e.valid_up_to();
        PlanError::syntax(&String::from_utf8_lossy(bytes), place, "", "is no UTF-8")
    })?;
    let plan: Plan = read_from(&source::json(text)?, text)?;
    plan.validate()?;
    Ok(plan)
}

pub(super) fn read_from<'de, T: Deserialize<'de>>(
    tree: &'de Node,
    text: &str,
) -> Result<T, PlanError> {
    T::deserialize(tree).map_err(|wrong| {
        let elsewhere = wrong.stray().map(schema::places_of).unwrap_or_default();
        let wrong = match (wrong.stray(), elsewhere.as_slice()) {
            (Some(key), [_, ..]) => {
                let help = format!("`{key}` belongs {}", elsewhere.join(" or "));
                wrong.and(help)
            }
            _ => wrong,
        };
        wrong.in_text(text)
    })
}

impl Plan {
    /// The canonical form: JSON with its fields in the order of the types, no white space.
    /// Its SHA-256 names the plan.
    pub fn to_bytes(&self) -> Vec<u8> {
        match serde_json::to_vec(self) {
            Ok(bytes) => bytes,
            Err(_) => unreachable!("all keys are text and no value fails to serialise"),
        }
    }

    /// A plan from another node, checked like any other.
    ///
    /// # Errors
    /// As [`parse_json`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Plan, PlanError> {
        parse_json(bytes)
    }
}

//! From text to a plan, and to its canonical bytes.
//!
//! Errors are one line each. They name the field, repeat what was given and say what is
//! allowed; those of a file also name line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::raw::{RawLoad, RawTask};
use super::scenario::{Blob, RawData, RawHttp, RawScenario, RawSteps, Scalar, Values};
use super::units::{self, show_duration};
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
    #[error("{place}: {problem}")]
    Syntax {
        /// Line and column, and the field where it is known.
        place: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A value that is not allowed.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path in the plan.
        field: std::borrow::Cow<'static, str>,
        /// What was given and what is allowed.
        problem: String,
    },
    /// Larger than [`MAX_PLAN_BYTES`].
    #[error("the plan has {0} bytes; at most {MAX_PLAN_BYTES} are allowed")]
    TooLarge(usize),
}

impl PlanError {
    /// A value that is not allowed.
    pub fn field(field: &'static str, problem: impl Into<String>) -> PlanError {
        PlanError::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// Something wrong at an offset of a TOML text.
    pub(super) fn in_toml(text: &str, offset: usize, problem: String) -> PlanError {
        let (place, line, column) = place_in_toml(text, offset);
        PlanError::Syntax {
            place,
            line,
            column,
            problem,
        }
    }

    /// The same, at a place that is not known beforehand.
    pub fn at(place: String, problem: impl Into<String>) -> PlanError {
        PlanError::Field {
            field: place.into(),
            problem: problem.into(),
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

/// The `[local]` table: a swarm on this machine, started from the command line.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// Node processes to start besides this one (0 to 50).
    pub nodes: u32,
    /// A built-in target to start.
    pub target: Option<LocalTarget>,
}

/// How the built-in target answers.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalTarget {
    /// Time until it answers.
    #[serde(with = "units::as_text")]
    pub latency: Duration,
    /// Largest random addition to it.
    #[serde(with = "units::as_text")]
    pub jitter: Duration,
    /// Part of the requests answered with status 500, 0 to 1.
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

/// A plan as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    name: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    task: Option<RawTask>,
    #[serde(default)]
    http: Option<RawHttp>,
    #[serde(default)]
    scenario: Vec<RawScenario>,
    #[serde(default)]
    data: BTreeMap<String, RawData>,
    #[serde(default)]
    vars: Values,
    #[serde(default)]
    setup: RawSteps,
    #[serde(default)]
    teardown: RawSteps,
    load: RawLoad,
    #[serde(default)]
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
    let raw: RawFile = match json {
        true => serde_json::from_str(text).map_err(|e| json_error(text.as_bytes(), &e))?,
        false => toml::from_str(text).map_err(|e| toml_error(text, &e))?,
    };
    raw.into_file(read, given)
}

/// An error of the TOML parser as ours.
pub(super) fn toml_error(text: &str, e: &toml::de::Error) -> PlanError {
    let offset = e.span().map_or(text.len(), |s| s.start);
    PlanError::in_toml(text, offset, one_line(e.message()))
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
    let plan: Plan = serde_json::from_slice(bytes).map_err(|e| json_error(bytes, &e))?;
    plan.validate()?;
    Ok(plan)
}

fn json_error(bytes: &[u8], e: &serde_json::Error) -> PlanError {
    let place = format!("line {}, column {}", e.line(), e.column());
    let full = e.to_string();
    let problem = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(m, _)| m);
    let field = last_json_key(bytes, e.line(), e.column());
    PlanError::Syntax {
        place: match field.filter(|f| !problem.contains(f.as_str())) {
            Some(field) => format!("{place} ({field})"),
            None => place,
        },
        line: e.line(),
        column: e.column(),
        problem: one_line(problem),
    }
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

/// Line and column of an offset, and the field written there: the key of the line, below the
/// last table header before it.
fn place_in_toml(text: &str, offset: usize) -> (String, usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    let place = format!("line {line}, column {column}");
    let rest = text[line_start..].lines().next().unwrap_or_default();
    let Some((key, _)) = rest.split_once('=') else {
        return (place, line, column);
    };
    let table = text[..line_start]
        .lines()
        .rev()
        .find_map(|l| l.trim().strip_prefix('[').and_then(|l| l.split(']').next()));
    let place = match table {
        Some(table) => format!("{place} ({}.{})", table.trim_matches('['), key.trim()),
        None => format!("{place} ({})", key.trim()),
    };
    (place, line, column)
}

/// The last key written before a position.
fn last_json_key(bytes: &[u8], line: usize, column: usize) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let start: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let mut at = (start + column).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let colon = text[..at].rfind("\":")?;
    let open = text[..colon].rfind('"')?;
    Some(text[open + 1..colon].to_owned())
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

//! Suites: several plans in one file, one after the other or all at the same time, with one
//! report.
//!
//! A file with a `[suite]` table is one. Each `[[plan]]` names a plan's file or has the plan's
//! own keys. In sequence, what one plan found or measured can be `vars` of those after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostics::{below, show};
use super::parse::{Given, InSuite, RawFile, parse_plan_with};
use super::scenario::{Values, is_name};
use super::threshold::Measure;
use super::{Local, MAX_PLAN_BYTES, PlanError, PlanFile, units};

/// Most plans of a suite.
const MAX_PLANS: usize = 32;
/// Most values that a plan passes on.
const MAX_PASSED: usize = 32;
/// Longest pause between two plans.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Several plans.
#[derive(Clone, PartialEq, Debug)]
pub struct Suite {
    /// For people.
    pub name: Option<String>,
    /// In what order.
    pub mode: Mode,
    /// Between two plans of a sequence (0 to 1 h).
    pub pause: Duration,
    /// When no further plan begins.
    pub stop_on: StopOn,
    /// Processes to start for the whole suite.
    pub local: Option<Local>,
    /// At least one (at most 32).
    pub plans: Vec<SuitePlan>,
}

/// In what order plans run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One after the other.
    #[default]
    Sequential,
    /// All at the same time.
    Parallel,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Sequential => "sequential",
            Mode::Parallel => "parallel",
        })
    }
}

/// When no further plan of a sequence begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopOn {
    /// All run, whatever comes out.
    #[default]
    Never,
    /// After one that could not run, or did not keep a threshold.
    Failure,
}

/// A plan of a suite.
#[derive(Clone, PartialEq, Debug)]
pub struct SuitePlan {
    /// Unique in the suite.
    pub name: String,
    /// The plan.
    pub file: PlanFile,
    /// What later plans get from it, by the name that they have for it in `vars`.
    pub pass: BTreeMap<String, Passed>,
}

/// A value of a plan that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passed {
    /// `setup.NAME`: what its setup found.
    Setup(String),
    /// A number of its result: milliseconds, a share from 0 to 1, or a second⁻¹.
    Measured(Measure),
}

impl FromStr for Passed {
    type Err = String;

    fn from_str(text: &str) -> Result<Passed, String> {
        match text.trim().strip_prefix("setup.") {
            Some(name) => Ok(Passed::Setup(name.to_owned())),
            None => text.parse().map(Passed::Measured).map_err(|why| {
                format!("{text:?} can't be passed on: it is no setup.NAME, and {why}")
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Passed, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a suite is none.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{}{}{error}", named(.plan), in_file(.file))]
pub struct SuiteError {
    /// The plan that it is about, if it is about one.
    pub plan: Option<String>,
    /// That plan's file and its text, if it has one.
    pub file: Option<(String, String)>,
    /// What is wrong.
    pub error: Box<PlanError>,
}

fn named(plan: &Option<String>) -> String {
    let named = plan.as_ref().map(|name| format!("plan {name:?}: "));
    named.unwrap_or_default()
}

fn in_file(file: &Option<(String, String)>) -> String {
    let file = file.as_ref().map(|(name, _)| format!("{name}: "));
    file.unwrap_or_default()
}

impl SuiteError {
    /// As a compiler shows it; `name` and `text` are the suite's own.
    pub fn show(&self, name: &str, text: &str) -> String {
        let shown = match &self.file {
            Some((file, text)) => {
                let beside = Path::new(name).with_file_name("").join(file);
                show(&self.error, &beside.display().to_string(), text)
            }
            None => show(&self.error, name, text),
        };
        format!("{}{shown}", named(&self.plan))
    }
}

impl From<PlanError> for SuiteError {
    fn from(error: PlanError) -> SuiteError {
        SuiteError {
            plan: None,
            file: None,
            error: Box::new(error),
        }
    }
}

/// Whether a text is that of a suite: it has a `[suite]` table.
pub fn is_suite(text: &str) -> bool {
    let (table, _) = DeTable::parse_recoverable(text);
    table.get_ref().contains_key("suite")
}

/// `[suite]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSuite {
    name: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default, with = "units::as_text")]
    pause: Duration,
    #[serde(default)]
    stop_on: StopOn,
}

/// Reads a suite, TOML; `read` gives the text of a file that it or one of its plans names,
/// from where the suite is. `vars` are given to all its plans.
///
/// # Errors
/// What is wrong, in which plan, and where.
pub fn parse_suite(
    text: &str,
    read: &dyn Fn(&str) -> Result<String, String>,
    vars: &Values,
) -> Result<Suite, SuiteError> {
    if text.len() > MAX_PLAN_BYTES {
        return Err(PlanError::TooLarge(text.len()).into());
    }
    let table = DeTable::parse(text).map_err(|e| toml_error(text, &e))?;
    let mut table = table.into_inner();
    let suite = table.remove("suite");
    let local = table.remove("local");
    let plans = table.remove("plan");
    if let Some((key, _)) = table.iter().next() {
        let problem = format!(
            "unknown field `{}`, expected one of `suite`, `plan`, `local`; a plan's own keys stand \
             in [[plan]] or below it",
            key.get_ref()
        );
        return Err(wrong_at(text, key.span().start, &problem).into());
    }
    let suite: RawSuite = part(text, suite)?.ok_or_else(|| {
        PlanError::field("suite", "is missing; a suite's file has a [suite] table")
    })?;
    let local: Option<Local> = part(text, local)?;
    local.iter().try_for_each(Local::validate)?;
    suite.validate()?;
    let in_suite = InSuite {
        local: local.is_some(),
        target: local.as_ref().is_some_and(|l| l.target.is_some()),
    };
    let mut reading = Reading {
        text,
        read,
        mode: suite.mode,
        given: Given {
            vars: vars.clone(),
            later: BTreeSet::new(),
            suite: Some(in_suite),
        },
        plans: Vec::new(),
    };
    for (number, entry) in entries(text, plans)?.into_iter().enumerate() {
        reading.plan(number, entry)?;
    }
    Ok(Suite {
        name: suite.name,
        mode: suite.mode,
        pause: suite.pause,
        stop_on: suite.stop_on,
        local,
        plans: reading.plans,
    })
}

impl RawSuite {
    fn validate(&self) -> Result<(), PlanError> {
        if self.name.as_ref().is_some_and(|name| !is_title(name)) {
            let problem = "must have 1 to 100 characters and no control characters";
            return Err(PlanError::field("suite.name", problem));
        }
        if self.pause > MAX_PAUSE {
            let given = units::show_duration(self.pause);
            let problem = format!("{given} is not allowed; it must be between 0s and 1h");
            return Err(PlanError::field("suite.pause", problem));
        }
        let only_sequential = [
            ("suite.pause", !self.pause.is_zero()),
            ("suite.stop_on", self.stop_on != StopOn::Never),
        ];
        let given = only_sequential.into_iter().find(|(_, given)| *given);
        match (self.mode, given) {
            (Mode::Parallel, Some((field, _))) => Err(PlanError::field(
                field,
                "is for plans one after the other; in parallel, leave it out",
            )),
            _ => Ok(()),
        }
    }
}

fn is_title(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A value of the suite's table, with errors that say where.
fn part<T: de::DeserializeOwned>(
    text: &str,
    value: Option<Spanned<DeValue>>,
) -> Result<Option<T>, PlanError> {
    let value = value.map(|value| T::deserialize(ValueDeserializer::from(value)));
    value.transpose().map_err(|e| toml_error(text, &e))
}

type Entry<'a> = Spanned<DeTable<'a>>;

/// The tables of `[[plan]]`.
fn entries<'a>(
    text: &str,
    plans: Option<Spanned<DeValue<'a>>>,
) -> Result<Vec<Entry<'a>>, PlanError> {
    let missing = || PlanError::field("plan", "is missing; a suite has at least one [[plan]]");
    let plans = plans.ok_or_else(missing)?;
    let at = plans.span().start;
    let wrong = |problem: &str| wrong_at(text, at, problem);
    let DeValue::Array(plans) = plans.into_inner() else {
        return Err(wrong("plan is no list; write each plan as [[plan]]"));
    };
    if plans.is_empty() || plans.len() > MAX_PLANS {
        let problem = format!(
            "a suite has 1 to {MAX_PLANS} plans, and this one {}",
            plans.len()
        );
        return Err(wrong(&problem));
    }
    let table = |plan: Spanned<DeValue<'a>>| match (plan.span(), plan.into_inner()) {
        (span, DeValue::Table(table)) => Ok(Spanned::new(span, table)),
        _ => Err(wrong("plan is no table; write each plan as [[plan]]")),
    };
    plans.into_iter().map(table).collect()
}

/// A suite that is being read, plan by plan.
struct Reading<'a> {
    text: &'a str,
    read: &'a dyn Fn(&str) -> Result<String, String>,
    mode: Mode,
    /// What the next plan gets.
    given: Given,
    plans: Vec<SuitePlan>,
}

impl Reading<'_> {
    fn plan(&mut self, number: usize, entry: Entry) -> Result<(), SuiteError> {
        let (span, text) = (entry.span(), self.text);
        let mut entry = entry.into_inner();
        let [name_at, pass_at, file_at] = ["name", "pass", "file"].map(|key| {
            let value = entry.get(key);
            value.map_or(span.start, |value| value.span().start)
        });
        let name: Option<String> = part(text, entry.remove("name"))?;
        let wrong = |at: usize, problem: String| wrong_at(text, at, &problem);
        let name = name.ok_or_else(|| {
            wrong(
                span.start,
                "a [[plan]] has no name; give it one of its own".into(),
            )
        })?;
        if !is_title(&name) {
            let problem = "a name has 1 to 100 characters and no control characters";
            return Err(wrong(name_at, problem.into()).into());
        }
        if self.plans.iter().any(|plan| plan.name == name) {
            return Err(wrong(name_at, format!("{name:?} is the name of another plan")).into());
        }
        let about = |mut e: SuiteError| {
            e.plan = Some(name.clone());
            e
        };
        let pass = part(text, entry.remove("pass")).map_err(|e| about(e.into()))?;
        let pass: BTreeMap<String, Passed> = pass.unwrap_or_default();
        let file: Option<String> = part(text, entry.remove("file")).map_err(|e| about(e.into()))?;
        let mut plan = match file {
            Some(file) => match entry.keys().next() {
                Some(key) => {
                    let problem = format!(
                        "has a file and {} of its own; leave one of them out",
                        key.get_ref()
                    );
                    Err(wrong(key.span().start, problem).into())
                }
                None => self.named(file, file_at),
            },
            None => self.inline(number, Spanned::new(span, entry)),
        }
        .map_err(about)?;
        plan.name_by_default(&name);
        self.check_pass(&plan, &pass)
            .map_err(|problem| about(wrong(pass_at, problem).into()))?;
        self.given.later.extend(pass.keys().cloned());
        self.plans.push(SuitePlan {
            name,
            file: plan,
            pass,
        });
        Ok(())
    }

    /// A plan in a file of its own; what that names is beside it.
    fn named(&self, file: String, at: usize) -> Result<PlanFile, SuiteError> {
        let unreadable =
            |why: String| wrong_at(self.text, at, &format!("cannot read {file}: {why}"));
        let text = (self.read)(&file).map_err(unreadable)?;
        let beside = Path::new(&file).parent().unwrap_or(Path::new(""));
        let read = |name: &str| (self.read)(&beside.join(name).to_string_lossy());
        let error = match is_suite(&text) {
            true => PlanError::field("suite", "can't be a plan of another suite"),
            false => match parse_plan_with(&text, file.ends_with(".json"), &read, &self.given) {
                Ok(plan) => return Ok(plan),
                Err(error) => error,
            },
        };
        Err(SuiteError {
            file: Some((file, text)),
            ..error.into()
        })
    }

    /// A plan whose keys are in the suite itself.
    fn inline(&self, number: usize, entry: Entry) -> Result<PlanFile, SuiteError> {
        if let Some((key, _)) = entry.get_ref().get_key_value("local") {
            let problem = "[local] of a suite stands at its top and serves all plans";
            return Err(wrong_at(self.text, key.span().start, problem).into());
        }
        let entry = Spanned::new(entry.span(), DeValue::Table(entry.into_inner()));
        let raw = RawFile::deserialize(ValueDeserializer::from(entry));
        let raw = raw.map_err(|e| toml_error(self.text, &e))?;
        raw.into_file(self.read, &self.given)
            .map_err(|error| below(error, &["plan".into(), number.into()]).into())
    }

    fn check_pass(&self, plan: &PlanFile, pass: &BTreeMap<String, Passed>) -> Result<(), String> {
        if pass.is_empty() {
            return Ok(());
        }
        if self.mode == Mode::Parallel {
            return Err(
                "pass is for plans one after the other; in parallel none comes later: leave it out, \
                 or set suite.mode to \"sequential\""
                    .into(),
            );
        }
        if pass.len() > MAX_PASSED {
            return Err(format!(
                "pass has {} entries; at most {MAX_PASSED} are allowed",
                pass.len()
            ));
        }
        for (name, passed) in pass {
            if !is_name(name) {
                return Err(format!(
                    "pass.{name} is no name; take letters, digits and _"
                ));
            }
            let found = plan.scenarios().map(|s| s.setup_names());
            let found = found.unwrap_or_default();
            if let Passed::Setup(of) = passed
                && !found.contains(of.as_str())
            {
                let there: Vec<String> = found.iter().map(|n| format!("setup.{n}")).collect();
                return Err(format!(
                    "pass.{name}: the plan's setup finds no {of}; there are: {}",
                    match there.is_empty() {
                        true => "none".to_owned(),
                        false => there.join(", "),
                    }
                ));
            }
        }
        Ok(())
    }
}

/// Something wrong at an offset of the text.
fn wrong_at(text: &str, offset: usize, problem: &str) -> PlanError {
    PlanError::syntax(text, offset..offset + 1, "", problem)
}

/// An error of the TOML parser as ours.
fn toml_error(text: &str, e: &toml::de::Error) -> PlanError {
    let at = e.span().unwrap_or(text.len()..text.len());
    PlanError::syntax(text, at, "", e.message())
}

#[cfg(test)]
#[path = "suite_tests.rs"]
mod tests;

//! From text to a suite.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, de};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::model::{Mode, Passed, PassedError, StopOn, Suite, SuiteError, SuitePlan};
use crate::error::PlanError;
use crate::limits::{MAX_PASSED, MAX_PAUSE, MAX_PLAN_BYTES, MAX_PLANS};
use crate::local::Local;
use crate::names::is_name;
use crate::parse::parse_plan_with;
use crate::path::Path as FieldPath;
use crate::plan_file::{FileError, InSuite, PlanFile, PlanInputs, ReadFile};
use crate::raw::RawFile;
use crate::scenario::Values;
use crate::units;

/// Whether a text is a suite: it has a `[suite]` table.
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

/// Reads a suite in TOML; `read` returns the text of a file that it or one of its plans names,
/// relative to the suite. All its plans get `vars`.
///
/// # Errors
/// The first problem, with its plan and place.
pub fn parse_suite(text: &str, read: &ReadFile<'_>, vars: &Values) -> Result<Suite, SuiteError> {
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
            "unknown field `{}`, expected one of `suite`, `plan`, `local`; the keys of a plan \
             belong in [[plan]] or below it",
            key.get_ref()
        );
        return Err(wrong_at(text, key.span().start, &problem).into());
    }
    let suite: RawSuite = part(text, suite)?
        .ok_or_else(|| PlanError::field("suite", "is missing; a suite has a [suite] table"))?;
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
        given: PlanInputs {
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

/// Reads a value of the suite; errors have their place.
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
        return Err(wrong("plan is not a list; write each plan as [[plan]]"));
    };
    if plans.is_empty() || plans.len() > MAX_PLANS {
        let problem = format!(
            "a suite has 1 to {MAX_PLANS} plans; this one has {}",
            plans.len()
        );
        return Err(wrong(&problem));
    }
    let table = |plan: Spanned<DeValue<'a>>| match (plan.span(), plan.into_inner()) {
        (span, DeValue::Table(table)) => Ok(Spanned::new(span, table)),
        _ => Err(wrong("plan is not a table; write each plan as [[plan]]")),
    };
    plans.into_iter().map(table).collect()
}

/// State while a suite is read, plan by plan.
struct Reading<'a> {
    text: &'a str,
    read: &'a ReadFile<'a>,
    mode: Mode,
    /// Values for the next plan.
    given: PlanInputs,
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
                "a [[plan]] has no name; give it a unique one".into(),
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
                        "has both a file and {}; leave one of them out",
                        key.get_ref()
                    );
                    Err(wrong(key.span().start, problem).into())
                }
                None => self.in_file(file, file_at),
            },
            None => self.inline(number, Spanned::new(span, entry)),
        }
        .map_err(about)?;
        plan.name_by_default(&name);
        self.check_pass(&plan, &pass)
            .map_err(|e| about(wrong(pass_at, e.to_string()).into()))?;
        self.given.later.extend(pass.keys().cloned());
        self.plans.push(SuitePlan {
            name,
            file: plan,
            pass,
        });
        Ok(())
    }

    /// A plan in a file of its own, which names other files relative to itself.
    fn in_file(&self, file: String, at: usize) -> Result<PlanFile, SuiteError> {
        let unreadable =
            |e: FileError| wrong_at(self.text, at, &format!("cannot read {file}: {e}"));
        let text = (self.read)(&file).map_err(unreadable)?;
        let directory = Path::new(&file).parent().unwrap_or(Path::new(""));
        let read = |name: &str| (self.read)(&directory.join(name).to_string_lossy());
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

    /// A plan with its keys in the suite itself.
    fn inline(&self, number: usize, entry: Entry) -> Result<PlanFile, SuiteError> {
        if let Some((key, _)) = entry.get_ref().get_key_value("local") {
            let problem = "[local] of a suite belongs at its top level and applies to all plans";
            return Err(wrong_at(self.text, key.span().start, problem).into());
        }
        let entry = Spanned::new(entry.span(), DeValue::Table(entry.into_inner()));
        let raw = RawFile::deserialize(ValueDeserializer::from(entry));
        let raw = raw.map_err(|e| toml_error(self.text, &e))?;
        raw.into_file(self.read, &self.given)
            .map_err(|error| error.below(&FieldPath::dotted("plan").then(number)).into())
    }

    fn check_pass(
        &self,
        plan: &PlanFile,
        pass: &BTreeMap<String, Passed>,
    ) -> Result<(), PassedError> {
        if pass.is_empty() {
            return Ok(());
        }
        if self.mode == Mode::Parallel {
            return Err(PassedError::Parallel);
        }
        if pass.len() > MAX_PASSED {
            return Err(PassedError::Count(pass.len()));
        }
        let extracted = plan.scenarios().map(|s| s.setup_names());
        let extracted = extracted.unwrap_or_default();
        for (name, passed) in pass {
            if !is_name(name) {
                return Err(PassedError::Name(name.clone()));
            }
            if let Passed::Setup(value) = passed
                && !extracted.contains(value.as_str())
            {
                let available = extracted.iter().map(|n| format!("setup.{n}"));
                let available = available.collect::<Vec<_>>().join(", ");
                return Err(PassedError::Unknown {
                    name: name.clone(),
                    value: value.clone(),
                    available: match available.is_empty() {
                        true => "none".to_owned(),
                        false => available,
                    },
                });
            }
        }
        Ok(())
    }
}

/// An error at an offset of the text.
fn wrong_at(text: &str, offset: usize, problem: &str) -> PlanError {
    PlanError::syntax(text, offset..offset + 1, FieldPath::default(), problem)
}

/// An error of the TOML parser.
fn toml_error(text: &str, e: &toml::de::Error) -> PlanError {
    let at = e.span().unwrap_or(text.len()..text.len());
    PlanError::syntax(text, at, FieldPath::default(), e.message())
}

//! The rules of scenarios.

use std::collections::BTreeSet;

use vajra_core::Hook;

use super::data::{Data, Pick};
use super::model::{Scenario, Scenarios, Step, pairs};
use super::text::{BUILT_IN, PREFIXES, TemplateError, paths, trial, variables};
use super::values::validate_vars;
use crate::error::PlanError;
use crate::http::validate_request;
use crate::limits::{
    MAX_ALL_FILES, MAX_FILES, MAX_HOOK_STEPS, MAX_LABELS, MAX_NAME, MAX_OF_STEP, MAX_STEPS,
    MAX_WEIGHT,
};
use crate::load::{Load, Model};
use crate::names::is_name;
use crate::path::Path;
use crate::profile::Profile;
use crate::ranges::{HOUR, MS, duration};
use crate::suggest::nearest;
use crate::url::TargetUrl;

/// Names of variables.
type Names = BTreeSet<String>;

/// A scenario or step in errors: its name and its path.
struct Place {
    label: String,
    path: Path,
}

impl Place {
    fn of_scenario(i: usize, scenario: &Scenario) -> Place {
        Place {
            label: format!("scenario {:?}", scenario.name),
            path: Path::dotted("scenario").then(i),
        }
    }

    fn of_hook_step(hook: Hook, n: usize, step: &Step) -> Place {
        Place {
            label: format!("{hook} step {:?}", step.name),
            path: Path::dotted(&hook.to_string()).then(n),
        }
    }

    fn step(&self, n: usize, step: &Step) -> Place {
        Place {
            label: format!("{}, step {:?}", self.label, step.name),
            path: self.path.then("step").then(n),
        }
    }

    /// An error of a key.
    fn wrong(&self, key: &str, problem: impl ToString) -> PlanError {
        self.wrong_at(&Path::dotted(key), problem)
    }

    fn wrong_at(&self, below: &Path, problem: impl ToString) -> PlanError {
        PlanError::at(self.path.join(below), problem).labelled(self.label.as_str())
    }
}

fn data_error(name: &str, problem: impl ToString) -> PlanError {
    PlanError::at(Path::dotted("data").then(name), problem)
}

/// Why a placeholder can't be filled in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum PlaceholderError {
    #[error(
        "{{{{ {name} }}}} is not known here; available: {}env.NAME{}",
        known.iter().map(|name| format!("{name}, ")).collect::<String>(),
        hint(.suggestion)
    )]
    Unknown {
        name: String,
        known: Names,
        suggestion: Option<String>,
    },
    #[error(
        "{{{{ {name} }}}} is data; the {hook} runs once and has no row of it: use a constant of [vars]"
    )]
    DataInHook { name: String, hook: Hook },
    #[error("{{{{ {first}.{second} }}}} is not known here: {first} has no fields")]
    NoFields { first: String, second: String },
    #[error(
        "{{{{ {data}.{column} }}}} is not known here; {data} has: {columns}{}",
        hint(.suggestion)
    )]
    UnknownColumn {
        data: String,
        column: String,
        columns: String,
        suggestion: Option<String>,
    },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fn hint(suggestion: &Option<String>) -> String {
    let suggestion = suggestion.as_ref();
    suggestion.map_or_else(String::new, |s| format!(" (did you mean {{{{ {s} }}}}?)"))
}

impl PlaceholderError {
    /// Content of the placeholder, if the error is about a single one.
    fn content(&self) -> Option<String> {
        match self {
            PlaceholderError::Unknown { name, .. } | PlaceholderError::DataInHook { name, .. } => {
                Some(name.clone())
            }
            PlaceholderError::NoFields { first, second } => Some(format!("{first}.{second}")),
            PlaceholderError::UnknownColumn { data, column, .. } => {
                Some(format!("{data}.{column}"))
            }
            PlaceholderError::Template(_) => None,
        }
    }
}

impl Scenarios {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not allowed, and what is allowed.
    pub fn validate(&self, load: &Load) -> Result<(), PlanError> {
        let steps: usize = self.scenarios.iter().map(|s| s.steps.len()).sum();
        if steps > MAX_STEPS {
            return Err(PlanError::field(
                "scenario",
                format!("{steps} steps are more than a plan may have ({MAX_STEPS})"),
            ));
        }
        if self.scenarios.iter().all(|s| s.weight == 0) {
            return Err(PlanError::field(
                "scenario",
                "none has a weight above 0, so none would ever run",
            ));
        }
        TargetUrl::parse(&self.http.url).map_err(|e| self.base_url_error(e))?;
        self.http.validate("http")?;
        validate_vars(&self.vars)?;
        for hook in [Hook::Setup, Hook::Teardown] {
            self.validate_hook(hook)?;
        }
        let mut names = BTreeSet::new();
        for (i, scenario) in self.scenarios.iter().enumerate() {
            let place = Place::of_scenario(i, scenario);
            if !names.insert(scenario.name.as_str()) {
                return Err(place.wrong("name", "has the same name as another one"));
            }
            validate_scenario(scenario, &place)?;
            let mut known: Names = BUILT_IN.into_iter().map(str::to_owned).collect();
            known.extend(self.data.keys().cloned());
            known.extend(self.names_for(None));
            let place_of = |n, step: &Step| place.step(n, step);
            self.validate_steps(&scenario.steps, known, None, &place_of)?;
        }
        self.validate_all_data(load)
    }

    /// An error of the base URL. Without `http.base_url` it is that of the first step.
    fn base_url_error(&self, problem: impl ToString) -> PlanError {
        let first = self.scenarios.iter().position(|s| !s.steps.is_empty());
        match first.map(|i| (i, &self.scenarios[i])) {
            Some((i, s)) if s.steps[0].url == self.http.url => {
                let place = Place::of_scenario(i, s).step(0, &s.steps[0]);
                place.wrong("url", problem)
            }
            _ => PlanError::field("http.base_url", problem),
        }
    }

    fn validate_all_data(&self, load: &Load) -> Result<(), PlanError> {
        if self.data.len() > MAX_FILES {
            let given = self.data.len();
            return Err(PlanError::field(
                "data",
                format!("{given} files are more than a plan may have ({MAX_FILES})"),
            ));
        }
        let sizes = self.data.values().map(|d| d.bytes);
        let bytes = sizes.fold(0, u64::saturating_add);
        if bytes > MAX_ALL_FILES {
            return Err(PlanError::field(
                "data",
                format!("has {bytes} bytes in all; at most {MAX_ALL_FILES} are allowed"),
            ));
        }
        let mut all = self.data.iter();
        all.try_for_each(|(name, data)| self.validate_data(name, data, load))
    }

    fn validate_data(&self, name: &str, data: &Data, load: &Load) -> Result<(), PlanError> {
        if !is_name(name) || BUILT_IN.contains(&name) || PREFIXES.contains(&name) {
            let problem = "is not an allowed name for data; use letters, digits and _";
            return Err(data_error(name, problem));
        }
        data.validate().map_err(|e| data_error(name, e))?;
        match (data.pick, load.model) {
            (Pick::Unique, Model::Closed) => Err(data_error(
                name,
                "picks unique rows, which needs the open model (a rate); with users, pick = \"user\" \
                 assigns a row to each",
            )),
            (Pick::User, Model::Open) => Err(data_error(
                name,
                "picks a row for each user, which needs the closed model (users)",
            )),
            (Pick::User, Model::Closed) => {
                enough_for(name, data, load.users.unwrap_or_default().into())
            }
            (Pick::Unique, Model::Open) => {
                self.enough_unique(name, data, Profile::of(load).numbers())
            }
            _ => Ok(()),
        }
    }

    fn enough_unique(&self, name: &str, data: &Data, iterations: u64) -> Result<(), PlanError> {
        let needed = self.mix().before(iterations, |s| self.uses(s, name));
        let rows = data.rows;
        if needed <= rows {
            return Ok(());
        }
        Err(data_error(
            name,
            format!(
                "has {rows} rows, and the plan's arrivals need {needed} unique ones; add rows, or \
                 reduce the rate or the duration"
            ),
        ))
    }

    /// Whether all unique data has enough rows for this many iterations.
    ///
    /// # Errors
    /// The data that has too few.
    pub fn enough_rows(&self, iterations: u64) -> Result<(), PlanError> {
        let mut unique = self.data.iter().filter(|(_, d)| d.pick == Pick::Unique);
        unique.try_for_each(|(name, data)| self.enough_unique(name, data, iterations))
    }

    /// Whether all data with `pick = "user"` has enough rows for this many users.
    ///
    /// # Errors
    /// The data that has too few.
    pub fn enough_users(&self, users: f64) -> Result<(), PlanError> {
        let mut per_user = self.data.iter().filter(|(_, d)| d.pick == Pick::User);
        per_user.try_for_each(|(name, data)| enough_for(name, data, users))
    }

    /// Whether the texts of a scenario use this data.
    pub fn uses(&self, scenario: usize, data: &str) -> bool {
        let steps = self.scenarios[scenario].steps.iter();
        let common = self.http.headers.iter().map(|(_, value)| value.as_str());
        let mut texts = steps.flat_map(Step::texts).chain(common);
        texts.any(|text| variables(text).is_ok_and(|names| names.contains(data)))
    }

    /// The `vars` and `setup` variables of every step of a hook, or of a scenario.
    fn names_for(&self, hook: Option<Hook>) -> Names {
        let vars = self.vars.keys().map(|name| format!("vars.{name}"));
        let extracted = match hook {
            // Each step of the setup has only those of the steps before it.
            Some(Hook::Setup) => BTreeSet::new(),
            _ => self.setup_names(),
        };
        let extracted = extracted.into_iter().map(|name| format!("setup.{name}"));
        vars.chain(extracted).collect()
    }

    /// The common headers that a hook can fill in. Those with rows of data or variables of an
    /// iteration are for scenarios only, and those with the setup's values are not for the setup.
    pub(super) fn headers_for(&self, hook: Hook) -> Vec<(String, String)> {
        let known = self.names_for(Some(hook));
        let is_known = |name: &String| known.contains(name) || name.starts_with("env.");
        let fits = |text: &str| variables(text).is_ok_and(|names| names.iter().all(is_known));
        let headers = self.http.headers.iter();
        headers.filter(|(_, value)| fits(value)).cloned().collect()
    }

    fn validate_hook(&self, hook: Hook) -> Result<(), PlanError> {
        let steps = self.hook_steps(hook);
        if steps.len() > MAX_HOOK_STEPS {
            let given = steps.len();
            let problem = format!("has {given} steps; at most {MAX_HOOK_STEPS} are allowed");
            return Err(PlanError::field(&hook.to_string(), problem));
        }
        let place_of = |n, step: &Step| Place::of_hook_step(hook, n, step);
        self.validate_steps(steps, self.names_for(Some(hook)), Some(hook), &place_of)
    }

    /// Checks consecutive steps. `known` are the variables of the first one.
    fn validate_steps(
        &self,
        steps: &[Step],
        mut known: Names,
        hook: Option<Hook>,
        place_of: &dyn Fn(usize, &Step) -> Place,
    ) -> Result<(), PlanError> {
        let mut names = BTreeSet::new();
        for (n, step) in steps.iter().enumerate() {
            let place = place_of(n, step);
            if !names.insert(step.name.as_str()) {
                return Err(place.wrong("name", "has the same name as another one"));
            }
            self.validate_step(step, &place)?;
            for (path, text) in step.located_texts() {
                self.validate_text(text, &known, hook).map_err(|e| {
                    let content = e.content();
                    place.wrong_at(&path, e).about_placeholder(content)
                })?;
            }
            if hook.is_none() {
                self.validate_common(&known, &place)?;
            }
            known.extend(step.extract.keys().cloned());
            if hook == Some(Hook::Setup) {
                known.extend(step.extract.keys().map(|name| format!("setup.{name}")));
            }
        }
        Ok(())
    }

    /// Checks the common headers with the variables of a step.
    fn validate_common(&self, known: &Names, place: &Place) -> Result<(), PlanError> {
        for (path, text) in pairs("headers", &self.http.headers) {
            self.validate_text(text, known, None).map_err(|e| {
                let content = e.content();
                PlanError::at(Path::dotted("http").join(&path), e)
                    .labelled(place.label.as_str())
                    .about_placeholder(content)
            })?;
        }
        Ok(())
    }

    fn validate_text(
        &self,
        text: &str,
        known: &Names,
        hook: Option<Hook>,
    ) -> Result<(), PlaceholderError> {
        for name in variables(text)? {
            if known.contains(&name) || name.starts_with("env.") {
                continue;
            }
            if let (Some(hook), true) = (hook, self.data.contains_key(&name)) {
                return Err(PlaceholderError::DataInHook { name, hook });
            }
            let suggestion = nearest(&name, known.iter().map(String::as_str));
            return Err(PlaceholderError::Unknown {
                suggestion: suggestion.map(str::to_owned),
                known: known.clone(),
                name,
            });
        }
        for path in paths(text)? {
            self.validate_path(&path)?;
        }
        Ok(trial(text)?)
    }

    /// Checks the field of a row or of a number: `users.name`.
    fn validate_path(&self, path: &str) -> Result<(), PlaceholderError> {
        let mut parts = path.split('.');
        let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
            return Ok(());
        };
        if PREFIXES.contains(&first) {
            return Ok(());
        }
        if BUILT_IN.contains(&first) {
            return Err(PlaceholderError::NoFields {
                first: first.to_owned(),
                second: second.to_owned(),
            });
        }
        let Some(data) = self.data.get(first) else {
            return Ok(());
        };
        if data.columns.iter().any(|c| c == second) {
            return Ok(());
        }
        let suggestion = nearest(second, data.columns.iter().map(String::as_str));
        Err(PlaceholderError::UnknownColumn {
            data: first.to_owned(),
            column: second.to_owned(),
            columns: data.columns.join(", "),
            suggestion: suggestion.map(|column| format!("{first}.{column}")),
        })
    }

    fn validate_step(&self, step: &Step, place: &Place) -> Result<(), PlanError> {
        name(&step.name, place)?;
        labels(&step.labels, place)?;
        let (origin, _) = self.split(step).map_err(|e| place.wrong("url", e))?;
        TargetUrl::parse(origin).map_err(|e| place.wrong("url", e))?;
        validate_request(&step.method, &step.headers)
            .map_err(|e| place.wrong_at(&e.path(), format!("{}: {e}", e.key())))?;
        if let Some(timeout) = step.timeout {
            duration(timeout, MS, HOUR)
                .map_err(|e| place.wrong("timeout", format!("timeout: {e}")))?;
        }
        let think = step.think.validate();
        think.map_err(|e| place.wrong("think", format!("think: {e}")))?;
        for (key, count) in [("extract", step.extract.len()), ("check", step.check.len())] {
            if count > MAX_OF_STEP {
                let problem = format!("{key} has {count} entries; {MAX_OF_STEP} are allowed");
                return Err(place.wrong(key, problem));
            }
        }
        for name in step.extract.keys() {
            let taken = BUILT_IN.contains(&name.as_str()) || self.data.contains_key(name);
            if !is_name(name) || taken || PREFIXES.contains(&name.as_str()) {
                let problem =
                    format!("extract.{name} is not an available name; use letters, digits and _");
                return Err(place.wrong_at(&Path::dotted("extract").then(&**name), problem));
            }
        }
        Ok(())
    }
}

/// Checks a scenario without its steps.
fn validate_scenario(scenario: &Scenario, place: &Place) -> Result<(), PlanError> {
    name(&scenario.name, place)?;
    if scenario.weight > MAX_WEIGHT {
        let problem = format!("weight {} is above {MAX_WEIGHT}", scenario.weight);
        return Err(place.wrong("weight", problem));
    }
    match scenario.steps.is_empty() {
        true => Err(place.wrong("step", "has no step; add [[scenario.step]]")),
        false => Ok(()),
    }
}

fn name(given: &str, place: &Place) -> Result<(), PlanError> {
    match given.is_empty() || given.chars().count() > MAX_NAME {
        true => Err(place.wrong("name", format!("a name has 1 to {MAX_NAME} characters"))),
        false => Ok(()),
    }
}

/// Checks labels, which thresholds write in brackets.
fn labels(given: &[String], place: &Place) -> Result<(), PlanError> {
    let wrong = |problem: String| Err(place.wrong("labels", problem));
    if given.len() > MAX_LABELS {
        return wrong(format!(
            "has {} labels; {MAX_LABELS} are allowed",
            given.len()
        ));
    }
    for (i, label) in given.iter().enumerate() {
        let length = label.chars().count();
        let illegal = |c: char| c.is_control() || "[]<>".contains(c);
        if length == 0 || length > MAX_NAME || label.chars().any(illegal) || label.trim() != label {
            return wrong(format!(
                "has the label {label:?}; a label has 1 to {MAX_NAME} characters without []<>, and \
                 no space at its ends"
            ));
        }
        if given[..i].contains(label) {
            return wrong(format!("has the label {label:?} twice"));
        }
    }
    Ok(())
}

/// Whether each of this many users has a row of its own.
fn enough_for(name: &str, data: &Data, users: f64) -> Result<(), PlanError> {
    let rows = data.rows;
    match users > rows as f64 {
        true => Err(data_error(
            name,
            format!("has {rows} rows for {users} users; each needs one"),
        )),
        false => Ok(()),
    }
}

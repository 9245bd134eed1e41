//! What scenarios may ask for.

use std::collections::BTreeSet;

use super::data::{MAX_ALL_FILES, MAX_FILES, is_name};
use super::text::{BUILT_IN, PREFIXES, paths, trial, variables};
use super::values::validate_vars;
use super::{Data, MAX_ONCE_STEPS, Pick, Scenario, Scenarios, Step};
use crate::parse::PlanError;
use crate::source::Seg;
use crate::suggest::near;
use crate::validate::{HOUR, MS, lasting, validate_request};
use crate::{Load, Model, Profile, TargetUrl};
use vajra_core::Hook;

/// Most steps of all scenarios together.
pub const MAX_STEPS: usize = 64;
/// Most extracted values, and most checks, of a step.
pub const MAX_OF_STEP: usize = 32;
/// Largest weight of a scenario.
pub const MAX_WEIGHT: u32 = 1000;
/// Most labels of a step: a result has a part for each label of the plan.
pub const MAX_LABELS: usize = 8;
/// Most characters of a name or a label.
pub const MAX_NAME: usize = 50;

/// What is wrong with a scenario or a step, and with which of its keys.
struct Wrong {
    path: Vec<Seg>,
    why: String,
}

impl Wrong {
    fn with(key: &str, why: impl Into<String>) -> Wrong {
        Wrong {
            path: vec![key.into()],
            why: why.into(),
        }
    }
}

impl From<String> for Wrong {
    fn from(why: String) -> Wrong {
        Wrong {
            path: Vec::new(),
            why,
        }
    }
}

impl Scenarios {
    /// Checks every field.
    ///
    /// # Errors
    /// What is wrong, where, and what is allowed.
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
        self.http.validate().map_err(|e| self.as_written(e))?;
        validate_vars(&self.vars).map_err(|(name, why)| match name {
            Some(name) => PlanError::at(format!("vars.{name}"), why),
            None => PlanError::field("vars", why),
        })?;
        for phase in [Hook::Setup, Hook::Teardown] {
            self.validate_once(phase)?;
        }
        let mut names = BTreeSet::new();
        for (i, scenario) in self.scenarios.iter().enumerate() {
            let place = format!("scenario {:?}", scenario.name);
            let path: Vec<Seg> = vec!["scenario".into(), i.into()];
            let wrong = |wrong: Wrong| {
                let path = [path.clone(), wrong.path].concat();
                PlanError::at(place.clone(), wrong.why).found_at(path)
            };
            if !names.insert(scenario.name.as_str()) {
                return Err(wrong(Wrong::with("name", "has the name of another one")));
            }
            validate_scenario(scenario).map_err(wrong)?;
            let mut known: BTreeSet<String> = BUILT_IN.into_iter().map(str::to_owned).collect();
            known.extend(self.data.keys().cloned());
            known.extend(self.names_for(None));
            let common: Vec<&str> = self.http.headers.iter().map(|(_, v)| v.as_str()).collect();
            let checked = self.validate_steps(&scenario.steps, known, &common, None);
            checked.map_err(|(n, wrong)| {
                let place = format!("{place}, step {:?}", scenario.steps[n].name);
                let step: Vec<Seg> = vec!["step".into(), n.into()];
                PlanError::at(place, wrong.why).found_at([path, step, wrong.path].concat())
            })?;
        }
        if self.data.len() > MAX_FILES {
            let given = self.data.len();
            return Err(PlanError::field(
                "data",
                format!("{given} files are more than a plan may have ({MAX_FILES})"),
            ));
        }
        let bytes: u64 = self
            .data
            .values()
            .map(|d| d.bytes)
            .fold(0, u64::saturating_add);
        if bytes > MAX_ALL_FILES {
            return Err(PlanError::field(
                "data",
                format!("has {bytes} bytes in all; at most {MAX_ALL_FILES} are allowed"),
            ));
        }
        for (name, data) in &self.data {
            self.validate_data(name, data, load)
                .map_err(|why| PlanError::at(format!("data.{name}"), why))?;
        }
        Ok(())
    }

    fn validate_data(&self, name: &str, data: &Data, load: &Load) -> Result<(), String> {
        if !is_name(name) || BUILT_IN.contains(&name) || PREFIXES.contains(&name) {
            return Err("is no name for data; take letters, digits and _".into());
        }
        data.validate()?;
        let rows = data.rows;
        match (data.pick, load.model) {
            (Pick::Unique, Model::Closed) => Err(
                "picks unique rows, which needs the open model (a rate); with users, pick \"user\" \
                 gives each one a row of its own"
                    .into(),
            ),
            (Pick::User, Model::Open) => {
                Err("picks a row for each user, which needs the closed model (users)".into())
            }
            (Pick::User, Model::Closed) => enough_for(rows, load.users.unwrap_or_default().into()),
            (Pick::Unique, Model::Open) => {
                self.enough_unique(name, rows, Profile::of(load).numbers())
            }
            _ => Ok(()),
        }
    }

    fn enough_unique(&self, name: &str, rows: u64, iterations: u64) -> Result<(), String> {
        let needed = self.mix().before(iterations, |s| self.uses(s, name));
        match needed > rows {
            true => Err(format!(
                "has {rows} rows, and the plan's arrivals need {needed} unique ones; bring more, \
                 or lower rate or duration"
            )),
            false => Ok(()),
        }
    }

    /// Whether all unique data have rows for so many iterations.
    ///
    /// # Errors
    /// Which data has too few.
    pub fn enough_rows(&self, iterations: u64) -> Result<(), PlanError> {
        let unique = self.data.iter().filter(|(_, d)| d.pick == Pick::Unique);
        for (name, data) in unique {
            self.enough_unique(name, data.rows, iterations)
                .map_err(|why| PlanError::at(format!("data.{name}"), why))?;
        }
        Ok(())
    }

    /// Whether all data of which each user has a row have rows for so many users.
    ///
    /// # Errors
    /// Which data has too few.
    pub fn enough_users(&self, users: f64) -> Result<(), PlanError> {
        for (name, data) in self.data.iter().filter(|(_, d)| d.pick == Pick::User) {
            enough_for(data.rows, users)
                .map_err(|why| PlanError::at(format!("data.{name}"), why))?;
        }
        Ok(())
    }

    /// Whether a scenario's texts use this data.
    pub fn uses(&self, scenario: usize, data: &str) -> bool {
        let steps = self.scenarios[scenario].steps.iter();
        let common = self.http.headers.iter().map(|(_, value)| value.as_str());
        let mut texts = steps.flat_map(Step::texts).chain(common);
        texts.any(|text| variables(text).is_ok_and(|names| names.contains(data)))
    }

    /// An error of what all steps have in common, by the names that a plan file has for it.
    fn as_written(&self, error: PlanError) -> PlanError {
        let PlanError::Field {
            field,
            problem,
            path,
        } = &error
        else {
            return error;
        };
        let first = self.scenarios.iter().position(|s| !s.steps.is_empty());
        let first = first.map(|i| (i, &self.scenarios[i]));
        match (field.strip_prefix("task."), first) {
            // Without a base URL that of the first step stands in for it.
            (Some("url"), Some((i, s))) if s.steps[0].url == self.http.url => {
                let place = format!("scenario {:?}, step {:?}", s.name, s.steps[0].name);
                let path: [Seg; 5] = [
                    "scenario".into(),
                    i.into(),
                    "step".into(),
                    0.into(),
                    "url".into(),
                ];
                PlanError::at(place, problem.as_str()).found_at(path.into())
            }
            (Some("url"), _) => PlanError::field("http.base_url", problem.as_str()),
            (Some(key), _) => {
                let told = problem.replace("task.", "http.");
                let below = path.get(1..).unwrap_or_default();
                let path = match below.is_empty() {
                    true => Vec::new(),
                    false => [&["http".into()], below].concat(),
                };
                PlanError::at(format!("http.{key}"), told).found_at(path)
            }
            (None, _) => error,
        }
    }

    /// What every step of a phase, or of a scenario, knows of `vars` and `setup`.
    fn names_for(&self, phase: Option<Hook>) -> BTreeSet<String> {
        let vars = self.vars.keys().map(|name| format!("vars.{name}"));
        let found = match phase {
            // Its own steps get to know them one by one.
            Some(Hook::Setup) => BTreeSet::new(),
            _ => self.setup_names(),
        };
        let found = found.into_iter().map(|name| format!("setup.{name}"));
        vars.chain(found).collect()
    }

    /// The headers that all steps have and that a phase can fill in: those with rows of data
    /// or values of an iteration are for scenarios, and those with the setup's values are not
    /// for the setup itself.
    pub(super) fn headers_for(&self, phase: Hook) -> Vec<(String, String)> {
        let known = self.names_for(Some(phase));
        let knows = |name: &String| known.contains(name) || name.starts_with("env.");
        let fits = |text: &str| variables(text).is_ok_and(|names| names.iter().all(knows));
        let headers = self.http.headers.iter();
        headers.filter(|(_, value)| fits(value)).cloned().collect()
    }

    fn validate_once(&self, phase: Hook) -> Result<(), PlanError> {
        let steps = self.once(phase);
        if steps.len() > MAX_ONCE_STEPS {
            let why = format!(
                "has {} steps; at most {MAX_ONCE_STEPS} are allowed",
                steps.len()
            );
            return Err(PlanError::at(phase.to_string(), why));
        }
        self.validate_steps(steps, self.names_for(Some(phase)), &[], Some(phase))
            .map_err(|(n, wrong)| {
                let place = format!("{phase} step {:?}", steps[n].name);
                let list = phase.to_string();
                let step: Vec<Seg> = vec![list.as_str().into(), n.into()];
                PlanError::at(place, wrong.why).found_at([step, wrong.path].concat())
            })
    }

    /// Steps that follow each other, by what is known to the first; `common` are the texts
    /// that they share. The error says which step.
    fn validate_steps(
        &self,
        steps: &[Step],
        mut known: BTreeSet<String>,
        common: &[&str],
        phase: Option<Hook>,
    ) -> Result<(), (usize, Wrong)> {
        let mut names = BTreeSet::new();
        for (n, step) in steps.iter().enumerate() {
            if !names.insert(step.name.as_str()) {
                return Err((n, Wrong::with("name", "has the name of another one")));
            }
            self.validate_step(step).map_err(|why| (n, why))?;
            for text in step.texts().iter().chain(common) {
                self.validate_text(text, &known, phase)
                    .map_err(|why| (n, why.into()))?;
            }
            known.extend(step.extract.keys().cloned());
            if phase == Some(Hook::Setup) {
                known.extend(step.extract.keys().map(|name| format!("setup.{name}")));
            }
        }
        Ok(())
    }

    fn validate_text(
        &self,
        text: &str,
        known: &BTreeSet<String>,
        phase: Option<Hook>,
    ) -> Result<(), String> {
        for name in variables(text)? {
            if known.contains(&name) || name.starts_with("env.") {
                continue;
            }
            if let (Some(phase), true) = (phase, self.data.contains_key(&name)) {
                return Err(format!(
                    "{{{{ {name} }}}} is data, of which {phase} has no row, as it runs once; take a \
                     constant of [vars]"
                ));
            }
            let meant = near(&name, known.iter().map(String::as_str));
            let meant = meant.map(|m| format!(" (did you mean {{{{ {m} }}}}?)"));
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => String::new(),
                false => format!("{}, ", known.join(", ")),
            };
            return Err(format!(
                "{{{{ {name} }}}} is not known here; there are: {known}env.NAME{}",
                meant.unwrap_or_default()
            ));
        }
        for path in paths(text)? {
            self.validate_path(&path)?;
        }
        trial(text)
    }

    /// What is read of a row or of a number: `users.name`.
    fn validate_path(&self, path: &str) -> Result<(), String> {
        let mut parts = path.split('.');
        let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
            return Ok(());
        };
        if PREFIXES.contains(&first) {
            return Ok(());
        }
        if BUILT_IN.contains(&first) {
            return Err(format!(
                "{{{{ {first}.{second} }}}} is not known here: {first} has no parts"
            ));
        }
        let Some(data) = self.data.get(first) else {
            return Ok(());
        };
        if data.columns.iter().any(|c| c == second) {
            return Ok(());
        }
        let columns = data.columns.iter().map(String::as_str);
        let meant = near(second, columns.clone());
        let meant = meant.map(|m| format!(" (did you mean {{{{ {first}.{m} }}}}?)"));
        Err(format!(
            "{{{{ {first}.{second} }}}} is not known here; {first} has: {}{}",
            columns.collect::<Vec<_>>().join(", "),
            meant.unwrap_or_default()
        ))
    }

    fn validate_step(&self, step: &Step) -> Result<(), Wrong> {
        name(&step.name)?;
        labels(&step.labels)?;
        let url = self
            .split(step)
            .and_then(|(origin, _)| TargetUrl::parse(origin));
        url.map_err(|why| Wrong::with("url", why))?;
        validate_request(&step.method, &step.headers).map_err(|e| match e {
            PlanError::Field { field, problem, .. } if field == "task.method" => {
                Wrong::with("method", format!("method {problem}"))
            }
            PlanError::Field { problem, path, .. } => Wrong {
                path: match path.is_empty() {
                    true => vec!["headers".into()],
                    false => path[1..].to_vec(),
                },
                why: format!("headers: {problem}"),
            },
            other => Wrong::from(other.to_string()),
        })?;
        if let Some(timeout) = step.timeout {
            let lasts = lasting("timeout", timeout, MS, HOUR);
            lasts.map_err(|e| Wrong::with("timeout", e.to_string()))?;
        }
        let thinks = step.think.validate();
        thinks.map_err(|why| Wrong::with("think", format!("think {why}")))?;
        for (name, count) in [("extract", step.extract.len()), ("check", step.check.len())] {
            if count > MAX_OF_STEP {
                let why = format!("{name} has {count} entries; {MAX_OF_STEP} are allowed");
                return Err(Wrong::with(name, why));
            }
        }
        for name in step.extract.keys() {
            let taken = BUILT_IN.contains(&name.as_str()) || self.data.contains_key(name);
            if !is_name(name) || taken || PREFIXES.contains(&name.as_str()) {
                let why = format!("extract.{name} is no free name; take letters, digits and _");
                return Err(Wrong::with("extract", why));
            }
        }
        Ok(())
    }
}

impl Scenarios {
    /// A step's URL in two: scheme, host and port, and the rest, which may have holes. A URL
    /// that begins with a hole is for a path that came from an earlier response.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn split<'a>(&'a self, step: &'a Step) -> Result<(&'a str, &'a str), String> {
        if step.url.starts_with("{{") {
            return Ok((origin(&self.http.url)?, &step.url));
        }
        let origin = origin(&step.url)?;
        Ok((origin, &step.url[origin.len()..]))
    }
}

/// What a scenario says itself.
fn validate_scenario(scenario: &Scenario) -> Result<(), Wrong> {
    name(&scenario.name)?;
    if scenario.weight > MAX_WEIGHT {
        let why = format!("weight {} is above {MAX_WEIGHT}", scenario.weight);
        return Err(Wrong::with("weight", why));
    }
    match scenario.steps.is_empty() {
        true => Err(Wrong::with("step", "has no step; add [[scenario.step]]")),
        false => Ok(()),
    }
}

fn name(given: &str) -> Result<(), Wrong> {
    match given.is_empty() || given.chars().count() > MAX_NAME {
        true => Err(Wrong::with(
            "name",
            format!("a name has 1 to {MAX_NAME} characters"),
        )),
        false => Ok(()),
    }
}

/// What thresholds can write in brackets.
fn labels(given: &[String]) -> Result<(), Wrong> {
    let wrong = |why: String| Err(Wrong::with("labels", why));
    if given.len() > MAX_LABELS {
        return wrong(format!(
            "has {} labels; {MAX_LABELS} are allowed",
            given.len()
        ));
    }
    for (i, label) in given.iter().enumerate() {
        let length = label.chars().count();
        let odd = |c: char| c.is_control() || "[]<>".contains(c);
        if length == 0 || length > MAX_NAME || label.chars().any(odd) || label.trim() != label {
            return wrong(format!(
                "has the label {label:?}; one has 1 to {MAX_NAME} characters, none of them []<>, \
                 and no space at its ends"
            ));
        }
        if given[..i].contains(label) {
            return wrong(format!("has the label {label:?} twice"));
        }
    }
    Ok(())
}

/// Scheme, host and port of a URL, without holes.
fn origin(url: &str) -> Result<&str, String> {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest,
        None => {
            return Err(format!(
                "{url:?} is no URL: write a path that begins with /, or http:// or https://"
            ));
        }
    };
    let start = url.len() - rest.len();
    let end = rest
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    match super::has_holes(&url[..end]) {
        true => Err(format!(
            "{url:?} has a hole in its host; only path and query may have some, so that it is known \
             beforehand where a test goes"
        )),
        false => Ok(&url[..end]),
    }
}

/// Whether each of so many users has a row of its own.
fn enough_for(rows: u64, users: f64) -> Result<(), String> {
    match users > rows as f64 {
        true => Err(format!("has {rows} rows for {users} users; each needs one")),
        false => Ok(()),
    }
}

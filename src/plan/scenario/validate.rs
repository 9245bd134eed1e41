//! What scenarios may ask for.

use std::collections::BTreeSet;

use super::data::{MAX_ALL_FILES, MAX_FILES, is_name};
use super::text::{BUILT_IN, PREFIXES, variables};
use super::values::validate_vars;
use super::{Data, MAX_ONCE_STEPS, Phase, Pick, Scenario, Scenarios, Step};
use crate::plan::parse::PlanError;
use crate::plan::validate::validate_request;
use crate::plan::{Load, Model, Profile, TargetUrl};

/// Most steps of all scenarios together.
const MAX_STEPS: usize = 64;
/// Most extracted values, and most checks, of a step.
const MAX_OF_STEP: usize = 32;
/// Largest weight of a scenario.
const MAX_WEIGHT: u32 = 1000;

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
        self.http.validate()?;
        validate_vars(&self.vars).map_err(|(name, why)| match name {
            Some(name) => PlanError::at(format!("vars.{name}"), why),
            None => PlanError::field("vars", why),
        })?;
        for phase in [Phase::Setup, Phase::Teardown] {
            self.validate_once(phase)?;
        }
        let mut names = BTreeSet::new();
        for scenario in &self.scenarios {
            let place = format!("scenario {:?}", scenario.name);
            if !names.insert(scenario.name.as_str()) {
                return Err(PlanError::at(place, "has the name of another one"));
            }
            self.validate_scenario(scenario)
                .map_err(|(step, why)| match step {
                    Some(step) => PlanError::at(format!("{place}, step {step:?}"), why),
                    None => PlanError::at(place, why),
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
            (Pick::User, Model::Closed) if u64::from(load.users.unwrap_or_default()) > rows => {
                Err(format!(
                    "has {rows} rows for {} users; each needs one",
                    load.users.unwrap_or_default()
                ))
            }
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

    /// Whether a scenario's texts use this data.
    pub fn uses(&self, scenario: usize, data: &str) -> bool {
        let steps = self.scenarios[scenario].steps.iter();
        let common = self.http.headers.iter().map(|(_, value)| value.as_str());
        let mut texts = steps.flat_map(Step::texts).chain(common);
        texts.any(|text| variables(text).is_ok_and(|names| names.contains(data)))
    }

    fn validate_scenario(&self, scenario: &Scenario) -> Result<(), (Option<String>, String)> {
        if scenario.name.is_empty() || scenario.name.chars().count() > 50 {
            return Err((None, "a name has 1 to 50 characters".into()));
        }
        if scenario.weight > MAX_WEIGHT {
            let why = format!("weight {} is above {MAX_WEIGHT}", scenario.weight);
            return Err((None, why));
        }
        if scenario.steps.is_empty() {
            return Err((None, "has no step; add [[scenario.step]]".into()));
        }
        let mut known: BTreeSet<String> = BUILT_IN.into_iter().map(str::to_owned).collect();
        known.extend(self.data.keys().cloned());
        known.extend(self.names_for(None));
        let common = self.http.headers.iter().map(|(_, value)| value.as_str());
        let common: Vec<&str> = common.collect();
        self.validate_steps(&scenario.steps, known, &common, None)
            .map_err(|(step, why)| (Some(step), why))
    }

    /// What every step of a phase, or of a scenario, knows of `vars` and `setup`.
    fn names_for(&self, phase: Option<Phase>) -> BTreeSet<String> {
        let vars = self.vars.keys().map(|name| format!("vars.{name}"));
        let found = match phase {
            // Its own steps get to know them one by one.
            Some(Phase::Setup) => BTreeSet::new(),
            _ => self.setup_names(),
        };
        let found = found.into_iter().map(|name| format!("setup.{name}"));
        vars.chain(found).collect()
    }

    /// The headers that all steps have and that a phase can fill in: those with rows of data
    /// or values of an iteration are for scenarios, and those with the setup's values are not
    /// for the setup itself.
    pub(super) fn headers_for(&self, phase: Phase) -> Vec<(String, String)> {
        let known = self.names_for(Some(phase));
        let knows = |name: &String| known.contains(name) || name.starts_with("env.");
        let fits = |text: &str| variables(text).is_ok_and(|names| names.iter().all(knows));
        let headers = self.http.headers.iter();
        headers.filter(|(_, value)| fits(value)).cloned().collect()
    }

    fn validate_once(&self, phase: Phase) -> Result<(), PlanError> {
        let steps = self.once(phase);
        if steps.len() > MAX_ONCE_STEPS {
            let why = format!(
                "has {} steps; at most {MAX_ONCE_STEPS} are allowed",
                steps.len()
            );
            return Err(PlanError::at(phase.to_string(), why));
        }
        self.validate_steps(steps, self.names_for(Some(phase)), &[], Some(phase))
            .map_err(|(step, why)| PlanError::at(format!("{phase} step {step:?}"), why))
    }

    /// Steps that follow each other, by what is known to the first; `common` are the texts
    /// that they share. The error names the step.
    fn validate_steps(
        &self,
        steps: &[Step],
        mut known: BTreeSet<String>,
        common: &[&str],
        phase: Option<Phase>,
    ) -> Result<(), (String, String)> {
        let mut names = BTreeSet::new();
        for step in steps {
            let wrong = |why: String| (step.name.clone(), why);
            if !names.insert(step.name.as_str()) {
                return Err(wrong("has the name of another one".into()));
            }
            self.validate_step(step).map_err(wrong)?;
            for text in step.texts().iter().chain(common) {
                self.validate_text(text, &known, phase).map_err(wrong)?;
            }
            known.extend(step.extract.keys().cloned());
            if phase == Some(Phase::Setup) {
                known.extend(step.extract.keys().map(|name| format!("setup.{name}")));
            }
        }
        Ok(())
    }

    fn validate_text(
        &self,
        text: &str,
        known: &BTreeSet<String>,
        phase: Option<Phase>,
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
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => String::new(),
                false => format!("{}, ", known.join(", ")),
            };
            return Err(format!(
                "{{{{ {name} }}}} is not known here; there are: {known}env.NAME"
            ));
        }
        Ok(())
    }

    fn validate_step(&self, step: &Step) -> Result<(), String> {
        if step.name.is_empty() || step.name.chars().count() > 50 {
            return Err("a name has 1 to 50 characters".into());
        }
        TargetUrl::parse(self.split(step)?.0)?;
        validate_request(&step.method, &step.headers).map_err(|e| e.to_string())?;
        step.think.validate()?;
        for (name, count) in [("extract", step.extract.len()), ("check", step.check.len())] {
            if count > MAX_OF_STEP {
                return Err(format!(
                    "{name} has {count} entries; {MAX_OF_STEP} are allowed"
                ));
            }
        }
        for name in step.extract.keys() {
            let taken = BUILT_IN.contains(&name.as_str()) || self.data.contains_key(name);
            if !is_name(name) || taken || PREFIXES.contains(&name.as_str()) {
                return Err(format!(
                    "extract.{name} is no free name; take letters, digits and _"
                ));
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

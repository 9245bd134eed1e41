//! What scenarios may ask for.

use std::collections::BTreeSet;

use super::data::{MAX_ALL_FILES, MAX_FILES, is_name};
use super::text::{BUILT_IN, variables};
use super::{Data, Pick, Scenario, Scenarios, Step};
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
        if !is_name(name) || BUILT_IN.contains(&name) || name == "env" {
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
                let arrivals = Profile::of(load).total_arrivals().unwrap_or_default();
                let needed = self.mix().before(arrivals, |s| self.uses(s, name));
                match needed > rows {
                    true => Err(format!(
                        "has {rows} rows, and the plan's arrivals need {needed} unique ones; bring \
                         more, or lower rate or duration"
                    )),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
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
        let mut names = BTreeSet::new();
        let mut known: BTreeSet<&str> = BUILT_IN.into_iter().collect();
        known.extend(self.data.keys().map(String::as_str));
        for step in &scenario.steps {
            let wrong = |why: String| (Some(step.name.clone()), why);
            if !names.insert(step.name.as_str()) {
                return Err(wrong("has the name of another one".into()));
            }
            self.validate_step(step, &known).map_err(wrong)?;
            known.extend(step.extract.keys().map(String::as_str));
        }
        Ok(())
    }

    fn validate_step(&self, step: &Step, known: &BTreeSet<&str>) -> Result<(), String> {
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
        let common = self.http.headers.iter().map(|(_, value)| value.as_str());
        for text in step.texts().into_iter().chain(common) {
            for name in variables(text)? {
                if !known.contains(name.as_str()) && !name.starts_with("env.") {
                    let known: Vec<&str> = known.iter().copied().collect();
                    return Err(format!(
                        "{{{{ {name} }}}} is not known here; there are: {}, env.NAME",
                        known.join(", ")
                    ));
                }
            }
        }
        for name in step.extract.keys() {
            let taken = BUILT_IN.contains(&name.as_str()) || self.data.contains_key(name);
            if !is_name(name) || taken || name == "env" {
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

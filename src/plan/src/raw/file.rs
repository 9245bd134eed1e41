//! The tables of a plan file, and how they become a plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::load::RawLoad;
use super::scenario::{RawData, RawHttp, RawScenario, RawSteps, scenarios_of};
use super::task::RawTask;
use crate::error::PlanError;
use crate::limits::{MAX_HOOK_STEPS, MAX_PAIRS, MAX_VARS};
use crate::local::Local;
use crate::model::{Plan, Task};
use crate::plan_file::{PlanFile, PlanInputs, ReadFile};
use crate::scenario::{Blob, Scalar, Values};
use crate::swarm_rules::{Limits, SwarmRules};
use crate::threshold::Threshold;

/// Replaces the URL of a target that isn't started yet while the rest is checked.
const STAND_IN_URL: &str = "http://localhost/";

/// A test plan: what to send, how much load, and when a result is good. It has either a `task`, one
/// repeated request, or scenarios.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan", extend("oneOf" = [{"required": ["task"]}, {"required": ["scenario"]}]))]
#[schemars(extend("dependentRequired" = {
    "http": ["scenario"], "data": ["scenario"], "vars": ["scenario"], "setup": ["scenario"],
    "teardown": ["scenario"],
}))]
pub struct RawFile {
    /// Display name in lists and reports.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// Tags that are stored in the result: `{ build = "17" }`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = MAX_PAIRS))]
    tags: BTreeMap<String, String>,
    task: Option<RawTask>,
    #[serde(default)]
    http: Option<RawHttp>,
    /// Scenarios: each arrival, or iteration of a user, runs the steps of one of them.
    #[serde(default)]
    scenario: Vec<RawScenario>,
    /// Data files, by their names in placeholders.
    #[serde(default)]
    data: BTreeMap<String, RawData>,
    /// Constants for placeholders `{{ vars.NAME }}`: texts, numbers, true or false.
    /// `start-test --var NAME=VALUE` overrides them.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>", extend("maxProperties" = MAX_VARS))]
    vars: Values,
    /// Setup hook: steps that one node runs once, before the load starts. Extracted values are
    /// `{{ setup.NAME }}` in all scenarios and in the teardown.
    #[serde(default)]
    #[schemars(length(max = MAX_HOOK_STEPS))]
    setup: RawSteps,
    /// Teardown hook: steps that one node runs once, after the load.
    #[serde(default)]
    #[schemars(length(max = MAX_HOOK_STEPS))]
    teardown: RawSteps,
    load: RawLoad,
    /// Conditions on the result. If one fails, `start-test` exits with 99.
    #[serde(default)]
    #[schemars(length(max = MAX_PAIRS))]
    thresholds: Vec<Threshold>,
    #[serde(default)]
    swarm: SwarmRules,
    #[serde(default)]
    limits: Limits,
    local: Option<Local>,
}

impl RawFile {
    /// Builds the plan.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn into_file(
        mut self,
        read: &ReadFile<'_>,
        given: &PlanInputs,
    ) -> Result<PlanFile, PlanError> {
        let starts_target = match given.suite {
            Some(suite) => suite.target,
            None => self.local.as_ref().is_some_and(|l| l.target.is_some()),
        };
        if let Some(suite) = given.suite {
            if self.local.is_some() && !suite.local {
                return Err(PlanError::field(
                    "local",
                    "is for a plan that runs alone; in a suite, [local] belongs in the suite file \
                     itself and applies to all its plans",
                ));
            }
            self.local = None;
        }
        let mut made = self.task(starts_target, read, given)?;
        let plan = Plan {
            name: self.name,
            tags: self.tags,
            task: made.task,
            load: self.load.try_into()?,
            swarm: self.swarm,
            limits: self.limits,
            thresholds: self.thresholds,
        };
        plan.validate()?;
        if let Some(local) = &self.local {
            local.validate()?;
        }
        Ok(PlanFile {
            plan,
            needs_target: made.needs_target,
            local: self.local,
            blobs: std::mem::take(&mut made.blobs),
            awaited: made.awaited,
        })
    }

    /// Takes the task or the scenarios out of the file.
    fn task(
        &mut self,
        starts_target: bool,
        read: &ReadFile<'_>,
        given: &PlanInputs,
    ) -> Result<MadeTask, PlanError> {
        match (self.task.take(), self.scenario.is_empty()) {
            (Some(_), false) => Err(PlanError::field(
                "task",
                "and scenarios exclude each other; make the task a step of a scenario",
            )),
            (None, true) => Err(PlanError::field(
                "task",
                "is missing; describe what to send in [task], or in [[scenario]] with its steps",
            )),
            (Some(mut task), true) => {
                self.no_scenario_tables(given)?;
                let needs_target = starts_target && task.lacks_url();
                if needs_target {
                    task.url = Some(STAND_IN_URL.to_owned());
                }
                Ok(MadeTask {
                    task: task.try_into()?,
                    needs_target,
                    blobs: Vec::new(),
                    awaited: BTreeSet::new(),
                })
            }
            (None, false) => self.scenarios(starts_target, read, given),
        }
    }

    /// A plan with a `[task]` has no tables that only scenarios use.
    fn no_scenario_tables(&self, given: &PlanInputs) -> Result<(), PlanError> {
        if self.http.is_some() || !self.data.is_empty() {
            return Err(PlanError::field(
                "http",
                "and data are for scenarios; a [task] has its own settings",
            ));
        }
        let hooks = [("setup", &self.setup), ("teardown", &self.teardown)];
        if let Some((field, _)) = hooks.into_iter().find(|(_, steps)| !steps.is_empty()) {
            return Err(PlanError::field(
                field,
                "is for scenarios; make the task a step of a scenario, or leave it out",
            ));
        }
        if !self.vars.is_empty() || (!given.vars.is_empty() && given.suite.is_none()) {
            return Err(PlanError::field(
                "vars",
                "are for the steps of scenarios, and the plan has a [task]; make it a step of a \
                 scenario, or leave them out",
            ));
        }
        Ok(())
    }

    fn scenarios(
        &mut self,
        starts_target: bool,
        read: &ReadFile<'_>,
        given: &PlanInputs,
    ) -> Result<MadeTask, PlanError> {
        let mut http = self.http.take().unwrap_or_default();
        let needs_target = starts_target && http.base_url.is_none();
        if needs_target {
            http.base_url = Some(STAND_IN_URL.to_owned());
        }
        let mut vars = std::mem::take(&mut self.vars);
        vars.extend(given.vars.clone());
        let mut awaited = BTreeSet::new();
        for name in &given.later {
            // So that placeholders can be checked before the value is there.
            vars.entry(name.clone()).or_insert_with(|| {
                awaited.insert(name.clone());
                Scalar::Text(String::new())
            });
        }
        let (scenarios, blobs) = scenarios_of(
            http,
            std::mem::take(&mut self.scenario),
            std::mem::take(&mut self.data),
            [
                std::mem::take(&mut self.setup),
                std::mem::take(&mut self.teardown),
            ],
            vars,
            read,
        )?;
        Ok(MadeTask {
            task: Task::Scenarios(Box::new(scenarios)),
            needs_target,
            blobs,
            awaited,
        })
    }
}

/// The task of a file.
struct MadeTask {
    task: Task,
    needs_target: bool,
    blobs: Vec<Blob>,
    awaited: BTreeSet<String>,
}

//! Runs the plans of a suite, sequentially or in parallel.

use std::cell::RefCell;

use super::inputs::{Inputs, passed_on};
use super::outcome::Outcome;
use crate::args::RunArgs;
use crate::backend::Backend;
use crate::exit::{Exit, Failure};
use crate::follow::{Followed, OnInterrupt, follow};
use crate::interrupt::{BEFORE_START, Interrupts};
use crate::output::{note, out};
use crate::preflight;
use crate::terminal::ProgressLines;
use vajra_plan::{Mode, Plan, StopOn, Suite, SuitePlan};
use vajra_report::text;

/// A running suite.
pub(super) struct Runner<'a> {
    backend: &'a Backend,
    run: &'a RunArgs,
    suite: &'a Suite,
    progress: RefCell<ProgressLines>,
    /// Whether stdout has other contents than summaries.
    quiet: bool,
}

impl<'a> Runner<'a> {
    pub fn new(
        backend: &'a Backend,
        run: &'a RunArgs,
        suite: &'a Suite,
        quiet: bool,
    ) -> Runner<'a> {
        Runner {
            backend,
            run,
            suite,
            progress: RefCell::new(ProgressLines::on_stderr(match suite.mode {
                Mode::Sequential => 1,
                Mode::Parallel => suite.plans.len(),
            })),
            quiet,
        }
    }

    /// Runs the plans one after the other. Also returns whether the user interrupted the pause
    /// between two plans, when there is no test to stop.
    pub async fn sequential(
        &self,
        mut inputs: Inputs<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<(Vec<Outcome>, bool), Failure> {
        let (mut outcomes, mut interrupted) = (Vec::<Outcome>::new(), false);
        let mut skip: Option<String> = None;
        for entry in &self.suite.plans {
            let pause = self.suite.pause;
            let is_first = outcomes.iter().all(|outcome| outcome.exit.is_none());
            if skip.is_none() && !is_first && !pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = interrupts.next() => {
                        interrupted = true;
                        skip = Some("the suite was stopped".into());
                    }
                }
            }
            if let Some(why) = &skip {
                outcomes.push(Outcome::not_started(why.clone()));
                continue;
            }
            let outcome = match self.prepare(entry, &inputs, interrupts).await {
                Ok(plan) => self.run_one(entry, 0, plan, interrupts).await,
                Err(failure) => Outcome::failed(failure),
            };
            if let Some(result) = &outcome.result {
                inputs.passed.extend(passed_on(entry, result));
            }
            skip = match outcome.exit {
                Some(Exit::Stopped) => Some(format!("{} was stopped", entry.name)),
                _ if self.suite.stop_on == StopOn::Failure && outcome.is_failure() => {
                    Some(format!("{} failed, and stop_on is \"failure\"", entry.name))
                }
                _ => None,
            };
            self.show(entry, &outcome)?;
            outcomes.push(outcome);
        }
        Ok((outcomes, interrupted))
    }

    /// Runs all plans at the same time.
    pub async fn parallel(
        &self,
        inputs: &Inputs<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<Vec<Outcome>, Failure> {
        // All pre-flight checks are made before the first test, whose load would disturb them.
        let mut prepared = Vec::new();
        for entry in &self.suite.plans {
            prepared.push(self.prepare(entry, inputs, interrupts).await);
        }
        let plans = self.suite.plans.iter().zip(prepared).enumerate();
        let each = plans.map(async |(position, (entry, plan))| {
            // Each receives every Ctrl-C, and stops its own test.
            let own = plan.and_then(|p| Ok((p, Interrupts::new().map_err(Failure::run)?)));
            match own {
                Ok((plan, mut own)) => self.run_one(entry, position, plan, &mut own).await,
                Err(failure) => Outcome::failed(failure),
            }
        });
        let outcomes = futures::future::join_all(each).await;
        for (entry, outcome) in self.suite.plans.iter().zip(&outcomes) {
            self.show(entry, outcome)?;
        }
        Ok(outcomes)
    }

    /// Builds a plan and makes the pre-flight check.
    async fn prepare(
        &self,
        entry: &SuitePlan,
        inputs: &Inputs<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<Plan, Failure> {
        let plan = inputs.plan(entry).map_err(Failure::run)?;
        if !self.run.no_preflight {
            preflight::before_start(self.backend, &plan, self.run.yes, interrupts).await?;
        }
        Ok(plan)
    }

    /// Runs a plan to its end. `position` is that of its progress line.
    async fn run_one(
        &self,
        entry: &SuitePlan,
        position: usize,
        plan: Plan,
        interrupts: &mut Interrupts,
    ) -> Outcome {
        let followed = async {
            let start = async {
                self.backend.upload(entry.file.blobs()).await?;
                self.backend.start(plan).await
            };
            let id = tokio::select! {
                id = start => id?,
                () = interrupts.next() => return Err(Failure::stopped(BEFORE_START)),
            };
            note(&format!("plan {:?}: test {id}", entry.name));
            follow(self.backend, &id, interrupts, OnInterrupt::StopTest, |p| {
                let line = text::named_progress(&entry.name, p);
                self.progress.borrow_mut().show(position, line);
                Ok(())
            })
            .await
        };
        match followed.await {
            Ok(Followed::Ended(result)) => Outcome::with(result, self.run.strict),
            Ok(Followed::Left) => Outcome::failed(Failure::stopped("interrupted")),
            Err(failure) => Outcome::failed(failure),
        }
    }

    /// Prints the summary of a plan, or why it failed.
    fn show(&self, entry: &SuitePlan, outcome: &Outcome) -> Result<(), Failure> {
        if let Some(why) = &outcome.why {
            note(&format!("plan {:?}: {why}", entry.name));
        }
        match &outcome.result {
            Some(result) if !self.quiet && (outcome.why.is_none() || result.totals.sent > 0) => {
                out(&text::plan_title(&entry.name))?;
                out(&text::summary(result))
            }
            _ => Ok(()),
        }
    }
}

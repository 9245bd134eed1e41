//! True ends: the end of a test tells what happened. A worker that died during the load is in the
//! roster as lost, about when it died; one that delivered everything is not; no event is without a
//! text; no test ends as completed before its plan does. All nodes with a complete result have the
//! same.

use std::time::Duration;

use vajra_core::protocol::NodeId;
use vajra_core::protocol::messages::{EndReason, Ended, TestState};

use super::checker::Checker;
use super::progress::bound;
use crate::clock::MAX_DRIFT_PPM;
use crate::fault::Fault;
use crate::machine::{Machine, Past};
use crate::scenario::OnLoss;
use crate::violation::Violation;
use crate::world::World;

/// Checks every end.
#[derive(Debug)]
pub struct TrueEnd {
    of: usize,
    seen: Vec<bool>,
}

/// Time in which a snapshot reaches the others.
const ON_ITS_WAY: Duration = Duration::from_millis(400);

impl TrueEnd {
    /// For a test.
    pub fn new(of: usize) -> TrueEnd {
        TrueEnd {
            of,
            seen: Vec::new(),
        }
    }

    /// Whether a process died while nothing else was wrong.
    fn died_alone(world: &World, past: &Past, machine: usize) -> bool {
        let before = past.at.saturating_sub(Duration::from_secs(8));
        let after = past.at + bound(world, past.of) * 3;
        let mut faults = world.scenario.faults.0.iter();
        faults.all(|t| match t.fault {
            Fault::Crash { node, .. } | Fault::Reboot { node, .. } if node == machine => true,
            Fault::Scale { .. } | Fault::Hold { .. } => true,
            _ => t.over() < before || t.at > after,
        })
    }

    /// Whether no fault may have kept the repeated message of the end from a node.
    fn ended_in_peace(world: &World, of: usize) -> bool {
        let ends = world.machines.iter().filter_map(|m| {
            let at = m.test(world.tests[of].id)?.ended_at()?;
            m.spec.clock.truth(at)
        });
        let first = ends.min().unwrap_or_default();
        let before = first.saturating_sub(Duration::from_secs(4));
        world
            .scenario
            .faults
            .quiet(before, first + Duration::from_secs(4))
    }

    fn lost(&self, world: &World, viewer: &Machine, ended: &Ended) -> Result<(), Violation> {
        let test = &world.tests[self.of];
        let Some(started) = test.started else {
            return Ok(());
        };
        let lost = ended
            .roster
            .iter()
            .find(|e| e.is_final && e.lost_at.is_some());
        if let Some(entry) = lost {
            let text = format!(
                "n{}: {:?} delivered its final snapshot and is lost at {:?}",
                viewer.index, entry.worker, entry.lost_at
            );
            return Err(world.violation(self.name(), text));
        }
        let over = world.machines.iter().filter_map(|m| {
            let at = m.test(test.id)?.ended_at()?;
            m.spec.clock.truth(at)
        });
        let over = over.min().unwrap_or_default();
        for machine in &world.machines {
            for past in machine.past.iter().filter(|p| p.of == self.of && !p.left) {
                let settled = past.at + bound(world, self.of) * 2;
                let measured = past.measured.iter();
                let reported = measured.filter(|(at, _)| *at + ON_ITS_WAY < past.at);
                let reported = reported.map(|(_, sent)| *sent).max().unwrap_or(0);
                let alone = TrueEnd::died_alone(world, past, machine.index);
                if !alone || reported == 0 || settled > over || past.at < started {
                    continue;
                }
                let Some(entry) = ended.roster.iter().find(|e| e.worker == past.node) else {
                    let text = format!(
                        "n{}: {:?} died at {:.3} s, had sent {reported}, and is not in the roster",
                        viewer.index,
                        past.node,
                        past.at.as_secs_f64()
                    );
                    return Err(world.violation(self.name(), text));
                };
                let at = entry.lost_at.map(|d| d + started);
                let from = past
                    .at
                    .saturating_sub(Duration::from_millis(200))
                    .mul_f64(0.99);
                let until = (past.at + bound(world, self.of) * 2).mul_f64(1.02);
                // It is counted until its last snapshot where no coordinator saw it go.
                let from = from.saturating_sub(Duration::from_secs(2));
                if !at.is_some_and(|at| from <= at && at <= until) {
                    let text = format!(
                        "n{}: {:?} died at {:.3} s and is lost at {at:?}",
                        viewer.index,
                        past.node,
                        past.at.as_secs_f64()
                    );
                    return Err(world.violation(self.name(), text));
                }
                let shown = viewer
                    .test(test.id)
                    .and_then(|t| super::no_lost_counts::shown(t.merge(), &past.node));
                let counted = shown.map_or(0, |(counted, _)| counted);
                if counted < reported {
                    let text = format!(
                        "n{}: {:?} had measured {reported} in time, and {counted} are counted",
                        viewer.index, past.node
                    );
                    return Err(world.violation("at most the last interval missing", text));
                }
            }
        }
        Ok(())
    }
}

impl Checker for TrueEnd {
    fn name(&self) -> &'static str {
        "true end"
    }

    fn after(&mut self, world: &World, touched: usize) -> Result<(), Violation> {
        self.seen.resize(world.machines.len(), false);
        let test = &world.tests[self.of];
        let machine = &world.machines[touched];
        let ended = machine.test(test.id).and_then(|t| t.ended());
        let Some(ended) = ended else {
            self.seen[touched] = false;
            return Ok(());
        };
        if std::mem::replace(&mut self.seen[touched], true) {
            return Ok(());
        }
        let length = test.plan.length.mul_f64(1.0 - MAX_DRIFT_PPM as f64 / 1e6);
        let planned = test.started.map(|s| s + length);
        let early = match &ended.reason {
            EndReason::Completed => {
                let limited = test.plan.load.requests().is_some();
                !limited && planned.is_none_or(|at| world.now < at)
            }
            EndReason::Stopped => {
                let mut failed = world.running().filter_map(|m| m.test(test.id));
                let hooks = test.plan.setup || test.plan.teardown;
                let fails = test.plan.on_lost_worker == OnLoss::Fail;
                let left = world
                    .machines
                    .iter()
                    .any(|m| m.leaving || m.past.iter().any(|p| p.left));
                test.stopped.is_none()
                    && !hooks
                    && !fails
                    && !left
                    && failed.all(|t| t.state() != TestState::Ended || t.ended() == Some(ended))
            }
            EndReason::Failed(_) => false,
        };
        if early {
            let text = format!(
                "n{touched} ended as {:?}, before the load was over",
                ended.reason
            );
            return Err(world.violation(self.name(), text));
        }
        Ok(())
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let of = self.of;
        let test = &world.tests[of];
        let complete = |m: &&Machine| m.test(test.id).is_some_and(|t| t.complete());
        let viewers: Vec<&Machine> = world.running().filter(complete).collect();
        for viewer in &viewers {
            let Some(ended) = viewer.test(test.id).and_then(|t| t.ended()) else {
                continue;
            };
            let silent = ended.events.iter().find(|e| e.text.trim().is_empty());
            if let Some(event) = silent {
                let text = format!("n{}: {:?} without a text", viewer.index, event.kind);
                return Err(world.violation("events are true", text));
            }
            if test.started.is_some() && matches!(ended.reason, EndReason::Completed) {
                self.lost(world, viewer, ended)?;
            }
        }
        if !world.majority_alive(of) {
            return Ok(());
        }
        // To a node that was restarted, a captured node can repeat an end that has been replaced.
        let captured = world.scenario.faults.captured();
        let viewers: Vec<&Machine> = viewers
            .into_iter()
            .filter(|m| !captured || m.incarnation == 1)
            .collect();
        for pair in viewers.windows(2) {
            let (Some(a), Some(b)) = (pair[0].test(test.id), pair[1].test(test.id)) else {
                continue;
            };
            let (Some(x), Some(y)) = (a.ended(), b.ended()) else {
                continue;
            };
            let (i, j) = (pair[0].index, pair[1].index);
            if (x.term, &x.coordinator, &x.reason) != (y.term, &y.coordinator, &y.reason) {
                let text = format!("n{i} and n{j} have different ends: {x:?} and {y:?}");
                return Err(world.violation("same results", text));
            }
            let copies_differ = (&x.roster, &x.events, &x.log) != (&y.roster, &y.events, &y.log);
            if copies_differ && TrueEnd::ended_in_peace(world, of) {
                let text =
                    format!("n{i} and n{j} have different copies of one end: {x:?} and {y:?}");
                return Err(world.violation("same results", text));
            }
            // The last snapshot of a worker that died in a disturbed swarm may have reached some only.
            let past = world
                .machines
                .iter()
                .flat_map(|m| m.past.iter().map(move |p| (m, p)));
            let past: Vec<_> = past.filter(|(_, p)| p.of == of).collect();
            let settled = |worker: &NodeId| {
                let mut died = past.iter().filter(|(_, p)| p.node == *worker);
                died.all(|(m, p)| TrueEnd::died_alone(world, p, m.index))
            };
            for entry in x.roster.iter().filter(|e| e.is_final || settled(&e.worker)) {
                let of_worker = |t: &vajra_core::protocol::test_run::TestRun| {
                    t.merge().workers().get(&entry.worker).cloned()
                };
                if of_worker(a) != of_worker(b) {
                    let text = format!(
                        "n{i} and n{j} have different metrics of {:?}: {:?} and {:?}",
                        entry.worker,
                        of_worker(a).map(|m| m.number),
                        of_worker(b).map(|m| m.number)
                    );
                    return Err(world.violation("same results", text));
                }
            }
        }
        Ok(())
    }
}

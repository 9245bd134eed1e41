//! No dip: the death of a worker, the coordinator among them, alone makes no surviving worker send
//! less.

use std::time::Duration;

use vajra_core::protocol::messages::TestState;

use super::checker::Checker;
use super::progress::{able, bound};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::machine::State;
use crate::violation::Violation;
use crate::world::{WHOLE, World};

/// A death that is being watched.
#[derive(Debug)]
struct Watch {
    at: Duration,
    until: Duration,
    dead: usize,
    /// Slots of each machine at the death.
    shares: Vec<u32>,
    /// Machines that could have a share then.
    able: Vec<bool>,
}

/// Compares the shares of survivors with those before the death.
#[derive(Debug)]
pub struct NoDip {
    of: usize,
    watch: Option<Watch>,
    /// Slots of each machine after the last event.
    shares: Vec<u32>,
    up: Vec<bool>,
}

/// Most part of a share, in thousandths, that a rebalancing may take from a survivor.
const TOLERANCE: u32 = 50;
/// Largest swarm in which this is checked.
const MOST_NODES: usize = 20;

impl NoDip {
    /// For a test.
    pub fn new(of: usize) -> NoDip {
        NoDip {
            of,
            watch: None,
            shares: Vec::new(),
            up: Vec::new(),
        }
    }

    fn running(&self, world: &World) -> bool {
        let test = &world.tests[self.of];
        let started = test.started_last.is_some_and(|s| s < world.now);
        let mut states = world.running().filter_map(|m| m.test(test.id));
        started && test.stopped.is_none() && states.all(|t| t.state() <= TestState::Running)
    }

    /// Whether only this death disturbs the swarm.
    fn alone(world: &World, dead: usize, at: Duration) -> bool {
        let before = at.saturating_sub(bound(world, 0) + Duration::from_secs(4));
        let mut faults = world.scenario.faults.0.iter();
        faults.all(|t| match t.fault {
            Fault::Crash { node, .. } | Fault::Reboot { node, .. }
                if node == dead && t.at == at =>
            {
                true
            }
            _ => t.over() < before || t.at > world.now,
        })
    }

    fn able(world: &World, of: usize) -> Vec<bool> {
        let machines = world.machines.iter();
        machines
            .map(|m| m.state == State::Up && able(world, of, m))
            .collect()
    }

    fn begin(&mut self, world: &World, dead: usize) {
        let at = world.now;
        let full = self.shares.iter().sum::<u32>() == WHOLE;
        let quiet = NoDip::alone(world, dead, at);
        let of = self.of;
        let workers = world.running().filter(|m| able(world, of, m)).count();
        if full && quiet && workers > 0 && world.majority_alive(of) && self.running(world) {
            self.watch = Some(Watch {
                at,
                until: at + bound(world, of),
                dead,
                shares: self.shares.clone(),
                able: NoDip::able(world, of),
            });
        }
    }
}

impl Checker for NoDip {
    fn name(&self) -> &'static str {
        "no dip"
    }

    fn after(&mut self, world: &World, touched: usize) -> Result<(), Violation> {
        if world.machines.len() > MOST_NODES {
            return Ok(());
        }
        let of = self.of;
        self.shares.resize(world.machines.len(), 0);
        self.up.resize(world.machines.len(), false);
        let up = world.machines[touched].state == State::Up;
        if self.up[touched] && world.machines[touched].state == State::Down {
            self.begin(world, touched);
        }
        self.up[touched] = up;
        let now: Vec<u32> = match &self.watch {
            Some(_) => {
                let all = world.machines.iter();
                all.map(|m| m.sending(of, world.now).count()).collect()
            }
            None => Vec::new(),
        };
        self.shares[touched] = world.machines[touched].sending(of, world.now).count();
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        let mut able_now = NoDip::able(world, of).into_iter().zip(&watch.able);
        let joined = able_now.any(|(now, before)| now && !before);
        let over = world.now > watch.until || joined || !self.running(world);
        let mut others = world.scenario.faults.0.iter();
        let of_death = |f: &Fault| match f {
            Fault::Crash { node, .. } | Fault::Reboot { node, .. } => *node == watch.dead,
            _ => false,
        };
        let disturbed =
            others.any(|t| !of_death(&t.fault) && t.at <= world.now && t.over() >= watch.at);
        if over || disturbed {
            self.watch = None;
            return Ok(());
        }
        // In the closed model rounding may move a user.
        let users = world.tests[of].plan.load.users();
        let unit = users.map_or(1, |users| WHOLE / users * 3 / 2 + 1);
        for (i, before) in watch.shares.iter().enumerate() {
            let machine = &world.machines[i];
            // With limited requests the load may be over.
            let finished = machine.engine(of).is_some_and(Engine::finished);
            let survives = i != watch.dead && machine.state == State::Up && !finished;
            let least = (before - before * TOLERANCE / 1_000).saturating_sub(unit);
            if survives && able(world, of, machine) && now[i] < least {
                return Err(world.violation(
                    self.name(),
                    format!(
                        "n{i} sends for {} slots after the death of n{}, and {before} before",
                        now[i], watch.dead
                    ),
                ));
            }
        }
        Ok(())
    }
}

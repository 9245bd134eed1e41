//! The signed form of the end of a test: nodes that missed its message fetch it from any other node.

use super::beat::entry;
use super::messages::{EndReason, Ended, RosterEntry};
use super::signature::{Keys, Statement};
use crate::text::floor_char_boundary;

/// Bytes of the reason that are signed. Longer ones may be cut in a message.
const SIGNED_REASON: usize = 200;

impl Ended {
    /// What its coordinator signs: all fields but the certificate, which proves itself, and what is for
    /// display only and may be cut in a message: the events and the names of workers.
    fn statement(&self) -> Statement {
        let s = Statement::about("end", self.test)
            .number(self.term)
            .node(&self.coordinator);
        let s = match &self.reason {
            EndReason::Completed => s.number(0),
            EndReason::Stopped => s.number(1),
            EndReason::Failed(text) => {
                let start = &text[..floor_char_boundary(text, SIGNED_REASON)];
                let start = start.replace(char::is_control, " ");
                s.number(2).field(start.as_bytes())
            }
        };
        let s = s
            .list(self.roster.iter(), worker)
            .list(self.log.iter(), entry);
        optional(s, self.unused_numbers)
    }

    /// Signs it with the coordinator's keys.
    pub fn sign(&mut self, keys: &dyn Keys) {
        self.signature = keys.sign(&self.statement());
    }

    /// Whether its coordinator signed it.
    pub fn is_signed(&self, keys: &dyn Keys) -> bool {
        keys.is_signed(&self.statement(), &self.coordinator.peer, &self.signature)
    }
}

fn optional(s: Statement, n: Option<u64>) -> Statement {
    match n {
        None => s.number(0),
        Some(n) => s.number(1).number(n),
    }
}

fn worker(s: Statement, entry: &RosterEntry) -> Statement {
    let s = optional(s.node(&entry.worker), entry.last_snapshot);
    let s = s.number(u64::from(entry.is_final));
    optional(s, entry.lost_at.map(|at| at.as_nanos() as u64))
}

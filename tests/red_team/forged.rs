//! Forged messages about a test, by a seeded choice.

use std::sync::Arc;
use std::time::Duration;

use vajra_core::metrics::{Counters, Piece, Snapshot, StepCounters};
use vajra_core::protocol::allocation::AllocationName;
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry};
use vajra_core::protocol::messages::{
    Assign, EndReason, Ended, Gossip, Order, Request, RosterEntry, StopOrder, TaskDescription,
    TestMessage, TestState,
};
use vajra_core::protocol::stop::SignedStop;
use vajra_core::protocol::{Digest, Keys, NodeId, RemoteTime, Signature};
use vajra_core::splitmix::SplitMix64;
use vajra_core::{SLOTS, Slots};

use crate::attacker::Attacker;

/// Kinds of forged messages.
pub const KINDS: usize = 6;

/// Sends one forged message about the test of this beat. `victim` is the submitter.
pub fn forge(attacker: &Attacker, beat: &Beat, victim: &NodeId, rng: &mut SplitMix64) -> usize {
    let kind = rng.below(KINDS as u64) as usize;
    match kind {
        0 => forged_beat(attacker, beat, rng),
        1 => forged_end(attacker, beat, rng),
        2 => forged_snapshot(attacker, beat, rng),
        3 => forged_order(attacker, beat, rng),
        4 => forged_stop(attacker, beat, victim),
        _ => attacker.gossip(TestMessage::Resign {
            test: beat.test,
            term: beat.term,
            node: attacker.me.clone(),
        }),
    }
    kind
}

/// A beat of the attacker that raises the load, ends the test, or lengthens the leases.
fn forged_beat(attacker: &Attacker, known: &Beat, rng: &mut SplitMix64) {
    let mut beat = Beat {
        term: known.term + [0, 1, 5, 1 << 40][rng.below(4) as usize],
        coordinator: attacker.me.clone(),
        number: known.number + rng.below(1_000),
        events: Vec::new(),
        ..known.clone()
    };
    match rng.below(3) {
        0 => {
            let mut log = beat.log.to_vec();
            log.push(LogEntry {
                id: 1 + rng.below(1_000),
                at: Duration::from_secs(1),
                max_delay: Duration::ZERO,
                kind: EntryKind::LoadChanged(LoadCommand::Load {
                    level_milli: 1_500_000,
                }),
            });
            beat.committed = log.len() as u32;
            beat.log = log.into();
        }
        1 => beat.state = TestState::Ended,
        _ => beat.share_lease = Duration::from_secs(7 * 24 * 3600),
    }
    beat.signature = attacker.keys.sign(&beat.statement());
    attacker.gossip(TestMessage::Beat(Arc::new(beat)));
}

fn forged_end(attacker: &Attacker, beat: &Beat, rng: &mut SplitMix64) {
    let mut ended = Ended {
        test: beat.test,
        term: beat.term + rng.below(3),
        coordinator: attacker.me.clone(),
        reason: match rng.below(2) {
            0 => EndReason::Completed,
            _ => EndReason::Failed("forged".into()),
        },
        roster: vec![RosterEntry {
            worker: attacker.invented(0),
            name: "invented".into(),
            last_snapshot: Some(1),
            is_final: true,
            lost_at: None,
        }],
        events: Vec::new(),
        log: Vec::new(),
        unused_numbers: None,
        certificate: beat.certificate.clone(),
        signature: Signature([0; 64]),
    };
    ended.sign(&attacker.keys);
    attacker.gossip(TestMessage::Ended(ended));
}

/// Counts of a worker that does not exist.
fn forged_snapshot(attacker: &Attacker, beat: &Beat, rng: &mut SplitMix64) {
    let step = StepCounters {
        name: "request".into(),
        counters: Counters {
            planned: 1 << 40,
            sent: 1 << 40,
            ok: 1 << 40,
            ..Counters::default()
        },
    };
    let mut snapshot = Snapshot {
        test: beat.test,
        worker: attacker.invented(rng.below(8)),
        number: 1 + rng.below(100),
        is_final: rng.below(2) == 0,
        pieces_total: 1,
        elapsed: Duration::from_secs(1),
        slots: SLOTS,
        start_error: None,
        engine_cpu: Duration::ZERO,
        engine_threads: 1,
        pieces: vec![Piece::Counters(vec![step])],
        signature: Signature([0; 64]),
    };
    snapshot.sign(&attacker.keys);
    match rng.below(2) {
        0 => attacker.net.publish(&Gossip::Snapshot(snapshot)),
        _ => attacker.demand(&Request::Metrics(snapshot)),
    }
}

/// An order to carry the whole load.
fn forged_order(attacker: &Attacker, beat: &Beat, rng: &mut SplitMix64) {
    let number = 1_000 + rng.below(1_000);
    for worker in attacker.known(|k| k.announcement.clone().unwrap().electorate) {
        let assign = Assign {
            test: beat.test,
            term: beat.term,
            incarnation: worker.incarnation,
            registration: 1 + rng.below(2),
            digest: Digest([3; 32]),
            order: Order {
                number,
                share: Slots::whole(),
                floor: Duration::ZERO,
                start: None,
            },
            allocation: AllocationName {
                number,
                digest: Digest([1; 32]),
            },
            list: None,
            description: TaskDescription::default(),
            sent: RemoteTime(0),
        };
        let _ = attacker
            .net
            .request(worker.peer, &Request::Assign(assign), 1);
    }
}

/// A request to stop the test in the name of its submitter.
fn forged_stop(attacker: &Attacker, beat: &Beat, victim: &NodeId) {
    let order = StopOrder {
        graceful: false,
        timeout: Duration::ZERO,
    };
    attacker.demand(&Request::Stop {
        test: beat.test,
        term: beat.term,
        stop: SignedStop::new(beat.test, order, victim, &attacker.keys),
    });
}

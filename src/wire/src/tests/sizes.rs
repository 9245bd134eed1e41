//! Encoded messages fit the limits of their protocols.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::samples;
use crate::limits::*;
use crate::*;
use vajra_core::metrics::*;
use vajra_core::protocol::allocation::{Allocation, AllocationEntry};
use vajra_core::protocol::beat::Beat;
use vajra_core::protocol::certificate::Certificate;
use vajra_core::protocol::log::{EntryKind, LogEntry};
use vajra_core::protocol::messages::*;
use vajra_core::protocol::{Incarnation, NodeId, Peer};
use vajra_core::{Numbers, SLOTS, Slots};

fn key(piece: &Piece) -> String {
    match piece {
        Piece::Counters(_) => "counters".into(),
        Piece::Histogram { step, kind, .. } => format!("{step} {kind:?}"),
    }
}

/// The pieces of all parts by name. None may occur twice.
fn pieces_of(parts: &[Snapshot]) -> BTreeMap<String, Piece> {
    let mut all = BTreeMap::new();
    for piece in parts.iter().flat_map(|p| &p.pieces) {
        assert_eq!(all.insert(key(piece), piece.clone()), None);
    }
    all
}

fn gossip_len(part: &Snapshot) -> usize {
    encode_gossip(&Gossip::Snapshot(part.clone())).1.len()
}

/// A snapshot with three histograms of `values` values for each step.
fn large(steps: u32, values: u64) -> Snapshot {
    let step = StepCounters {
        name: "step".into(),
        counters: samples::counters(),
    };
    let mut pieces = vec![Piece::Counters(vec![step; steps as usize])];
    let data = samples::histogram(values);
    for step in 0..steps {
        pieces.extend(TimeKind::ALL.map(|kind| Piece::Histogram {
            step,
            kind,
            data: data.clone(),
        }));
    }
    Snapshot {
        pieces_total: pieces.len() as u32,
        pieces,
        ..samples::snapshot()
    }
}

/// A histogram with an incompressible count in every entry.
fn incompressible() -> std::sync::Arc<[u8]> {
    let mut h = new_histogram();
    let mut n = 1u64;
    for v in h.clone().iter_all() {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        h.saturating_record_n(v.value_iterated_to(), n >> 30);
    }
    samples::encoded(&h)
}

#[test]
fn a_small_snapshot_is_one_message() {
    let s = samples::snapshot();
    assert_eq!(split_snapshot(&s), (vec![s.clone()], 0));
    let empty = Snapshot {
        pieces: Vec::new(),
        ..s
    };
    assert_eq!(split_snapshot(&empty), (vec![empty], 0));
}

#[test]
fn a_large_snapshot_is_split_without_loss_and_every_part_is_accepted() {
    let s = large(20, 1000);
    let (parts, too_large) = split_snapshot(&s);
    assert_eq!(too_large, 0);
    assert_eq!(pieces_of(&parts), pieces_of(std::slice::from_ref(&s)));
    let mut total = 0;
    for part in &parts {
        let (topic, bytes) = encode_gossip(&Gossip::Snapshot(part.clone()));
        assert!(bytes.len() <= MAX_GOSSIP, "{}", bytes.len());
        total += bytes.len();
        let Ok(Gossip::Snapshot(back)) = decode_gossip(topic, &bytes) else {
            panic!("refused");
        };
        assert_eq!(pieces_of(&[back]), pieces_of(std::slice::from_ref(part)));
        assert_eq!((part.number, part.is_final), (s.number, s.is_final));
        assert_eq!(part.pieces_total, s.pieces_total);
    }
    assert!(parts.len() > 1);
    assert!(
        parts.len() <= 1 + total.div_ceil(MAX_GOSSIP),
        "{} parts of {total} bytes",
        parts.len()
    );
}

#[test]
fn a_piece_too_large_for_gossip_is_left_out_and_counted_but_fits_a_request() {
    let mut s = samples::snapshot();
    let data = incompressible();
    assert!(data.len() > MAX_GOSSIP && data.len() <= MAX_HISTOGRAM);
    s.pieces[2] = Piece::Histogram {
        step: 1,
        kind: TimeKind::Service,
        data,
    };
    let (parts, too_large) = split_snapshot(&s);
    assert_eq!(too_large, 1);
    let mut expected = pieces_of(std::slice::from_ref(&s));
    expected.remove("1 Service");
    assert_eq!(pieces_of(&parts), expected);
    assert!(parts.iter().all(|p| gossip_len(p) <= MAX_GOSSIP));

    let bytes = encode_request(&Request::Metrics(s.clone()));
    assert!(bytes.len() <= MAX_BULK);
    assert_eq!(decode_request(&bytes), Ok(Request::Metrics(s)));
}

/// With all texts, counters and histograms at their limits.
#[test]
fn the_largest_snapshot_of_one_step_fits_a_bulk_message_whole() {
    let errors = (0..MAX_STEP_ERRORS).map(|i| {
        let kind = format!("{i:032}");
        let message = "x".repeat(MAX_ERROR_MESSAGE);
        let count = ErrorCount {
            count: MAX_COUNT,
            first_ms: 1 << 29,
            last_ms: 1 << 29,
        };
        (ErrorKey { kind, message }, count)
    });
    let counters = Counters {
        status_codes: STATUS_CODES.map(|code| (code, MAX_COUNT)).collect(),
        errors: errors.collect(),
        ..samples::counters()
    };
    let mut pieces = vec![Piece::Counters(vec![StepCounters {
        name: "x".repeat(MAX_PLAN_NAME),
        counters,
    }])];
    let data = incompressible();
    pieces.extend(TimeKind::ALL.map(|kind| Piece::Histogram {
        step: 0,
        kind,
        data: data.clone(),
    }));
    let s = Snapshot {
        pieces,
        ..samples::snapshot()
    };
    assert!(encode_request(&Request::Metrics(s.clone())).len() <= MAX_BULK);
    let reply = Reply::Snapshots {
        test: s.test,
        snapshots: vec![s],
        more: false,
    };
    assert_eq!(decode_reply(&encode_reply(&reply)), Ok(reply));
}

/// Fetches page after page.
fn fetch_all(stored: &[Snapshot]) -> (Vec<Snapshot>, usize) {
    let (mut fetched, mut pages) = (Vec::new(), 0);
    loop {
        let rest = &stored[fetched.len()..];
        let reply = Reply::Snapshots {
            test: samples::TEST,
            snapshots: rest.to_vec(),
            more: false,
        };
        let bytes = encode_reply(&reply);
        assert!(bytes.len() <= MAX_BULK);
        let Ok(Reply::Snapshots {
            snapshots, more, ..
        }) = decode_reply(&bytes)
        else {
            panic!("refused");
        };
        assert!(!snapshots.is_empty());
        fetched.extend(snapshots);
        pages += 1;
        if !more {
            return (fetched, pages);
        }
    }
}

fn swarm(n: u8, of: &Snapshot) -> Vec<Snapshot> {
    (0..n)
        .map(|i| Snapshot {
            worker: samples::node(i),
            ..of.clone()
        })
        .collect()
}

#[test]
fn snapshots_of_many_workers_are_fetched_page_by_page() {
    let one_step = swarm(60, &large(1, 5000));
    let (fetched, pages) = fetch_all(&one_step);
    assert_eq!(fetched, one_step);
    assert!(pages > 1);
}

#[test]
fn a_page_ends_at_the_limits_of_its_receiver() {
    let many_steps = swarm(40, &large(30, 3));
    let (fetched, pages) = fetch_all(&many_steps);
    assert_eq!(fetched, many_steps);
    assert!(pages >= 40 * 90 / MAX_PAGE_HISTOGRAMS, "{pages}");
}

#[test]
fn of_a_snapshot_larger_than_a_page_the_pieces_that_fit_are_sent() {
    let mut s = samples::snapshot();
    let data = incompressible();
    let pieces = (0..4).flat_map(|step| TimeKind::ALL.map(|kind| (step, kind)));
    s.pieces.truncate(1);
    s.pieces.extend(pieces.map(|(step, kind)| Piece::Histogram {
        step,
        kind,
        data: data.clone(),
    }));
    s.pieces_total = s.pieces.len() as u32;
    let (fetched, pages) = fetch_all(std::slice::from_ref(&s));
    assert_eq!((fetched.len(), pages), (1, 1));
    assert!(fetched[0].pieces.len() > 3);
}

fn end_of(workers: u64) -> Ended {
    let entry = |i| RosterEntry {
        worker: NodeId {
            incarnation: Incarnation(u64::MAX - i),
            ..samples::node(1)
        },
        name: "n".repeat(MAX_NAME),
        last_snapshot: Some(100),
        is_final: true,
        lost_at: None,
    };
    let event = TestEvent {
        text: "t".repeat(MAX_TEXT),
        ..samples::ended().events[0].clone()
    };
    Ended {
        roster: (0..workers).map(entry).collect(),
        events: vec![event; 1000],
        ..samples::ended()
    }
}

#[test]
fn the_end_of_a_large_test_keeps_its_roster_and_the_first_events() {
    for (workers, names, events) in [(10, true, true), (100, true, true), (600, false, false)] {
        let whole = end_of(workers);
        let (topic, bytes) = encode_gossip(&Gossip::Test(TestMessage::Ended(whole.clone())));
        assert!(
            bytes.len() <= MAX_GOSSIP,
            "{workers} workers take {} bytes",
            bytes.len()
        );
        let Ok(Gossip::Test(TestMessage::Ended(e))) = decode_gossip(topic, &bytes) else {
            panic!("refused");
        };
        assert!(
            e.roster
                .iter()
                .map(|r| &r.worker)
                .eq(whole.roster.iter().map(|r| &r.worker))
        );
        assert_eq!(e.roster[0].name.is_empty(), !names);
        assert_eq!(!e.events.is_empty(), events);
    }
}

/// A beat with the most free numbers and votes and every optional field.
fn longest_beat() -> Beat {
    let free = (0..MAX_NUMBER_INTERVALS as u64).map(|i| vajra_core::Interval {
        from: MAX_NUMBER - 2 * i - 1,
        to: MAX_NUMBER - 2 * i,
    });
    let votes = (0..MAX_ELECTORS as u8).map(|i| (i, samples::signature(i)));
    Beat {
        term: MAX_NUMBER,
        number: MAX_NUMBER,
        share_lease: MAX_SPAN,
        since_start: Some(-(MAX_SPAN.as_nanos() as i64)),
        ends_within: Some(MAX_SPAN),
        committed: 1,
        leased_until: MAX_SPAN,
        free: Some(Arc::new(Numbers::union_of(free))),
        certificate: Arc::new(Certificate {
            votes: votes.collect(),
        }),
        ..samples::beat()
    }
}

#[test]
fn the_longest_beat_fits() {
    let decision = |id| LogEntry {
        id,
        ..samples::decisions()[0].clone()
    };
    let mut decisions: Vec<LogEntry> = (1..MAX_LOG_ENTRIES as u64).map(decision).collect();
    decisions.push(LogEntry {
        kind: EntryKind::SetupValues(vec![b'7'; MAX_VALUES].into()),
        ..decision(MAX_LOG_ENTRIES as u64)
    });
    let event = end_of(0).events[0].clone();
    let beat = Beat {
        log: decisions.into(),
        events: vec![event; MAX_BEAT_EVENTS],
        ..longest_beat()
    };
    let beat = TestMessage::Beat(beat.into());
    let beat = Gossip::Test(beat);
    let (topic, bytes) = encode_gossip(&beat);
    assert!(bytes.len() <= MAX_GOSSIP, "{}", bytes.len());
    assert_eq!(decode_gossip(topic, &bytes), Ok(beat));
}

#[test]
fn the_largest_allocation_fits_a_reply() {
    let entry = |i: usize| AllocationEntry {
        worker: NodeId {
            peer: Peer::new(&[&[0; 34], &(i as u32).to_be_bytes()[..]].concat()),
            incarnation: Incarnation(u64::MAX),
        },
        slots: Slots::range(100 * i as u32, 100 * i as u32 + 100),
    };
    let list = Allocation {
        entries: (0..MAX_ENTRIES).map(entry).collect(),
        ..samples::allocation()
    };
    let reply = Reply::Allocation {
        test: list.test,
        list: Some(Arc::new(list)),
        certificate: samples::certificate(),
    };
    let bytes = encode_reply(&reply);
    assert!(bytes.len() <= MAX_BULK, "{}", bytes.len());
    assert_eq!(decode_reply(&bytes), Ok(reply));
}

/// With the largest log, the most free numbers and every optional field.
#[test]
fn the_longest_vote_fits() {
    let mut log = vec![samples::decisions()[4].clone(); MAX_LOG_ENTRIES - 1];
    log.push(LogEntry {
        kind: EntryKind::SetupValues(vec![b'7'; MAX_VALUES].into()),
        ..log[0].clone()
    });
    let beat = Beat {
        log: log.into(),
        ..longest_beat()
    };
    let vote = TestMessage::Vote {
        test: samples::TEST,
        term: MAX_NUMBER,
        candidate: samples::node(1),
        elector: samples::node(2),
        sending: u32::MAX,
        stop: Some(samples::stop()),
        start: Some(RelayedStart {
            term: MAX_NUMBER,
            since: -(MAX_SPAN.as_nanos() as i64),
        }),
        beat: Some(Arc::new(beat)),
        signature: samples::signature(5),
    };
    let direct = Request::Election(vote.clone());
    let bytes = encode_request(&direct);
    assert!(bytes.len() <= MAX_CONTROL, "{}", bytes.len());
    assert_eq!(decode_request(&bytes), Ok(direct));
    let vote = Gossip::Test(vote);
    let (topic, bytes) = encode_gossip(&vote);
    assert!(bytes.len() <= MAX_GOSSIP, "{}", bytes.len());
    assert_eq!(decode_gossip(topic, &bytes), Ok(vote));
}

/// Slots in `n` pieces at the end of the load, where bounds take the most bytes.
fn pieces(n: usize) -> Slots {
    let interval = |i| vajra_core::Interval {
        from: SLOTS - 2 * i - 1,
        to: SLOTS - 2 * i,
    };
    Slots::union_of((0..n as u32).map(interval))
}

#[test]
fn the_largest_heartbeat_and_its_answer_fit_a_control_message() {
    let numbers =
        Numbers::union_of(
            (0..MAX_NUMBER_INTERVALS as u64).map(|i| vajra_core::Interval {
                from: MAX_NUMBER - 2 * i - 1,
                to: MAX_NUMBER - 2 * i,
            }),
        );
    let request = Request::Heartbeat(Heartbeat {
        held: pieces(MAX_HELD_INTERVALS),
        unused: numbers.clone(),
        returned: numbers.clone(),
        ..samples::heartbeat()
    });
    let bytes = encode_request(&request);
    assert!(bytes.len() <= MAX_CONTROL, "{}", bytes.len());
    assert_eq!(decode_request(&bytes), Ok(request));
    let mut log = vec![samples::decisions()[4].clone(); MAX_LOG_ENTRIES - 1];
    log.push(LogEntry {
        kind: EntryKind::SetupValues(vec![b'7'; MAX_VALUES].into()),
        ..log[0].clone()
    });
    let reply = Reply::Heartbeat(HeartbeatReply {
        message: "x".repeat(MAX_TEXT),
        order: Some(Order {
            share: pieces(MAX_INTERVALS),
            ..samples::order()
        }),
        numbers: Some(NumbersGrant {
            granted: numbers,
            last: false,
        }),
        log,
        ..samples::heartbeat_reply()
    });
    let bytes = encode_reply(&reply);
    assert!(bytes.len() <= MAX_CONTROL, "{}", bytes.len());
    assert_eq!(decode_reply(&bytes), Ok(reply));
}

/// A number that a message leaves out counts as used, so it is never granted twice.
#[test]
fn request_numbers_in_too_many_pieces_are_cut_so_that_peers_accept_them() {
    let many = Numbers::union_of((0..1000).map(|i| vajra_core::Interval {
        from: 2 * i,
        to: 2 * i + 1,
    }));
    let request = Request::Heartbeat(Heartbeat {
        unused: many.clone(),
        ..samples::heartbeat()
    });
    let Ok(Request::Heartbeat(h)) = decode_request(&encode_request(&request)) else {
        panic!("refused");
    };
    assert_eq!(h.unused, many.first(MAX_NUMBER_INTERVALS as u64));
}

#[test]
fn a_plan_too_long_for_its_announcement_is_left_out() {
    let plan = vec![b' '; MAX_INLINE_PLAN + 1];
    let announcement = Announcement {
        digest: vajra_core::protocol::Digest::of(&plan),
        plan_len: plan.len() as u32,
        plan: Some(plan.into()),
        ..samples::announcement()
    };
    let (topic, bytes) = encode_gossip(&Gossip::Test(TestMessage::Announced(announcement)));
    let Ok(Gossip::Test(TestMessage::Announced(a))) = decode_gossip(topic, &bytes) else {
        panic!("refused");
    };
    assert_eq!((a.plan, a.plan_len), (None, MAX_INLINE_PLAN as u32 + 1));
    let whole = Reply::Plan(Some(vec![7; MAX_PLAN].into()));
    let bytes = encode_reply(&whole);
    assert!(bytes.len() <= MAX_BULK);
    assert_eq!(decode_reply(&bytes), Ok(whole));
}

#[test]
fn the_largest_part_of_a_record_fits_a_reply() {
    let whole = Reply::Record(Some(RecordPart {
        digest: vajra_core::protocol::Digest([7; 32]),
        total: MAX_RECORD,
        bytes: vec![7; MAX_CHUNK].into(),
    }));
    let bytes = encode_reply(&whole);
    assert!(bytes.len() <= MAX_BULK);
    assert_eq!(decode_reply(&bytes), Ok(whole));
}

#[test]
fn the_largest_part_of_a_file_fits_a_reply() {
    let part = BlobPart {
        total: MAX_BLOB,
        bytes: vec![7; MAX_CHUNK].into(),
    };
    let whole = Reply::Blob(Some(part));
    let bytes = encode_reply(&whole);
    assert!(bytes.len() <= MAX_BULK);
    assert_eq!(decode_reply(&bytes), Ok(whole));
}

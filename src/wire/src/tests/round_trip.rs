//! Decoding is the inverse of encoding.

use std::collections::BTreeSet;
use std::time::Duration;

use super::samples;
use crate::limits::*;
use crate::*;
use vajra_core::metrics::{Piece, Snapshot};
use vajra_core::protocol::messages::*;

fn gossip_variant(g: &Gossip) -> u8 {
    match g {
        Gossip::Advert(_) => 0,
        Gossip::Snapshot(_) => 1,
        Gossip::Test(t) => match t {
            TestMessage::Announced(_) => 2,
            TestMessage::Poll { .. } => 3,
            TestMessage::PollAnswer { .. } => 4,
            TestMessage::Claim { .. } => 5,
            TestMessage::Vote { .. } => 6,
            TestMessage::Beat(_) => 7,
            TestMessage::BeatAck { .. } => 8,
            TestMessage::Resign { .. } => 9,
            TestMessage::Stop { .. } => 10,
            TestMessage::Ended(_) => 11,
            TestMessage::LoadCommand { .. } => 12,
        },
    }
}

fn request_variant(r: &Request) -> u8 {
    match r {
        Request::Register(_) => 0,
        Request::Heartbeat(_) => 1,
        Request::Assign(_) => 2,
        Request::Stop { .. } => 3,
        Request::Metrics(_) => 4,
        Request::FetchAnnouncement(_) => 5,
        Request::FetchPlan(_) => 6,
        Request::FetchSnapshots { .. } => 7,
        Request::Drain => 8,
        Request::Preflight(_) => 9,
        Request::Clock => 10,
        Request::FetchBlob { .. } => 11,
        Request::TakeData(_) => 12,
        Request::FetchRecord { .. } => 13,
        Request::Election(_) => 14,
        Request::FetchAllocation { .. } => 15,
        Request::FetchEnd(_) => 16,
    }
}

fn reply_variant(r: &Reply) -> u8 {
    match r {
        Reply::Register(_) => 0,
        Reply::Heartbeat(_) => 1,
        Reply::Assign(_) => 2,
        Reply::Stop { .. } => 3,
        Reply::Metrics { .. } => 4,
        Reply::Announcement(_) => 5,
        Reply::Plan(_) => 6,
        Reply::Snapshots { .. } => 7,
        Reply::Drained => 8,
        Reply::Refused(_) => 9,
        Reply::Preflight(_) => 10,
        Reply::Clock { .. } => 11,
        Reply::Blob(_) => 12,
        Reply::Data { .. } => 13,
        Reply::Record(_) => 14,
        Reply::Noted => 15,
        Reply::Allocation { .. } => 16,
        Reply::End(_) => 17,
    }
}

#[test]
fn the_samples_cover_every_variant() {
    let gossip: BTreeSet<u8> = samples::gossip().iter().map(gossip_variant).collect();
    let requests: BTreeSet<u8> = samples::requests().iter().map(request_variant).collect();
    let replies: BTreeSet<u8> = samples::replies().iter().map(reply_variant).collect();
    assert!(gossip.into_iter().eq(0..13));
    assert!(requests.into_iter().eq(0..17));
    assert!(replies.into_iter().eq(0..18));
}

#[test]
fn every_gossip_message_decodes_under_its_topic_only() {
    for message in samples::gossip() {
        let (topic, bytes) = encode_gossip(&message);
        assert_eq!(decode_gossip(topic, &bytes).as_ref(), Ok(&message));
        for other in Topic::ALL.into_iter().filter(|t| *t != topic) {
            assert_eq!(decode_gossip(other, &bytes), Err(WireError::WrongTopic));
        }
    }
}

#[test]
fn every_request_decodes_to_itself() {
    for request in samples::requests() {
        let bytes = encode_request(&request);
        assert_eq!(decode_request(&bytes), Ok(request));
    }
}

#[test]
fn every_reply_decodes_to_itself() {
    for reply in samples::replies() {
        let bytes = encode_reply(&reply);
        assert_eq!(decode_reply(&bytes), Ok(reply));
    }
}

#[test]
fn equal_messages_have_equal_bytes() {
    for message in samples::gossip() {
        assert_eq!(encode_gossip(&message), encode_gossip(&message.clone()));
    }
}

#[test]
fn intervals_are_rounded_up_to_milliseconds() {
    let reply = RegisterReply {
        heartbeat_interval: Duration::from_nanos(1),
        metrics_interval: Duration::from_micros(1_000_001),
        ..samples::register_reply()
    };
    let Ok(Reply::Register(r)) = decode_reply(&encode_reply(&Reply::Register(reply))) else {
        panic!("no registration");
    };
    assert_eq!(r.heartbeat_interval, Duration::from_millis(1));
    assert_eq!(r.metrics_interval, Duration::from_millis(1001));
}

#[test]
fn long_texts_and_lists_are_cut_so_that_peers_accept_them() {
    let long = "ü\u{1b}[2J".repeat(1000);
    let advert = Advert {
        name: long.clone(),
        version: long.clone(),
        addresses: std::iter::once(long.clone())
            .chain((0..100).map(|i| format!("/ip4/10.0.0.{i}/tcp/1")))
            .collect(),
        capacity: u32::MAX,
        load: u32::MAX,
        task_types: vec![long.clone(); 100],
        labels: (0..100)
            .map(|i| (format!("{i}{long}"), long.clone()))
            .collect(),
        interval: Duration::MAX,
        tests: vec![samples::advert().tests[0].clone(); 1000],
        environment: long.clone(),
        ..samples::advert()
    };
    let (topic, bytes) = encode_gossip(&Gossip::Advert(advert.into()));
    let Ok(Gossip::Advert(a)) = decode_gossip(topic, &bytes) else {
        panic!("refused");
    };
    assert_eq!(a.name.len(), MAX_NAME);
    assert!(!a.name.contains('\u{1b}'));
    assert_eq!(a.addresses.len(), MAX_ADDRESSES);
    assert_eq!(a.addresses[0], "/ip4/10.0.0.0/tcp/1");
    assert_eq!(a.labels.len(), MAX_LABELS);
    assert_eq!((a.capacity, a.load), (MAX_TASKS, MAX_TASKS));
    assert_eq!(a.interval, MAX_SPAN);
    assert_eq!(a.tests.len(), MAX_KNOWN_TESTS);
    assert_eq!(a.environment.len(), MAX_ENVIRONMENT);
}

#[test]
fn errors_that_become_equal_when_cut_are_added_and_none_is_lost() {
    use vajra_core::metrics::{Counters, ErrorCount, ErrorKey, StepCounters};
    let error = |i: u32, prefix: &str| ErrorKey {
        kind: "connect".into(),
        message: format!("{prefix}{i}"),
    };
    let once = ErrorCount {
        count: 1,
        first_ms: 5,
        last_ms: 6,
    };
    let long = "x".repeat(MAX_ERROR_MESSAGE);
    for (prefix, kinds) in [(long.as_str(), 1), ("", MAX_STEP_ERRORS)] {
        let counters = Counters {
            errors: (0..1000).map(|i| (error(i, prefix), once)).collect(),
            ..Counters::default()
        };
        let step = StepCounters {
            name: "step".into(),
            counters,
        };
        let snapshot = Snapshot {
            pieces: vec![Piece::Counters(vec![step])],
            ..samples::snapshot()
        };
        let bytes = encode_request(&Request::Metrics(snapshot));
        let Ok(Request::Metrics(s)) = decode_request(&bytes) else {
            panic!("refused");
        };
        let [Piece::Counters(steps)] = s.pieces.as_slice() else {
            panic!("no counters");
        };
        let errors = &steps[0].counters.errors;
        assert_eq!(errors.len(), kinds);
        assert_eq!(errors.values().map(|e| e.count).sum::<u64>(), 1000);
    }
}

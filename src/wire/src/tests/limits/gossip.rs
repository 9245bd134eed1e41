//! Limits of gossip, without snapshots.

use super::*;
use crate::limits::*;
use crate::tests::samples;
use vajra_core::protocol::messages::*;
use vajra_proto::{v1, worker};

#[test]
fn advert() {
    let good = samples::advert();
    let bad = |field, spoil: fn(&mut v1::Advert)| refused(&good, field, spoil);
    bad("node", |m| m.node = None);
    bad("number", |m| m.number = MAX_NUMBER + 1);
    bad("name", |m| m.name = long(MAX_NAME + 1));
    bad("name", |m| m.name = "a\u{1b}[2J".into());
    bad("version", |m| m.version = long(MAX_VERSION + 1));
    bad("addresses", |m| {
        m.addresses = vec!["/ip4/1.2.3.4".into(); MAX_ADDRESSES + 1]
    });
    bad("addresses", |m| {
        m.addresses[0] = format!("/{}", long(MAX_ADDRESS))
    });
    bad("addresses", |m| m.addresses[0] = "10.0.0.1:80".into());
    bad("addresses", |m| {
        m.addresses[0] = "/ip4/10.0.0.1 /tcp/1".into()
    });
    bad("capacity", |m| m.capacity = MAX_TASKS + 1);
    bad("load", |m| m.load = MAX_TASKS + 1);
    bad("task_types", |m| {
        m.task_types = vec!["A".into(); MAX_TASK_TYPES + 1]
    });
    bad("task_types", |m| m.task_types[0] = long(MAX_TASK_TYPE + 1));
    bad("task_types", |m| m.task_types[0].clear());
    bad("labels", |m| m.labels = many(MAX_LABELS + 1));
    bad("labels", |m| {
        drop(m.labels.insert(long(MAX_KEY + 1), String::new()))
    });
    bad("labels", |m| {
        drop(m.labels.insert("k".into(), long(MAX_LABEL + 1)))
    });
    bad("labels", |m| {
        drop(m.labels.insert(String::new(), String::new()))
    });
    bad("interval_ns", |m| m.interval_ns = 0);
    bad("interval_ns", |m| {
        m.interval_ns = MAX_SPAN.as_nanos() as u64 + 1
    });
    bad("tests", |m| {
        m.tests = vec![m.tests[0].clone(); MAX_KNOWN_TESTS + 1]
    });
    bad("test", |m| m.tests[0].test = vec![1; 17]);
    bad("test", |m| m.tests[0].test = vec![1; 15]);
    bad("test", |m| m.tests[0].test.clear());
    bad("term", |m| m.tests[0].term = MAX_NUMBER + 1);
    bad("digest", |m| m.tests[0].digest = vec![1; 31]);
    bad("environment", |m| m.environment = long(MAX_ENVIRONMENT + 1));
    bad("environment", |m| m.environment = "\u{1b}[2J".into());
}

#[test]
fn node_names() {
    let good = samples::node(1);
    refused(&good, "peer", |m| m.peer.clear());
    refused(&good, "peer", |m| m.peer = vec![1; MAX_PEER + 1]);
}

#[test]
fn announcement() {
    let good = samples::announcement();
    let bad = |field, spoil: fn(&mut v1::Announcement)| refused(&good, field, spoil);
    bad("submitter", |m| m.submitter = None);
    bad("nonce", |m| m.nonce = vec![1; 15]);
    bad("signature", |m| m.signature = Vec::new());
    bad("name", |m| m.name = long(MAX_PLAN_NAME + 1));
    bad("digest", |m| m.digest = vec![0; 33]);
    bad("plan_len", |m| (m.plan, m.plan_len) = (None, 0));
    bad("plan_len", |m| {
        (m.plan, m.plan_len) = (None, MAX_PLAN as u32 + 1)
    });
    bad("plan", |m| m.plan = Some(vec![0; MAX_INLINE_PLAN + 1]));
    bad("plan", |m| m.plan_len += 1);
    bad("plan", |m| m.digest[0] ^= 1);
    bad("electorate", |m| m.electorate.clear());
    bad("electorate", |m| m.electorate.truncate(2));
    bad("electorate", |m| {
        m.electorate = (0..9).map(|n| samples::node(n).to_wire()).collect();
    });
    // The same peer in another incarnation is the same elector.
    bad("electorate", |m| {
        m.electorate[2] = m.electorate[0].clone();
        m.electorate[2].incarnation += 1;
    });
    bad("submitted_unix_ms", |m| {
        m.submitted_unix_ms = MAX_UNIX_MS + 1
    });
}

#[test]
fn elections() {
    use v1::test_message::Body;
    use worker::log_entry::Change;
    let all = samples::gossip();
    let messages: Vec<&TestMessage> = all
        .iter()
        .filter_map(|g| match g {
            Gossip::Test(t) => Some(t),
            _ => None,
        })
        .collect();
    for good in messages {
        let bad = |field, spoil: fn(&mut v1::TestMessage)| refused(good, field, spoil);
        macro_rules! spoil {
            ($body:ident, $field:literal, $m:ident => $change:expr) => {
                bad($field, |m| {
                    if let Some(Body::$body($m)) = &mut m.body {
                        $change
                    }
                })
            };
        }
        match good {
            TestMessage::Poll { .. } => {
                spoil!(Poll, "term", m => m.term = 0);
                spoil!(Poll, "term", m => m.term = MAX_NUMBER + 1);
                spoil!(Poll, "candidate", m => m.candidate = None);
            }
            TestMessage::PollAnswer { .. } => {
                spoil!(PollAnswer, "term", m => m.term = 0);
                spoil!(PollAnswer, "seen_term", m => m.seen_term = MAX_NUMBER + 1);
                spoil!(PollAnswer, "elector", m => m.elector = None);
            }
            TestMessage::Claim { .. } => {
                spoil!(Claim, "term", m => m.term = 0);
                spoil!(Claim, "test", m => m.test = vec![0; 5]);
            }
            TestMessage::Vote { .. } => {
                spoil!(Vote, "term", m => m.term = 0);
                spoil!(Vote, "since_start_ns", m => m.since_start_ns = Some(i64::MIN));
                spoil!(Vote, "term", m => {
                    m.since_start_ns = Some(1);
                    m.start_term = 0;
                });
                spoil!(Vote, "signature", m => m.signature = vec![0; 63]);
                spoil!(Vote, "signature", m => m.beat.as_mut().unwrap().signature = vec![0; 65]);
                spoil!(Vote, "certificate", m => m.beat.as_mut().unwrap().certificate = None);
                spoil!(Vote, "leased_until_ns", m => {
                    m.beat.as_mut().unwrap().leased_until_ns = span() + 1;
                });
                spoil!(Vote, "at_ns", m => m.beat.as_mut().unwrap().log[5].at_ns = u64::MAX);
                spoil!(Vote, "timeout_ns", m => {
                    m.stop.as_mut().unwrap().order.as_mut().unwrap().timeout_ns = u64::MAX;
                });
            }
            TestMessage::Beat(_) => {
                spoil!(Beat, "term", m => m.term = 0);
                spoil!(Beat, "number", m => m.number = u64::MAX);
                spoil!(Beat, "share_lease_ns", m => m.share_lease_ns = u64::MAX);
                spoil!(Beat, "since_start_ns", m => m.since_start_ns = Some(i64::MIN));
                spoil!(Beat, "since_start_ns", m => m.since_start_ns = Some(i64::MAX));
                spoil!(Beat, "ends_within_ns", m => m.ends_within_ns = Some(u64::MAX));
                spoil!(Beat, "leased_until_ns", m => m.leased_until_ns = span() + 1);
                spoil!(Beat, "free", m => m.free = Some(v1::FreeList { numbers: vec![1] }));
                spoil!(Beat, "free", m => m.free = Some(v1::FreeList { numbers: vec![1, 1] }));
                spoil!(Beat, "free", m => {
                    m.free = Some(v1::FreeList { numbers: vec![0, MAX_NUMBER + 1] });
                });
                spoil!(Beat, "free", m => {
                    let bounds = 0..2 * MAX_NUMBER_INTERVALS as u64 + 2;
                    m.free = Some(v1::FreeList { numbers: bounds.collect() });
                });
                spoil!(Beat, "digest", m => {
                    m.allocation = Some(worker::AllocationName { number: 1, digest: vec![0; 33] });
                });
                spoil!(Beat, "allocation.number", m => {
                    let digest = vec![0; 32];
                    m.allocation = Some(worker::AllocationName { number: u64::MAX, digest });
                });
                spoil!(Beat, "signature", m => m.signature = Vec::new());
                spoil!(Beat, "certificate", m => m.certificate = None);
                spoil!(Beat, "certificate.votes", m => {
                    let votes = &mut m.certificate.as_mut().unwrap().votes;
                    *votes = vec![votes[0].clone(); MAX_ELECTORS + 1];
                });
                spoil!(Beat, "elector", m => {
                    m.certificate.as_mut().unwrap().votes[0].elector = MAX_ELECTORS as u32;
                });
                spoil!(Beat, "signature", m => {
                    m.certificate.as_mut().unwrap().votes[0].signature = vec![1; 5];
                });
                spoil!(Beat, "state", m => m.state = 0);
                spoil!(Beat, "state", m => m.state = 99);
                spoil!(Beat, "committed", m => m.committed = 7);
                spoil!(Beat, "events", m => {
                    m.events = vec![m.events[0].clone(); MAX_BEAT_EVENTS + 1];
                });
                spoil!(Beat, "at_ms", m => m.events[0].at_ms = i64::MIN);
                spoil!(Beat, "log", m => m.log.reverse());
                spoil!(Beat, "log", m => {
                    m.log = vec![m.log[0].clone(); MAX_LOG_ENTRIES + 1];
                });
                spoil!(Beat, "max_delay_ns", m => m.log[1].max_delay_ns = u64::MAX);
                spoil!(Beat, "values", m => {
                    m.log[1].change = Some(Change::Values(vec![0; MAX_VALUES + 1]));
                });
                spoil!(Beat, "level_milli", m => {
                    m.log[1].change = Some(Change::LevelMilli(0));
                });
                spoil!(Beat, "hook", m => {
                    m.log[1].change = Some(Change::Started(9));
                });
                spoil!(Beat, "log entry", m => m.log[1].change = None);
            }
            TestMessage::BeatAck { .. } => {
                spoil!(BeatAck, "term", m => m.term = 0);
                spoil!(BeatAck, "number", m => m.number = u64::MAX);
            }
            TestMessage::Resign { .. } => {
                spoil!(Resign, "term", m => m.term = 0);
                spoil!(Resign, "node", m => m.node = None);
            }
            TestMessage::Stop { .. } => {
                spoil!(Stop, "stop", m => m.stop = None);
                spoil!(Stop, "by", m => m.stop.as_mut().unwrap().by = None);
                spoil!(Stop, "order", m => m.stop.as_mut().unwrap().order = None);
                spoil!(Stop, "signature", m => m.stop.as_mut().unwrap().signature.clear());
            }
            TestMessage::LoadCommand { .. } => {
                spoil!(LoadCommand, "by", m => m.by = None);
                spoil!(LoadCommand, "load command", m => m.command = None);
                spoil!(LoadCommand, "level_milli", m => {
                    m.command = Some(v1::load_command::Command::LevelMilli(MAX_RATE_MILLI + 1));
                });
            }
            TestMessage::Announced(_) | TestMessage::Ended(_) => {}
        }
    }
}

#[test]
fn the_end() {
    let good = samples::ended();
    let bad = |field, spoil: fn(&mut v1::Ended)| refused(&good, field, spoil);
    bad("term", |m| m.term = MAX_NUMBER + 1);
    bad("coordinator", |m| m.coordinator = None);
    bad("reason", |m| m.reason = 0);
    bad("reason", |m| m.reason = 50);
    bad("message", |m| m.message = long(MAX_TEXT + 1));
    bad("roster", |m| {
        m.roster = vec![m.roster[0].clone(); MAX_ROSTER + 1]
    });
    bad("worker", |m| m.roster[0].worker = None);
    bad("name", |m| m.roster[0].name = long(MAX_NAME + 1));
    bad("last_snapshot", |m| {
        m.roster[0].last_snapshot = Some(u64::MAX)
    });
    bad("lost_at_ns", |m| m.roster[0].lost_at_ns = Some(u64::MAX));
    bad("events", |m| {
        m.events = vec![m.events[0].clone(); MAX_EVENTS + 1]
    });
    bad("at_ms", |m| m.events[0].at_ms = i64::MIN);
    bad("event.kind", |m| m.events[0].kind = long(MAX_WORD + 1));
    bad("event.peer", |m| {
        m.events[0].peer = Some(vec![0; MAX_PEER + 1])
    });
    bad("event.text", |m| m.events[0].text = long(MAX_TEXT + 1));
    bad("unused_numbers", |m| {
        m.unused_numbers = Some(MAX_NUMBER + 1)
    });
}

#[test]
fn an_unknown_status_does_not_refuse_the_message() {
    let mut m = samples::advert().to_wire();
    m.status = 77;
    assert_eq!(Advert::from_wire(m).map(|a| a.status), Ok(Status::Unknown));
}

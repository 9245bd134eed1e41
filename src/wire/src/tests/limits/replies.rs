//! Limits of replies, and of requests that are defined in the envelope.

use std::sync::Arc;

use prost::Message as _;

use super::*;
use crate::limits::*;
use crate::tests::samples;
use crate::{decode_reply, decode_request};
use vajra_core::metrics::Snapshot;
use vajra_proto::{v1, worker};

#[track_caller]
fn refused_reply(body: v1::reply::Body, field: &str) {
    let bytes = v1::Reply { body: Some(body) }.encode_to_vec();
    let error = decode_reply(&bytes).expect_err(field);
    assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
}

#[test]
fn replies() {
    use v1::reply::Body;
    refused_reply(
        Body::Assign(worker::TaskAssignmentResponse {
            test: vec![0; 16],
            estimated_tasks: u64::MAX,
            ..Default::default()
        }),
        "estimated_tasks",
    );
    refused_reply(
        Body::Stop(worker::StopTestResponse {
            interrupted: u32::MAX,
            ..Default::default()
        }),
        "interrupted",
    );
    refused_reply(
        Body::Metrics(worker::MetricsAcknowledgment {
            test: vec![0; 16],
            number: u64::MAX,
            ..Default::default()
        }),
        "number",
    );
    refused_reply(
        Body::Plan(v1::FetchedPlan {
            plan: Some(vec![0; MAX_PLAN + 1]),
        }),
        "plan",
    );
    let part = |total, len| {
        let bytes = vec![0; len];
        let part = Some(v1::BlobPart { total, bytes });
        Body::Blob(v1::FetchedBlob { part })
    };
    refused_reply(part(MAX_BLOB, MAX_CHUNK + 1), "bytes");
    refused_reply(part(MAX_BLOB + 1, 1), "total");
    let data = |missing, unable| Body::Data(v1::DataTaken { missing, unable });
    refused_reply(data(MAX_DATA + 1, None), "missing");
    refused_reply(data(0, Some(long(MAX_TEXT + 1))), "unable");
    refused_reply(
        Body::Refused(v1::Refused {
            message: long(MAX_TEXT + 1),
        }),
        "message",
    );
}

#[test]
fn preflights_and_their_findings() {
    use v1::reply::Body;
    use vajra_core::protocol::preflight::{Check, Finding, Preflight, PreflightReply};
    let good = samples::preflight();
    refused::<Preflight>(&good, "digest", |m| m.digest.truncate(31));
    refused::<Preflight>(&good, "plan", |m| m.plan = vec![0; MAX_PLAN + 1]);
    refused::<Preflight>(&good, "slots", |m| m.slots = MAX_SLOTS + 1);
    let good = samples::check();
    refused::<Check>(&good, "name", |m| m.name.clear());
    refused::<Check>(&good, "name", |m| m.name = long(MAX_WORD + 1));
    refused::<Check>(&good, "subject", |m| m.subject = long(MAX_SUBJECT + 1));
    refused::<Check>(&good, "value", |m| m.value = Some(MAX_COUNT + 1));
    refused::<Check>(&good, "limit", |m| m.limit = Some(MAX_COUNT + 1));
    refused::<Check>(&good, "text", |m| m.text = long(MAX_TEXT + 1));
    refused::<Check>(&good, "text", |m| m.text = "\u{1b}[2J".into());
    refused::<Check>(&good, "hint", |m| m.hint = long(MAX_TEXT + 1));
    let good = samples::preflight_reply();
    refused::<PreflightReply>(&good, "checks", |m| {
        m.checks = vec![m.checks[0].clone(); MAX_CHECKS + 1];
    });
    refused_reply(
        Body::Clock(v1::ClockReading { unix_ms: u64::MAX }),
        "unix_ms",
    );
    let mut newer = samples::check().to_wire();
    newer.finding = 99;
    assert_eq!(
        Check::from_wire(newer).map(|c| c.finding),
        Ok(Finding::Warn)
    );
}

#[test]
fn the_largest_preflight_and_its_reply_fit_their_protocols() {
    use crate::{encode_reply, encode_request};
    use vajra_core::protocol::messages::{Reply, Request};
    let largest = Request::Preflight(vajra_core::protocol::preflight::Preflight {
        plan: vec![b' '; MAX_PLAN].into(),
        ..samples::preflight()
    });
    let bytes = encode_request(&largest);
    assert!(bytes.len() <= MAX_BULK);
    assert_eq!(decode_request(&bytes), Ok(largest));
    let mut found = samples::preflight_reply();
    found.checks = vec![samples::check(); 1000];
    let bytes = encode_reply(&Reply::Preflight(found));
    assert!(bytes.len() <= MAX_CONTROL);
    let Ok(Reply::Preflight(found)) = decode_reply(&bytes) else {
        panic!("refused");
    };
    assert_eq!(found.checks.len(), MAX_CHECKS);
}

#[test]
fn pages() {
    use v1::reply::Body;
    let of = |snapshots: Vec<worker::WorkerMetrics>, more| v1::FetchedSnapshots {
        test: samples::TEST.0.to_vec(),
        snapshots,
        more,
    };
    let empty = |worker| {
        let pieces = Vec::new();
        Snapshot {
            worker,
            pieces,
            ..samples::snapshot()
        }
        .to_wire()
    };
    refused_reply(Body::Snapshots(of(vec![], true)), "snapshots");
    refused_reply(
        Body::Snapshots(of(
            vec![empty(samples::node(2)), empty(samples::node(1))],
            false,
        )),
        "snapshots",
    );
    refused_reply(
        Body::Snapshots(of(vec![empty(samples::node(2)); 2], false)),
        "snapshots",
    );
    let mut other = of(vec![empty(samples::node(2))], false);
    other.test[0] ^= 1;
    refused_reply(Body::Snapshots(other), "snapshots");
    let many = (0..=MAX_SNAPSHOTS as u64).map(|i| {
        let mut node = samples::node(1);
        node.incarnation.0 = i;
        empty(node)
    });
    refused_reply(Body::Snapshots(of(many.collect(), false)), "snapshots");
    let full = worker::WorkerMetrics {
        histograms: vec![Default::default(); MAX_PAGE_HISTOGRAMS + 1],
        ..Default::default()
    };
    refused_reply(
        Body::Snapshots(of(vec![full], false)),
        "histograms of all snapshots",
    );
}

#[test]
fn a_stop_needs_its_term_and_a_bounded_timeout() {
    use v1::request::Body;
    let stop = worker::StopTestRequest {
        test_id: samples::TEST.to_string(),
        term: 1,
        stop: Some(samples::stop().to_wire()),
        ..Default::default()
    };
    let decode = |m: worker::StopTestRequest| {
        let body = Some(Body::Stop(m));
        decode_request(&v1::Request { body }.encode_to_vec())
    };
    assert!(decode(stop.clone()).is_ok());
    let no_term = worker::StopTestRequest {
        term: 0,
        ..stop.clone()
    };
    assert_eq!(decode(no_term), Err(WireError::Missing("term")));
    let mut endless = stop;
    let order = endless.stop.as_mut().unwrap().order.as_mut().unwrap();
    order.timeout_ns = u64::MAX;
    assert!(matches!(decode(endless), Err(WireError::TooLarge { .. })));
}

#[test]
fn parts_of_files_are_requested_within_the_size_limit() {
    use v1::request::Body;
    let decode = |body| decode_request(&v1::Request { body: Some(body) }.encode_to_vec());
    let fetch = |offset, len| {
        let digest = vec![1; len];
        decode(Body::FetchBlob(v1::FetchBlob { digest, offset }))
    };
    assert!(fetch(MAX_BLOB, 32).is_ok());
    assert!(matches!(
        fetch(MAX_BLOB + 1, 32),
        Err(WireError::TooLarge {
            field: "offset",
            ..
        })
    ));
    assert!(fetch(0, 31).is_err() && fetch(0, 33).is_err() && fetch(0, 0).is_err());
    let take = |len| decode(Body::TakeData(v1::TakeData { plan: vec![1; len] }));
    assert!(take(MAX_PLAN).is_ok());
    assert!(matches!(
        take(MAX_PLAN + 1),
        Err(WireError::TooLong { field: "plan", .. })
    ));
}

#[test]
fn records() {
    use v1::request::Body;
    use vajra_core::protocol::messages::RecordPart;
    let good = RecordPart {
        digest: vajra_core::protocol::Digest([7; 32]),
        total: 2,
        bytes: Arc::from(&b"{}"[..]),
    };
    let bad = |field, spoil: fn(&mut v1::RecordPart)| refused(&good, field, spoil);
    bad("digest", |m| m.digest.truncate(31));
    bad("digest", |m| m.digest.clear());
    bad("total", |m| m.total = MAX_RECORD + 1);
    bad("bytes", |m| m.bytes = vec![0; MAX_CHUNK + 1]);

    let fetch = |kind: i32, test: usize, offset| {
        let test = vec![1; test];
        let body = Some(Body::FetchRecord(v1::FetchRecord { kind, test, offset }));
        decode_request(&v1::Request { body }.encode_to_vec())
    };
    assert!(fetch(1, 0, MAX_RECORD).is_ok() && fetch(3, 16, 0).is_ok());
    assert!(matches!(
        fetch(1, 0, MAX_RECORD + 1),
        Err(WireError::TooLarge {
            field: "offset",
            ..
        })
    ));
    for (kind, test) in [(2, 0), (2, 15), (3, 17)] {
        assert!(fetch(kind, test, 0).is_err(), "{kind} of {test} bytes");
    }
}

#[test]
fn an_unknown_kind_of_record_is_of_a_newer_version() {
    use v1::request::Body;
    for kind in [0, 99] {
        let body = Some(Body::FetchRecord(v1::FetchRecord {
            kind,
            ..Default::default()
        }));
        let decoded = decode_request(&v1::Request { body }.encode_to_vec());
        assert!(decoded.is_err_and(|e| e.is_newer()), "{kind}");
    }
}

#[test]
fn allocations() {
    use v1::reply::Body;
    use vajra_core::protocol::allocation::Allocation;
    let good = samples::allocation();
    let bad =
        |field, spoil: fn(&mut worker::Allocation)| refused::<Allocation>(&good, field, spoil);
    bad("test", |m| m.test.truncate(15));
    bad("term", |m| m.term = 0);
    bad("allocation.number", |m| m.number = MAX_NUMBER + 1);
    bad("coordinator", |m| m.coordinator = None);
    bad("worker", |m| m.entries[0].worker = None);
    bad("peer", |m| m.entries[0].worker = Some(Default::default()));
    bad("entry.slots", |m| m.entries[0].slots = vec![7]);
    bad("entry.slots", |m| m.entries[0].slots = vec![7, 7]);
    bad("entry.slots", |m| m.entries[0].slots = vec![0, 7, 7, 9]);
    bad("entry.slots", |m| m.entries[0].slots = vec![5, 7, 0, 2]);
    bad("entry.slots", |m| {
        m.entries[0].slots = vec![0, MAX_SLOTS + 1]
    });
    bad("entry.slots", |m| {
        m.entries[0].slots = (0..2 * MAX_ENTRY_INTERVALS as u32 + 2).collect();
    });

    let of = |test: usize, list| {
        let test = vec![1; test];
        let certificate = None;
        Body::Allocation(v1::FetchedAllocation {
            test,
            list,
            certificate,
        })
    };
    refused_reply(of(15, None), "test");
    let mut long = good.to_wire();
    long.entries = vec![long.entries[0].clone(); MAX_ENTRIES + 1];
    refused_reply(of(16, Some(long)), "entries");

    let fetch = |test: usize, digest: usize| {
        let (test, digest) = (vec![1; test], vec![2; digest]);
        let body = v1::request::Body::FetchAllocation(v1::FetchAllocation { test, digest });
        decode_request(&v1::Request { body: Some(body) }.encode_to_vec())
    };
    assert!(fetch(16, 32).is_ok());
    for (test, digest) in [(0, 32), (15, 32), (17, 32), (16, 31), (16, 33)] {
        assert!(fetch(test, digest).is_err(), "{test} and {digest} bytes");
    }
}

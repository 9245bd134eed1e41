#![allow(clippy::unwrap_used)]
//! Records from nodes that have them, change them during the transfer, or send invalid ones.

use std::sync::Arc;

use super::*;
use crate::peers::calls::Call;
use vajra_network::Identity;
use vajra_results::Stats;

const TEST: TestId = TestId([7; 16]);

fn peer() -> Peer {
    Peer::new(b"peer")
}

fn part_of(record: &[u8], offset: u64) -> RecordPart {
    Whole::of(record.into()).part(offset)
}

/// A node that replies by record, offset and number of earlier calls.
fn node(
    mut answer: impl FnMut(RecordName, u64, usize) -> Result<Reply, RequestFailed> + Send + 'static,
) -> Caller {
    let (caller, mut calls) = Caller::new();
    tokio::spawn(async move {
        let mut before = 0;
        while let Some(Call {
            request,
            answer: reply,
            ..
        }) = calls.recv().await
        {
            let Request::FetchRecord { record, offset } = request else {
                panic!("{request:?}");
            };
            let _ = reply.send(answer(record, offset, before));
            before += 1;
        }
    });
    caller
}

/// A node with this record only.
fn holder(bytes: impl Into<Arc<[u8]>>) -> Caller {
    let bytes = bytes.into();
    node(move |_, offset, _| Ok(Reply::Record(Some(part_of(&bytes, offset)))))
}

fn result() -> TestResult {
    let kept = vajra_fixtures::EMPTY_RESULT;
    let mut result: TestResult = serde_json::from_str(kept).unwrap();
    result.test_id = TEST.to_string();
    result.state = TestState::Ended;
    result
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

async fn fetched(result: &TestResult) -> Result<TestResult, RecordError> {
    fetch_result(&holder(json(result)), &peer(), TEST).await
}

fn error_of(refused: Result<impl std::fmt::Debug, RecordError>) -> String {
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn a_record_is_assembled_from_its_parts() {
    let mut large = result();
    large.reasons = vec!["x".repeat(MAX_CHUNK * 2)];
    assert_eq!(fetched(&large).await.unwrap(), large);
    assert_eq!(part_of(b"abc", 2).bytes[..], *b"c");
    assert!(part_of(b"abc", 4).bytes.is_empty());
    assert!(part_of(b"abc", u64::MAX).bytes.is_empty());
}

#[tokio::test]
async fn a_record_that_changes_during_the_transfer_is_fetched_again() {
    let mut old = result();
    old.reasons = vec!["x".repeat(MAX_CHUNK)];
    let mut new = old.clone();
    new.complete = !old.complete;
    let (of_old, of_new) = (json(&old), json(&new));
    let changed = node(move |_, offset, before| {
        let whole = if before == 0 { &of_old } else { &of_new };
        Ok(Reply::Record(Some(part_of(whole, offset))))
    });
    assert_eq!(fetch_result(&changed, &peer(), TEST).await.unwrap(), new);
    let (of_old, of_new) = (json(&old), json(&new));
    let changing = node(move |_, offset, before| {
        let whole = if before % 2 == 0 { &of_old } else { &of_new };
        Ok(Reply::Record(Some(part_of(whole, offset))))
    });
    let why = error_of(fetch_result(&changing, &peer(), TEST).await);
    assert!(why.contains("keeps changing"), "{why}");
}

#[tokio::test]
async fn invalid_records_are_rejected() {
    let good = part_of(b"{\"tests\":[]}", 0);
    let node_with = |part: RecordPart| node(move |_, _, _| Ok(Reply::Record(Some(part.clone()))));
    let of = async |part| error_of(fetch_tests(&node_with(part), &peer()).await);
    assert!(
        fetch_tests(&node_with(good.clone()), &peer())
            .await
            .unwrap()
            .is_empty()
    );
    let oversized = RecordPart {
        total: MAX_LIST,
        bytes: Arc::default(),
        ..good.clone()
    };
    assert!(of(oversized).await.contains("ends early"));
    let other = RecordPart {
        digest: Digest([0; 32]),
        ..good.clone()
    };
    assert!(of(other).await.contains("digest does not match"));
    let longer = RecordPart {
        total: 3,
        ..good.clone()
    };
    assert!(of(longer).await.contains("digest does not match"));
    let huge = RecordPart {
        total: MAX_LIST + 1,
        ..good
    };
    assert!(of(huge).await.contains("more than the limit"));
}

#[tokio::test]
async fn a_list_of_tests_contains_as_many_as_fit() {
    let listed = |name: usize| {
        let mut listed = ResultSummary::of(&result());
        listed.entry.name = Some("n".repeat(name));
        listed
    };
    let received = async |tests: Vec<ResultSummary>| {
        let record = tests_record(tests);
        assert!(record.len() as u64 <= MAX_LIST);
        fetch_tests(&holder(record), &peer()).await.unwrap()
    };
    assert_eq!(received(vec![]).await, []);
    let few = vec![listed(1), listed(2)];
    assert_eq!(received(few.clone()).await, few);
    let many: Vec<ResultSummary> = (0..200).map(|i| listed(2_000 + i)).collect();
    let got = received(many.clone()).await;
    assert!(got.len() > 100, "{}", got.len());
    assert_eq!(got, many[..got.len()]);
    let huge = vec![listed(1), listed(MAX_LIST as usize), listed(2)];
    assert_eq!(received(huge).await, few);
}

#[tokio::test]
async fn a_request_without_a_reply_times_out() {
    let (caller, _never_answered) = Caller::new();
    let peer = peer();
    let reply = caller.call(&peer, Request::Clock);
    let silent = within(Duration::ZERO, reply).await;
    assert_eq!(silent, Err(RequestFailed::TimedOut));
}

#[test]
fn timeouts_and_invalid_records_are_permanent_errors_and_a_busy_node_is_not() {
    assert!(RecordError::Absent.is_permanent());
    assert!(invalid("nonsense").is_permanent());
    assert!(RecordError::Failed(RequestFailed::TimedOut).is_permanent());
    assert!(!RecordError::Failed(RequestFailed::Overloaded).is_permanent());
    assert!(!RecordError::Refused("ask again".into()).is_permanent());
}

#[tokio::test]
async fn absent_refused_invalid_and_failed_requests_are_distinguished() {
    let of = async |reply: Result<Reply, RequestFailed>| {
        fetch_tests(&node(move |_, _, _| reply.clone()), &peer()).await
    };
    assert!(matches!(
        of(Ok(Reply::Record(None))).await,
        Err(RecordError::Absent)
    ));
    let refused = of(Ok(Reply::Refused("not I".into()))).await;
    assert!(matches!(refused, Err(RecordError::Refused(_))));
    assert!(matches!(
        of(Ok(Reply::Drained)).await,
        Err(RecordError::Invalid(_))
    ));
    let silent = of(Err(RequestFailed::TimedOut)).await;
    assert!(matches!(silent, Err(RecordError::Failed(_))));
}

#[tokio::test]
async fn a_result_must_belong_to_the_test_and_have_ended() {
    assert_eq!(fetched(&result()).await.unwrap(), result());
    let with = async |change: fn(&mut TestResult)| {
        let mut result = result();
        change(&mut result);
        error_of(fetched(&result).await)
    };
    let other = with(|r| r.test_id = TestId([8; 16]).to_string()).await;
    assert!(other.contains("another test"), "{other}");
    let running = with(|r| r.state = TestState::Running).await;
    assert!(running.contains("has not ended"), "{running}");
    let oversized = with(|r| r.duration_s = 1e300).await;
    assert!(oversized.contains("too long"), "{oversized}");
    let many = with(|r| r.totals.sent = u64::MAX).await;
    assert!(many.contains("a count is too large"), "{many}");
    let inflated = with(|r| r.plan = vec![serde_json::json!({}); MAX_VALUES].into()).await;
    assert!(inflated.contains("too many values"), "{inflated}");
}

#[tokio::test]
async fn an_unsafe_histogram_is_removed() {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
    let mut h = vajra_core::metrics::new_histogram();
    h.saturating_record(5_000);
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&h, &mut bytes)
        .unwrap();
    let mut sent = result();
    sent.histograms.response = Some(STANDARD.encode(bytes));
    sent.histograms.service = Some("%%%".into());
    sent.histograms.lag = Some(STANDARD.encode([0x1c, 0x84, 0x93, 0x14, 0xff, 0xff]));
    let got = fetched(&sent).await.unwrap();
    assert!(got.histograms.response.is_some());
    assert_eq!(got.histograms.response, sent.histograms.response);
    assert_eq!((got.histograms.service, got.histograms.lag), (None, None));
}

/// Intervals of a second.
fn timeline(points: usize) -> Timeline {
    let point = |i: usize| Point {
        from_s: i as f64,
        to_s: (i + 1) as f64,
        ..Point::default()
    };
    Timeline {
        test_id: TEST.to_string(),
        state: TestState::Ended,
        heat_bounds_ms: vec![1.0, 10.0],
        nodes: vec![TimelineNode {
            peer: "peer".into(),
            incarnation: 1,
            name: "n0".into(),
        }],
        points: (0..points).map(point).collect(),
        ..Timeline::default()
    }
}

async fn fetched_timeline(sent: &Timeline) -> Result<Timeline, RecordError> {
    fetch_timeline(&holder(json(sent)), &peer(), TEST).await
}

/// Why a timeline of three intervals is refused when this is done to it.
async fn with(change: impl FnOnce(&mut Timeline)) -> String {
    let mut sent = timeline(3);
    change(&mut sent);
    error_of(fetched_timeline(&sent).await)
}

#[tokio::test]
async fn a_timeline_must_belong_to_the_test_have_ended_and_be_within_limits() {
    let mut sent = timeline(MAX_POINTS);
    for point in &mut sent.points {
        point.histogram = Some("AAAA".into());
        point.lag_histogram = Some("AAAA".into());
    }
    assert_eq!(
        fetched_timeline(&sent).await.unwrap(),
        timeline(MAX_POINTS),
        "invalid histograms are removed"
    );
    let long = error_of(fetched_timeline(&timeline(MAX_POINTS + 1)).await);
    assert!(long.contains("too many points"), "{long}");
    let other = with(|t| t.test_id = TestId([8; 16]).to_string()).await;
    assert!(other.contains("another test"), "{other}");
    let running = with(|t| t.state = TestState::Running).await;
    assert!(running.contains("has not ended"), "{running}");
}

#[tokio::test]
async fn a_timeline_that_a_node_recorded_is_accepted() {
    let mut sent = timeline(3);
    let point = &mut sent.points[1];
    (point.planned, point.rate, point.users) = (10.0, 9.5, 3);
    (point.sent, point.ok, point.failed) = (MAX_COUNT, 9, 1);
    point.errors.insert("connect_refused".into(), 1);
    point.heat = vec![(0, 3), (2, 1)];
    point.node_rates = vec![9.5];
    point.lag_p99_ms = Some(0.1);
    assert_eq!(fetched_timeline(&sent).await.unwrap(), sent);
}

#[tokio::test]
async fn the_intervals_of_a_timeline_must_be_contiguous() {
    let refused = "not contiguous";
    let late = with(|t| t.points[0].from_s = 0.5).await;
    assert!(late.contains(refused), "{late}");
    let before = with(|t| t.points[0].from_s = -1.0).await;
    assert!(before.contains(refused), "{before}");
    let gap = with(|t| t.points[1].from_s = 1.5).await;
    assert!(gap.contains(refused), "{gap}");
    let overlap = with(|t| t.points[1].from_s = 0.5).await;
    assert!(overlap.contains(refused), "{overlap}");
    let empty = with(|t| t.points[2].to_s = 2.0).await;
    assert!(empty.contains(refused), "{empty}");
    let backwards = with(|t| t.points[2].to_s = 1.0).await;
    assert!(backwards.contains(refused), "{backwards}");
    let oversized = with(|t| t.points[2].to_s = 1e9).await;
    assert!(oversized.contains("too long"), "{oversized}");
}

#[tokio::test]
async fn the_numbers_of_a_timeline_must_be_plausible() {
    let changes: [fn(&mut Point); 10] = [
        |p| p.sent = MAX_COUNT + 1,
        |p| p.ok = MAX_COUNT + 1,
        |p| p.failed = MAX_COUNT + 1,
        |p| p.dropped = MAX_COUNT + 1,
        |p| p.checks_failed = MAX_COUNT + 1,
        |p| p.in_flight = MAX_COUNT + 1,
        |p| p.bytes_sent = MAX_COUNT + 1,
        |p| p.bytes_received = u64::MAX,
        |p| p.errors = [("timeout".into(), u64::MAX)].into(),
        |p| p.response_time_ms = Some(times(u64::MAX, 1.0)),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let why = with(|t| change(&mut t.points[1])).await;
        assert!(why.contains("a count is too large"), "{i}: {why}");
    }
    let changes: [fn(&mut Point); 6] = [
        |p| p.planned = 1e300,
        |p| p.rate = -1.0,
        |p| p.node_rates = vec![1e300],
        |p| p.lag_p99_ms = Some(1e300),
        |p| p.response_time_ms = Some(times(1, 1e300)),
        |p| p.response_time_ms = Some(times(1, -1.0)),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let why = with(|t| change(&mut t.points[1])).await;
        assert!(why.contains("out of range"), "{i}: {why}");
    }
    // JSON has no such numbers, so they are rejected as well.
    assert!(!is_plausible(f64::NAN) && !is_plausible(f64::INFINITY));
}

fn times(count: u64, max: f64) -> Stats {
    let ms = 1.0;
    Stats {
        count,
        min: ms,
        mean: ms,
        stdev: ms,
        p50: ms,
        p75: ms,
        p90: ms,
        p95: ms,
        p99: ms,
        p999: ms,
        max,
    }
}

#[tokio::test]
async fn the_lists_of_a_timeline_are_limited() {
    let rates = with(|t| t.points[1].node_rates = vec![1.0; 2]).await;
    assert!(rates.contains("unlisted nodes"), "{rates}");
    let nodes = with(|t| t.nodes = vec![t.nodes[0].clone(); MAX_NODE_RATES + 1]).await;
    assert!(nodes.contains("too many points or nodes"), "{nodes}");
    let name = with(|t| t.nodes[0].name = "n".repeat(MAX_NAME + 1)).await;
    assert!(name.contains("name of a node is too long"), "{name}");
    let id = with(|t| t.nodes[0].peer = "p".repeat(MAX_PEER_TEXT + 1)).await;
    assert!(id.contains("name of a node is too long"), "{id}");
    let heat: [fn(&mut Timeline); 5] = [
        |t| t.heat_bounds_ms = vec![1.0; MAX_HEAT + 1],
        |t| t.heat_bounds_ms[0] = 1e300,
        |t| t.points[1].heat = vec![(0, 1); 4],
        |t| t.points[1].heat = vec![(3, 1)],
        |t| t.points[1].heat = vec![(0, u64::MAX)],
    ];
    for (i, change) in heat.into_iter().enumerate() {
        let why = with(change).await;
        assert!(why.contains("heat map"), "{i}: {why}");
    }
    let long = with(|t| t.points[1].errors = [("e".repeat(65), 1)].into()).await;
    assert!(long.contains("error kinds"), "{long}");
    // Few in each interval, but many in total.
    let many = with(|t| {
        for (i, point) in t.points.iter_mut().enumerate() {
            point.errors = (0..22).map(|kind| (format!("{i}-{kind}"), 1)).collect();
        }
    })
    .await;
    assert!(many.contains("error kinds"), "{many}");
    let inflated = with(|t| t.points[1].node_rates = vec![0.0; MAX_TIMELINE_VALUES]).await;
    assert!(inflated.contains("too many values"), "{inflated}");
}

#[tokio::test]
async fn links_must_lead_to_peers_and_are_limited() {
    let to = vajra_network::show_peer(&Identity::ephemeral().peer());
    let link = |to: &str, ms| LinkReport {
        to: to.into(),
        round_trip_ms: ms,
        mesh: true,
    };
    let mut links = vec![link("not a peer id", None), link(&to, Some(-1.0))];
    links.extend(vec![link(&to, Some(2.0)); MAX_LINKS]);
    let sent = json(&LinksRecord { links });
    let got = fetch_links(&holder(sent), &peer()).await.unwrap();
    assert_eq!(got.len(), MAX_LINKS - 1);
    assert_eq!(got[0], link(&to, None));
    assert_eq!(got[1], link(&to, Some(2.0)));
}

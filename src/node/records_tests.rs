#![allow(clippy::unwrap_used)]
//! Records from nodes that have them, change them on the way, and lie.

use std::sync::Arc;

use super::super::calls::Call;
use super::*;
use crate::network::Identity;

const TEST: TestId = TestId([7; 16]);

fn peer() -> Peer {
    Peer::new(b"peer")
}

/// A node that answers as told: by record, offset, and how many calls there were before.
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

/// A node that has this and nothing else.
fn holder(bytes: impl Into<Arc<[u8]>>) -> Caller {
    let bytes = bytes.into();
    node(move |_, offset, _| Ok(Reply::Record(Some(part_of(&bytes, offset)))))
}

fn result() -> TestResult {
    let kept = include_str!("../report/tests/empty_result.json");
    let mut result: TestResult = serde_json::from_str(kept).unwrap();
    result.test_id = TEST.to_string();
    result.state = "ended".into();
    result
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

async fn fetched(result: &TestResult) -> Result<TestResult, RecordError> {
    fetch_result(&holder(json(result)), &peer(), TEST).await
}

fn said(refused: Result<impl std::fmt::Debug, RecordError>) -> String {
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn a_record_is_put_together_from_its_parts() {
    let mut large = result();
    large.reasons = vec!["x".repeat(MAX_CHUNK * 2)];
    assert_eq!(fetched(&large).await.unwrap(), large);
    assert_eq!(part_of(b"abc", 2).bytes[..], *b"c");
    assert!(part_of(b"abc", 4).bytes.is_empty());
    assert!(part_of(b"abc", u64::MAX).bytes.is_empty());
}

#[tokio::test]
async fn a_record_that_changes_on_the_way_is_fetched_again() {
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
    let restless = node(move |_, offset, before| {
        let whole = if before % 2 == 0 { &of_old } else { &of_new };
        Ok(Reply::Record(Some(part_of(whole, offset))))
    });
    let why = said(fetch_result(&restless, &peer(), TEST).await);
    assert!(why.contains("changes"), "{why}");
}

#[tokio::test]
async fn answers_that_cannot_be_are_refused() {
    let good = part_of(b"{\"tests\":[]}", 0);
    let liar = |part: RecordPart| node(move |_, _, _| Ok(Reply::Record(Some(part.clone()))));
    let of = async |part| said(fetch_tests(&liar(part), &peer()).await);
    assert!(
        fetch_tests(&liar(good.clone()), &peer())
            .await
            .unwrap()
            .is_empty()
    );
    let endless = RecordPart {
        total: MAX_LIST,
        bytes: Arc::default(),
        ..good.clone()
    };
    assert!(of(endless).await.contains("ends early"));
    let other = RecordPart {
        digest: Digest([0; 32]),
        ..good.clone()
    };
    assert!(of(other).await.contains("not the whole"));
    let longer = RecordPart {
        total: 3,
        ..good.clone()
    };
    assert!(of(longer).await.contains("not the whole"));
    let huge = RecordPart {
        total: MAX_LIST + 1,
        ..good
    };
    assert!(of(huge).await.contains("at most"));
}

#[tokio::test]
async fn a_node_without_the_record_or_the_question_is_told_apart() {
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
async fn a_result_is_of_the_test_asked_for_and_over() {
    assert_eq!(fetched(&result()).await.unwrap(), result());
    let with = async |change: fn(&mut TestResult)| {
        let mut result = result();
        change(&mut result);
        said(fetched(&result).await)
    };
    let other = with(|r| r.test_id = TestId([8; 16]).to_string()).await;
    assert!(other.contains("another test"), "{other}");
    let running = with(|r| r.state = "running".into()).await;
    assert!(running.contains("not over"), "{running}");
    let endless = with(|r| r.duration_s = 1e300).await;
    assert!(endless.contains("too long"), "{endless}");
    let many = with(|r| r.totals.sent = u64::MAX).await;
    assert!(many.contains("counts more"), "{many}");
    let bomb = with(|r| r.plan = vec![serde_json::json!({}); MAX_VALUES].into()).await;
    assert!(bomb.contains("too many values"), "{bomb}");
}

#[tokio::test]
async fn a_histogram_that_could_harm_its_reader_is_left_out() {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
    let mut h = crate::protocol::metrics::new_histogram();
    h.saturating_record(5_000);
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&h, &mut bytes)
        .unwrap();
    let mut told = result();
    told.histograms.response = Some(STANDARD.encode(bytes));
    told.histograms.service = Some("%%%".into());
    told.histograms.lag = Some(STANDARD.encode([0x1c, 0x84, 0x93, 0x14, 0xff, 0xff]));
    let got = fetched(&told).await.unwrap();
    assert!(got.histograms.response.is_some());
    assert_eq!(got.histograms.response, told.histograms.response);
    assert_eq!((got.histograms.service, got.histograms.lag), (None, None));
}

#[tokio::test]
async fn a_timeline_is_of_the_test_asked_for_and_bounded() {
    use crate::report::Point;
    let of = |points: usize, point: Point| Timeline {
        test_id: TEST.to_string(),
        points: vec![point; points],
        ..Timeline::default()
    };
    let fetch = async |t: &Timeline| fetch_timeline(&holder(json(t)), &peer(), TEST).await;
    let bad = Point {
        histogram: Some("AAAA".into()),
        lag_histogram: Some("AAAA".into()),
        ..Point::default()
    };
    let got = fetch(&of(MAX_POINTS, bad)).await.unwrap();
    assert_eq!(got, of(MAX_POINTS, Point::default()));
    let long = said(fetch(&of(MAX_POINTS + 1, Point::default())).await);
    assert!(long.contains("too many points"), "{long}");
    let late = Point {
        to_s: 1e9,
        ..Point::default()
    };
    assert!(said(fetch(&of(1, late)).await).contains("too long"));
    let other = Timeline::default();
    assert!(said(fetch(&other).await).contains("another test"));
}

#[tokio::test]
async fn links_are_to_peers_and_bounded() {
    let to = crate::network::show_peer(&Identity::ephemeral().peer());
    let link = |to: &str, ms| LinkTold {
        to: to.into(),
        round_trip_ms: ms,
        mesh: true,
    };
    let mut links = vec![link("nobody", None), link(&to, Some(-1.0))];
    links.extend(vec![link(&to, Some(2.0)); MAX_LINKS]);
    let told = json(&LinksRecord { links });
    let got = fetch_links(&holder(told), &peer()).await.unwrap();
    assert_eq!(got.len(), MAX_LINKS - 1);
    assert_eq!(got[0], link(&to, None));
    assert_eq!(got[1], link(&to, Some(2.0)));
}

//! Fetching records from other nodes: lists of tests, results, timelines, links. They are JSON,
//! come in parts, and are believed no further than their type and limits go.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::calls::Caller;
use super::history::Listed;
use crate::network::RequestFailed;
use crate::protocol::messages::{RecordName, RecordPart, Reply, Request};
use crate::protocol::{Digest, Peer, TestId};
use crate::report::timeline::{MAX_NODE_RATES, MAX_POINTS};
use crate::report::{TestResult, Timeline, Totals};
use crate::wire::check_histogram;
use crate::wire::limits::{MAX_CHUNK, MAX_COUNT, MAX_RECORD, MAX_SPAN};

/// Longest list of tests: two hundred, with names of a few hundred bytes.
const MAX_LIST: u64 = 256 * 1024;
/// Longest list of links, each of some hundred bytes.
const MAX_LINKS_BYTES: u64 = 128 * 1024;
/// Most connections of a node that are told.
pub const MAX_LINKS: usize = 512;
/// Most values in a result. Its plan may be any JSON, of which a value takes two bytes here and
/// a hundred in memory; a result of a thousand nodes and sixty steps has 20,000.
const MAX_VALUES: usize = 200_000;
/// How often a record may change while it is being fetched.
const RESTARTS: usize = 2;

/// Why a record could not be had from a node.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It does not answer.
    #[error(transparent)]
    Failed(#[from] RequestFailed),
    /// It has no such record.
    #[error("it has none")]
    Absent,
    /// It will not, or not now.
    #[error("{0}")]
    Refused(String),
    /// What it says cannot be.
    #[error("its answer is none: {0}")]
    Invalid(String),
}

fn invalid(why: impl ToString) -> RecordError {
    RecordError::Invalid(why.to_string())
}

/// The tests of which a node holds results.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestsRecord {
    /// Newest first.
    pub tests: Vec<Listed>,
}

/// A node's connections.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LinksRecord {
    /// At most [`MAX_LINKS`].
    pub links: Vec<LinkTold>,
}

/// A connection, as one of its ends tells of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkTold {
    /// The other end's peer id.
    pub to: String,
    /// As last measured, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Gossip goes over it.
    pub mesh: bool,
}

/// The part of a record from an offset on.
pub fn part_of(record: &[u8], offset: u64) -> RecordPart {
    let start = usize::try_from(offset).map_or(record.len(), |o| o.min(record.len()));
    let end = record.len().min(start + MAX_CHUNK);
    RecordPart {
        digest: Digest::of(record),
        total: record.len() as u64,
        bytes: record[start..end].into(),
    }
}

/// The tests of which a node holds results.
///
/// # Errors
/// Any [`RecordError`]; so for all of these.
pub async fn fetch_tests(caller: &Caller, from: &Peer) -> Result<Vec<Listed>, RecordError> {
    let bytes = fetch(caller, from, RecordName::Tests, MAX_LIST).await?;
    let list: TestsRecord = parse(&bytes)?;
    Ok(list.tests)
}

/// A node's connections.
///
/// # Errors
/// Any [`RecordError`].
pub async fn fetch_links(caller: &Caller, from: &Peer) -> Result<Vec<LinkTold>, RecordError> {
    let bytes = fetch(caller, from, RecordName::Links, MAX_LINKS_BYTES).await?;
    let LinksRecord { mut links } = parse(&bytes)?;
    links.truncate(MAX_LINKS);
    links.retain(|l| crate::network::parse_peer(&l.to).is_some());
    for link in &mut links {
        link.round_trip_ms = link.round_trip_ms.filter(|ms| *ms >= 0.0);
    }
    Ok(links)
}

/// The result of an ended test.
///
/// # Errors
/// Any [`RecordError`].
pub async fn fetch_result(
    caller: &Caller,
    from: &Peer,
    test: TestId,
) -> Result<TestResult, RecordError> {
    let bytes = fetch(caller, from, RecordName::Result(test), MAX_RECORD).await?;
    in_background(move || read_result(&bytes, test)).await
}

/// An ended test over time.
///
/// # Errors
/// Any [`RecordError`].
pub async fn fetch_timeline(
    caller: &Caller,
    from: &Peer,
    test: TestId,
) -> Result<Timeline, RecordError> {
    let bytes = fetch(caller, from, RecordName::Timeline(test), MAX_RECORD).await?;
    in_background(move || read_timeline(&bytes, test)).await
}

/// Reads what may be large.
async fn in_background<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, RecordError> + Send + 'static,
) -> Result<T, RecordError> {
    tokio::task::spawn_blocking(read).await.map_err(invalid)?
}

/// A whole record, of at most so many bytes.
async fn fetch(
    caller: &Caller,
    from: &Peer,
    record: RecordName,
    max: u64,
) -> Result<Vec<u8>, RecordError> {
    for _ in 0..=RESTARTS {
        if let Some(bytes) = fetch_unchanged(caller, from, record, max).await? {
            return Ok(bytes);
        }
    }
    Err(invalid("it changes all the time"))
}

/// The same; none if it has changed on the way.
async fn fetch_unchanged(
    caller: &Caller,
    from: &Peer,
    record: RecordName,
    max: u64,
) -> Result<Option<Vec<u8>>, RecordError> {
    let first = part(caller, from, record, 0).await?;
    let (digest, total) = (first.digest, first.total);
    if total > max {
        return Err(invalid(format_args!(
            "it has {total} bytes, where at most {max} are expected"
        )));
    }
    let mut whole = first.bytes.to_vec();
    while (whole.len() as u64) < total {
        let next = part(caller, from, record, whole.len() as u64).await?;
        if (next.digest, next.total) != (digest, total) {
            return Ok(None);
        }
        if next.bytes.is_empty() {
            return Err(invalid("it ends early"));
        }
        whole.extend_from_slice(&next.bytes);
    }
    match whole.len() as u64 == total && Digest::of(&whole) == digest {
        true => Ok(Some(whole)),
        false => Err(invalid("its parts are not the whole")),
    }
}

async fn part(
    caller: &Caller,
    from: &Peer,
    record: RecordName,
    offset: u64,
) -> Result<RecordPart, RecordError> {
    match caller
        .call(from, Request::FetchRecord { record, offset })
        .await?
    {
        Reply::Record(Some(part)) => Ok(part),
        Reply::Record(None) => Err(RecordError::Absent),
        Reply::Refused(why) => Err(RecordError::Refused(why)),
        _ => Err(invalid("it is to another question")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(invalid)
}

/// A result, if it is one of this test, over, and nothing in it goes beyond what a node counts.
fn read_result(bytes: &[u8], test: TestId) -> Result<TestResult, RecordError> {
    // Each value but the first of a list or table follows one of these.
    let values = bytes.iter().filter(|b| matches!(b, b',' | b'[' | b'{'));
    if values.count() > MAX_VALUES {
        return Err(invalid("it has too many values"));
    }
    let mut result: TestResult = parse(bytes)?;
    same(&result.test_id, test)?;
    if result.state != "ended" {
        return Err(invalid("the test is not over"));
    }
    if !(0.0..=MAX_SPAN.as_secs_f64()).contains(&result.duration_s) {
        return Err(invalid("it lasted too long"));
    }
    let parts = [&result.steps, &result.scenarios, &result.labels];
    let of_parts = parts.into_iter().flatten().map(|s| &s.totals);
    if !std::iter::once(&result.totals)
        .chain(of_parts)
        .all(countable)
    {
        return Err(invalid("it counts more than can be"));
    }
    let h = &mut result.histograms;
    for histogram in [&mut h.response, &mut h.service, &mut h.lag] {
        sound(histogram);
    }
    Ok(result)
}

/// Sums of such stay within 64 bits.
fn countable(t: &Totals) -> bool {
    [
        t.planned,
        t.sent,
        t.ok,
        t.failed,
        t.abandoned,
        t.dropped,
        t.short,
        t.warm_up,
        t.bytes_sent,
        t.bytes_received,
        t.checks_passed,
        t.checks_failed,
    ]
    .iter()
    .all(|n| *n <= MAX_COUNT)
}

fn read_timeline(bytes: &[u8], test: TestId) -> Result<Timeline, RecordError> {
    let mut timeline: Timeline = parse(bytes)?;
    same(&timeline.test_id, test)?;
    if timeline.points.len() > MAX_POINTS || timeline.nodes.len() > MAX_NODE_RATES {
        return Err(invalid("it has too many points or nodes"));
    }
    let span = -MAX_SPAN.as_secs_f64()..=MAX_SPAN.as_secs_f64();
    for point in &mut timeline.points {
        if !span.contains(&point.from_s) || !span.contains(&point.to_s) {
            return Err(invalid("it lasted too long"));
        }
        sound(&mut point.histogram);
        sound(&mut point.lag_histogram);
    }
    Ok(timeline)
}

fn same(told: &str, test: TestId) -> Result<(), RecordError> {
    match told.parse() == Ok(test) {
        true => Ok(()),
        false => Err(invalid("it is of another test")),
    }
}

/// Takes out a histogram that could harm whoever decodes it.
fn sound(histogram: &mut Option<String>) {
    let decoded = histogram.as_ref().map(|text| STANDARD.decode(text));
    let harmless = |bytes: Vec<u8>| check_histogram(&bytes).is_ok();
    if !decoded.is_some_and(|bytes| bytes.is_ok_and(harmless)) {
        *histogram = None;
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;

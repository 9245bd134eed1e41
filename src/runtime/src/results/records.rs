//! Fetches records from other nodes: lists of tests, results, timelines, links. Records are JSON, are
//! transferred in parts, and are checked against types and limits before use.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::remote::ResultSummary;
use crate::peers::calls::Caller;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::messages::{RecordName, RecordPart, Reply, Request};
use vajra_core::protocol::{Digest, Peer, TestId};
use vajra_network::RequestFailed;
use vajra_results::timeline::{MAX_NODE_RATES, MAX_POINTS};
use vajra_results::{Point, TestResult, Timeline, TimelineNode, Totals};
use vajra_wire::check_histogram;
use vajra_wire::limits::{MAX_CHUNK, MAX_COUNT, MAX_NAME, MAX_PEER, MAX_RECORD, MAX_SPAN};

/// Longest list of tests in bytes: 200 tests with names of a few hundred bytes.
const MAX_LIST: u64 = 256 * 1024;
/// Longest list of links in bytes, at about 100 bytes per link.
const MAX_LINKS_BYTES: u64 = 128 * 1024;
/// Most connections in a node's list.
pub const MAX_LINKS: usize = 512;
/// Most JSON values in a result. The plan in it may be any JSON, where a value takes 2 bytes as text
/// and 100 in memory. A result with 1,000 nodes and 60 steps has 20,000 values.
const MAX_VALUES: usize = 200_000;
/// Most JSON values in a timeline: per interval 100 rates, a count for each heat map bucket and
/// error kind, and about 50 more.
const MAX_TIMELINE_VALUES: usize = MAX_POINTS * 512;
/// Most buckets of a heat map; this version uses 50.
const MAX_HEAT: usize = 64;
/// Most error kinds in a timeline; nodes report about 20.
const MAX_ERROR_KINDS: usize = 64;
/// Longest error kind in bytes.
const MAX_ERROR_KIND: usize = 64;
/// Longest peer id as text, in bytes.
const MAX_PEER_TEXT: usize = 4 * MAX_PEER;
/// Timeout of a part of up to 1 MiB, short enough to try another node.
const PART_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a transfer restarts because the record has changed.
const RESTARTS: usize = 2;

/// A record could not be fetched from a node.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The request failed.
    #[error(transparent)]
    Failed(#[from] RequestFailed),
    /// The node does not have the record.
    #[error("not found")]
    Absent,
    /// The node refused the request.
    #[error("{0}")]
    Refused(String),
    /// The record is malformed or exceeds a limit.
    #[error("invalid record: {0}")]
    Invalid(String),
}

impl RecordError {
    /// Whether a repeated request would fail again.
    pub fn is_permanent(&self) -> bool {
        use RequestFailed::{Invalid, TimedOut, Unsupported};
        match self {
            RecordError::Absent | RecordError::Invalid(_) => true,
            RecordError::Failed(why) => matches!(why, TimedOut | Unsupported | Invalid(_)),
            RecordError::Refused(_) => false,
        }
    }
}

fn invalid(why: impl ToString) -> RecordError {
    RecordError::Invalid(why.to_string())
}

/// The list of tests of which a node has results.
#[derive(Debug, Deserialize)]
struct TestsRecord {
    /// Newest first.
    tests: Vec<ResultSummary>,
}

/// A node's connections.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LinksRecord {
    /// At most [`MAX_LINKS`].
    pub links: Vec<LinkReport>,
}

/// A connection, as reported by one end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkReport {
    /// Peer id of the other end.
    pub to: String,
    /// Round trip as last measured, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// The connection is in the gossip mesh.
    pub mesh: bool,
}

/// A complete record, to be served in parts.
#[derive(Debug)]
pub struct Whole {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Whole {
    /// Hashes these bytes.
    pub fn of(bytes: Arc<[u8]>) -> Whole {
        let digest = Digest::of(&bytes);
        Whole { bytes, digest }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The part that starts at `offset`.
    pub fn part(&self, offset: u64) -> RecordPart {
        let length = self.bytes.len();
        let start = usize::try_from(offset).map_or(length, |o| o.min(length));
        let end = length.min(start + MAX_CHUNK);
        RecordPart {
            digest: self.digest,
            total: length as u64,
            bytes: self.bytes[start..end].into(),
        }
    }
}

/// A list of tests as served: as many of `tests` as fit, in their order.
pub fn tests_record(tests: impl IntoIterator<Item = ResultSummary>) -> Vec<u8> {
    let (mut list, end) = (br#"{"tests":["#.to_vec(), b"]}");
    let prefix = list.len();
    for listed in tests {
        // Serialising plain data does not fail in practice.
        let Ok(entry) = serde_json::to_vec(&listed) else {
            continue;
        };
        // Later, shorter entries may still fit.
        if list.len() + entry.len() + 1 + end.len() > MAX_LIST as usize {
            continue;
        }
        if list.len() > prefix {
            list.push(b',');
        }
        list.extend(entry);
    }
    list.extend(end);
    list
}

/// Fetches the list of tests of which a node has results.
///
/// # Errors
/// Any [`RecordError`].
pub async fn fetch_tests(caller: &Caller, from: &Peer) -> Result<Vec<ResultSummary>, RecordError> {
    let bytes = fetch(caller, from, RecordName::Tests, MAX_LIST).await?;
    let list: TestsRecord = parse(&bytes)?;
    Ok(list.tests)
}

/// Fetches a node's connections.
///
/// # Errors
/// Any [`RecordError`].
pub async fn fetch_links(caller: &Caller, from: &Peer) -> Result<Vec<LinkReport>, RecordError> {
    let bytes = fetch(caller, from, RecordName::Links, MAX_LINKS_BYTES).await?;
    let LinksRecord { mut links } = parse(&bytes)?;
    links.truncate(MAX_LINKS);
    links.retain(|l| vajra_network::parse_peer(&l.to).is_some());
    for link in &mut links {
        link.round_trip_ms = link.round_trip_ms.filter(|ms| *ms >= 0.0);
    }
    Ok(links)
}

/// Fetches the result of an ended test.
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

/// Fetches the timeline of an ended test.
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

/// Parses in the background, since records may be large.
async fn in_background<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, RecordError> + Send + 'static,
) -> Result<T, RecordError> {
    tokio::task::spawn_blocking(read).await.map_err(invalid)?
}

/// Fetches a whole record of at most `max` bytes.
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
    Err(invalid("it keeps changing"))
}

/// The same; none if the record has changed between two parts.
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
            "{total} bytes, more than the limit of {max}"
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
        false => Err(invalid("the digest does not match")),
    }
}

async fn part(
    caller: &Caller,
    from: &Peer,
    record: RecordName,
    offset: u64,
) -> Result<RecordPart, RecordError> {
    let reply = caller.call(from, Request::FetchRecord { record, offset });
    match within(PART_TIMEOUT, reply).await? {
        Reply::Record(Some(part)) => Ok(part),
        Reply::Record(None) => Err(RecordError::Absent),
        Reply::Refused(why) => Err(RecordError::Refused(why)),
        _ => Err(invalid("unexpected reply")),
    }
}

/// The reply, or a timeout.
async fn within(
    limit: Duration,
    reply: impl Future<Output = Result<Reply, RequestFailed>>,
) -> Result<Reply, RequestFailed> {
    let in_time = timeout(limit, reply).await;
    in_time.unwrap_or(Err(RequestFailed::TimedOut))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(invalid)
}

/// Parses a result, and checks that it belongs to this test, has ended, and has plausible counts.
fn read_result(bytes: &[u8], test: TestId) -> Result<TestResult, RecordError> {
    check_value_count(bytes, MAX_VALUES)?;
    let mut result: TestResult = parse(bytes)?;
    check_test(&result.test_id, test)?;
    if result.state != TestState::Ended {
        return Err(invalid("the test has not ended"));
    }
    if !(0.0..=MAX_SPAN.as_secs_f64()).contains(&result.duration_s) {
        return Err(invalid("its duration is too long"));
    }
    let parts = [&result.steps, &result.scenarios, &result.labels];
    let partial = parts.into_iter().flatten().map(|s| &s.totals);
    if !std::iter::once(&result.totals)
        .chain(partial)
        .all(has_plausible_counts)
    {
        return Err(invalid("a count is too large"));
    }
    let h = &mut result.histograms;
    for histogram in [&mut h.response, &mut h.service, &mut h.lag] {
        drop_unsafe_histogram(histogram);
    }
    Ok(result)
}

/// Whether sums of these counts fit into 64 bits.
fn has_plausible_counts(t: &Totals) -> bool {
    [
        t.planned,
        t.sent,
        t.ok,
        t.failed,
        t.abandoned,
        t.dropped,
        t.unsent,
        t.warm_up,
        t.bytes_sent,
        t.bytes_received,
        t.checks_passed,
        t.checks_failed,
    ]
    .iter()
    .all(|n| *n <= MAX_COUNT)
}

/// Parses a timeline, and checks that it belongs to this test, has no gaps, and that sums and means
/// of its numbers stay finite.
fn read_timeline(bytes: &[u8], test: TestId) -> Result<Timeline, RecordError> {
    check_value_count(bytes, MAX_TIMELINE_VALUES)?;
    let mut timeline: Timeline = parse(bytes)?;
    check_test(&timeline.test_id, test)?;
    if timeline.state != TestState::Ended {
        return Err(invalid("the test has not ended"));
    }
    if timeline.points.len() > MAX_POINTS || timeline.nodes.len() > MAX_NODE_RATES {
        return Err(invalid("too many points or nodes"));
    }
    let short_name = |n: &TimelineNode| n.name.len() <= MAX_NAME && n.peer.len() <= MAX_PEER_TEXT;
    if !timeline.nodes.iter().all(short_name) {
        return Err(invalid("the name of a node is too long"));
    }
    let bounds = &timeline.heat_bounds_ms;
    if bounds.len() > MAX_HEAT || !bounds.iter().all(|b| is_plausible(*b)) {
        return Err(invalid("invalid heat map"));
    }
    // Tables have a column for each error kind, so the total number of kinds is limited.
    let kinds = timeline.points.iter().flat_map(|p| p.errors.keys());
    let kinds: BTreeSet<&String> = kinds.collect();
    if kinds.len() > MAX_ERROR_KINDS || kinds.iter().any(|kind| kind.len() > MAX_ERROR_KIND) {
        return Err(invalid("error kinds are too many or too long"));
    }
    let (nodes, buckets) = (timeline.nodes.len(), bounds.len() + 1);
    let mut end_s = 0.0;
    for point in &mut timeline.points {
        if point.from_s != end_s || point.to_s <= point.from_s {
            return Err(invalid("the intervals are not contiguous"));
        }
        if point.to_s > MAX_SPAN.as_secs_f64() {
            return Err(invalid("its duration is too long"));
        }
        end_s = point.to_s;
        check_point(point, nodes, buckets)?;
        drop_unsafe_histogram(&mut point.histogram);
        drop_unsafe_histogram(&mut point.lag_histogram);
    }
    Ok(timeline)
}

/// Checks the numbers of an interval, given the number of nodes and heat map buckets.
fn check_point(p: &Point, nodes: usize, buckets: usize) -> Result<(), RecordError> {
    if p.node_rates.len() > nodes {
        return Err(invalid("rates of unlisted nodes"));
    }
    let heat = |(bucket, count): &(u16, u64)| usize::from(*bucket) < buckets && *count <= MAX_COUNT;
    if p.heat.len() > buckets || !p.heat.iter().all(heat) {
        return Err(invalid("invalid heat map"));
    }
    let counts = [
        p.sent,
        p.ok,
        p.failed,
        p.dropped,
        p.checks_failed,
        p.in_flight,
        p.bytes_sent,
        p.bytes_received,
    ];
    let stats = p.response_time_ms.as_ref();
    let mut counts = counts.iter().chain(p.errors.values());
    if !counts.all(|n| *n <= MAX_COUNT) || stats.is_some_and(|s| s.count > MAX_COUNT) {
        return Err(invalid("a count is too large"));
    }
    let times = stats.map(|s| {
        [
            s.min, s.mean, s.stdev, s.p50, s.p75, s.p90, s.p95, s.p99, s.p999, s.max,
        ]
    });
    let numbers = [p.planned, p.rate].into_iter().chain(p.lag_p99_ms);
    let numbers = numbers.chain(p.node_rates.iter().copied());
    let mut numbers = numbers.chain(times.into_iter().flatten());
    match numbers.all(is_plausible) {
        true => Ok(()),
        false => Err(invalid("a rate or time is out of range")),
    }
}

/// Whether a rate or time is a number, small enough that sums stay finite.
fn is_plausible(number: f64) -> bool {
    (0.0..=MAX_COUNT as f64).contains(&number)
}

/// Rejects records that would take much more memory than their length suggests.
fn check_value_count(bytes: &[u8], max: usize) -> Result<(), RecordError> {
    // Every value of a list or object follows one of these characters.
    let values = bytes.iter().filter(|b| matches!(b, b',' | b'[' | b'{'));
    match values.count() <= max {
        true => Ok(()),
        false => Err(invalid("too many values")),
    }
}

fn check_test(found: &str, test: TestId) -> Result<(), RecordError> {
    match found.parse() == Ok(test) {
        true => Ok(()),
        false => Err(invalid("it belongs to another test")),
    }
}

/// Removes a histogram that is not safe to decode.
fn drop_unsafe_histogram(histogram: &mut Option<String>) {
    let decoded = histogram.as_ref().map(|text| STANDARD.decode(text));
    let is_safe = |bytes: Vec<u8>| check_histogram(&bytes).is_ok();
    if !decoded.is_some_and(|bytes| bytes.is_ok_and(is_safe)) {
        *histogram = None;
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;

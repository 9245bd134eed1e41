//! Fetching records from other nodes: lists of tests, results, timelines, links. They are JSON,
//! come in parts, and are believed no further than their type and limits go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::calls::Caller;
use super::history::ResultSummary;
use vajra_core::protocol::messages::TestState;
use vajra_core::protocol::messages::{RecordName, RecordPart, Reply, Request};
use vajra_core::protocol::{Digest, Peer, TestId};
use vajra_network::RequestFailed;
use vajra_results::timeline::{MAX_NODE_RATES, MAX_POINTS};
use vajra_results::{Point, TestResult, Timeline, TimelineNode, Totals};
use vajra_wire::check_histogram;
use vajra_wire::limits::{MAX_CHUNK, MAX_COUNT, MAX_NAME, MAX_PEER, MAX_RECORD, MAX_SPAN};

/// Longest list of tests: two hundred, with names of a few hundred bytes.
const MAX_LIST: u64 = 256 * 1024;
/// Longest list of links, each of some hundred bytes.
const MAX_LINKS_BYTES: u64 = 128 * 1024;
/// Most connections of a node that are told.
pub const MAX_LINKS: usize = 512;
/// Most values in a result. Its plan may be any JSON, of which a value takes two bytes here and
/// a hundred in memory; a result of a thousand nodes and sixty steps has 20,000.
const MAX_VALUES: usize = 200_000;
/// Most values in a timeline: in each interval a hundred rates, a count for each bucket of the
/// heat map and each kind of error, and some fifty more.
const MAX_TIMELINE_VALUES: usize = MAX_POINTS * 512;
/// Most buckets of a heat map; this version's has 50.
const MAX_HEAT: usize = 64;
/// Most kinds of errors in a timeline, and the most bytes of one; a node tells some twenty.
const MAX_ERROR_KINDS: usize = 64;
const MAX_ERROR_KIND: usize = 64;
/// Longest peer id as text: two digits and a little for each of its bytes.
const MAX_PEER_TEXT: usize = 4 * MAX_PEER;
/// How long a part may take: a node that says nothing leaves time to ask another one. A part
/// has at most 1 MiB.
const PART_WAIT: Duration = Duration::from_secs(3);
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

impl RecordError {
    /// It says nothing, or nothing of use: whoever asks again hears the same.
    pub fn is_lack(&self) -> bool {
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

/// The tests of which a node holds results.
#[derive(Debug, Deserialize)]
struct TestsRecord {
    /// Newest first.
    tests: Vec<ResultSummary>,
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

/// A record to hand out.
#[derive(Debug)]
pub struct Whole {
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl Whole {
    /// Of these bytes, which are hashed.
    pub fn of(bytes: Arc<[u8]>) -> Whole {
        let digest = Digest::of(&bytes);
        Whole { bytes, digest }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The part from an offset on.
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

/// A list of tests as it is handed out: of those given, newest first, as many as fit.
pub fn tests_record(tests: impl IntoIterator<Item = ResultSummary>) -> Vec<u8> {
    let (mut list, end) = (br#"{"tests":["#.to_vec(), b"]}");
    let begin = list.len();
    for listed in tests {
        // It is plain data, which always can be JSON.
        let Ok(entry) = serde_json::to_vec(&listed) else {
            continue;
        };
        // One that does not fit is no reason to leave out those after it.
        if list.len() + entry.len() + 1 + end.len() > MAX_LIST as usize {
            continue;
        }
        if list.len() > begin {
            list.push(b',');
        }
        list.extend(entry);
    }
    list.extend(end);
    list
}

/// The tests of which a node holds results.
///
/// # Errors
/// Any [`RecordError`]; so for all of these.
pub async fn fetch_tests(caller: &Caller, from: &Peer) -> Result<Vec<ResultSummary>, RecordError> {
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
    links.retain(|l| vajra_network::parse_peer(&l.to).is_some());
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
    let asked = caller.call(from, Request::FetchRecord { record, offset });
    match within(PART_WAIT, asked).await? {
        Reply::Record(Some(part)) => Ok(part),
        Reply::Record(None) => Err(RecordError::Absent),
        Reply::Refused(why) => Err(RecordError::Refused(why)),
        _ => Err(invalid("it is to another question")),
    }
}

/// What is asked for, if it comes in time.
async fn within(
    wait: Duration,
    asked: impl Future<Output = Result<Reply, RequestFailed>>,
) -> Result<Reply, RequestFailed> {
    let in_time = timeout(wait, asked).await;
    in_time.unwrap_or(Err(RequestFailed::TimedOut))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(invalid)
}

/// A result, if it is one of this test, over, and nothing in it goes beyond what a node counts.
fn read_result(bytes: &[u8], test: TestId) -> Result<TestResult, RecordError> {
    few_values(bytes, MAX_VALUES)?;
    let mut result: TestResult = parse(bytes)?;
    same(&result.test_id, test)?;
    if result.state != TestState::Ended {
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

/// A timeline, if it is one of this test, whole, and of such numbers that whatever is done with
/// them (sums, means, lengths) stays a number.
fn read_timeline(bytes: &[u8], test: TestId) -> Result<Timeline, RecordError> {
    few_values(bytes, MAX_TIMELINE_VALUES)?;
    let mut timeline: Timeline = parse(bytes)?;
    same(&timeline.test_id, test)?;
    if timeline.state != TestState::Ended {
        return Err(invalid("the test is not over"));
    }
    if timeline.points.len() > MAX_POINTS || timeline.nodes.len() > MAX_NODE_RATES {
        return Err(invalid("it has too many points or nodes"));
    }
    let named = |n: &TimelineNode| n.name.len() <= MAX_NAME && n.peer.len() <= MAX_PEER_TEXT;
    if !timeline.nodes.iter().all(named) {
        return Err(invalid("it has a node with too long a name"));
    }
    let bounds = &timeline.heat_bounds_ms;
    if bounds.len() > MAX_HEAT || !bounds.iter().all(|b| moderate(*b)) {
        return Err(invalid("its heat map is none"));
    }
    // Tables have a column for each kind, so the kinds of all intervals together are few.
    let kinds = timeline.points.iter().flat_map(|p| p.errors.keys());
    let kinds: BTreeSet<&String> = kinds.collect();
    if kinds.len() > MAX_ERROR_KINDS || kinds.iter().any(|kind| kind.len() > MAX_ERROR_KIND) {
        return Err(invalid("it has too many or too long kinds of errors"));
    }
    let (nodes, buckets) = (timeline.nodes.len(), bounds.len() + 1);
    let mut end_s = 0.0;
    for point in &mut timeline.points {
        if point.from_s != end_s || point.to_s <= point.from_s {
            return Err(invalid("its intervals do not follow each other"));
        }
        if point.to_s > MAX_SPAN.as_secs_f64() {
            return Err(invalid("it lasted too long"));
        }
        end_s = point.to_s;
        possible(point, nodes, buckets)?;
        sound(&mut point.histogram);
        sound(&mut point.lag_histogram);
    }
    Ok(timeline)
}

/// Whether an interval's numbers can be, with so many nodes and buckets of the heat map.
fn possible(p: &Point, nodes: usize, buckets: usize) -> Result<(), RecordError> {
    if p.node_rates.len() > nodes {
        return Err(invalid("it has rates of nodes that it does not name"));
    }
    let heat = |(bucket, count): &(u16, u64)| usize::from(*bucket) < buckets && *count <= MAX_COUNT;
    if p.heat.len() > buckets || !p.heat.iter().all(heat) {
        return Err(invalid("its heat map is none"));
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
    let of_times = p.response_time_ms.as_ref();
    let mut counts = counts.iter().chain(p.errors.values());
    if !counts.all(|n| *n <= MAX_COUNT) || of_times.is_some_and(|s| s.count > MAX_COUNT) {
        return Err(invalid("it counts more than can be"));
    }
    let times = of_times.map(|s| {
        [
            s.min, s.mean, s.stdev, s.p50, s.p75, s.p90, s.p95, s.p99, s.p999, s.max,
        ]
    });
    let numbers = [p.planned, p.rate].into_iter().chain(p.lag_p99_ms);
    let numbers = numbers.chain(p.node_rates.iter().copied());
    let mut numbers = numbers.chain(times.into_iter().flatten());
    match numbers.all(moderate) {
        true => Ok(()),
        false => Err(invalid("it has a rate or time that cannot be")),
    }
}

/// A rate or time that is a number, and far from where sums of such are none.
fn moderate(number: f64) -> bool {
    (0.0..=MAX_COUNT as f64).contains(&number)
}

/// Refuses what would be many times larger in memory than it is here.
fn few_values(bytes: &[u8], most: usize) -> Result<(), RecordError> {
    // Each value but the first of a list or table follows one of these.
    let values = bytes.iter().filter(|b| matches!(b, b',' | b'[' | b'{'));
    match values.count() <= most {
        true => Ok(()),
        false => Err(invalid("it has too many values")),
    }
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

//! Results of other nodes. What is here is handed to whoever asks; which results others hold is
//! found out by asking one of them now and then; and what somebody wants to see that is
//! elsewhere is fetched and kept. What could not be had is not looked for again for a while.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::neighbours::Learned;
use super::recording::lock;
use super::*;
use crate::calls::Caller;
use crate::clocks::in_turn;
use crate::history::{NegativeCache, Others, ResultSummary};
use crate::records::{self, LinkTold, LinksRecord, MAX_LINKS, RecordError, Whole};
use crate::serving::TransferCache;
use crate::store::{MAX_RESULTS, Part};
use vajra_core::protocol::messages::{RecordName, Reply};
use vajra_results::{Recording, Timeline};
use vajra_wire::limits::MAX_RECORD;

/// Records read or made for others at once, each of at most 16 MiB; more are told to ask again.
const SERVED_AT_ONCE: usize = 4;
/// Time between two questions for a list, each to another node. A list has some 40 KB.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// How long a list may take.
const LIST_WAIT: Duration = Duration::from_secs(5);
/// Nodes whose lists are asked for soon, one a second, because they were just met. Whoever comes
/// to a large swarm need not hear all: most have the same results.
const MAX_NEWCOMERS: usize = 16;
/// Tests fetched at once; whoever wants another one is told what is known here.
const MAX_BRINGING: usize = 8;
/// Callers that wait for the same test; more are told what is known here.
const MAX_WAITING: usize = 64;
/// Nodes that are asked for a test.
const MAX_ASKED: usize = 8;
/// How long one of them may take for a result, and for a timeline, however it spends the time:
/// whoever is slow leaves some for the next.
const RESULT_SOURCE_WAIT: Duration = Duration::from_secs(5);
const TIMELINE_SOURCE_WAIT: Duration = Duration::from_secs(7);
/// How long all of them may take for a result, and for its timeline after that: together less
/// than a caller of the API waits.
const RESULT_WAIT: Duration = Duration::from_secs(15);
const TIMELINE_WAIT: Duration = Duration::from_secs(10);

/// How often those who were there are asked for the whole timeline of a test that has ended, and
/// how long before each time.
const TAKE_OVER_ROUNDS: u32 = 5;
const TAKE_OVER_PAUSE: Duration = Duration::from_secs(1);

/// What the driver has for results of others.
pub(crate) struct HistoryRoom {
    pub others: Others,
    serving: Arc<Semaphore>,
    recent: TransferCache,
    newcomers: VecDeque<Peer>,
    last_asked: Option<Peer>,
    next_ask: Instant,
    /// Who waits for which tests.
    bringing: HashMap<TestId, Vec<Command>>,
    vain: NegativeCache,
}

/// What was fetched of a test and is kept now.
pub(super) struct Fetched {
    test: TestId,
    result: Option<Arc<TestResult>>,
    /// What had to go for it.
    gone: Vec<TestId>,
    /// Something came that was not here before.
    fetched: bool,
    lacking: Lacking,
}

/// Who did not have what was expected there.
#[derive(Default)]
struct Lacking {
    result: Vec<Peer>,
    timeline: Vec<Peer>,
}

impl HistoryRoom {
    pub fn new() -> HistoryRoom {
        HistoryRoom {
            others: Others::default(),
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            recent: TransferCache::default(),
            newcomers: VecDeque::new(),
            last_asked: None,
            next_ask: Instant::now() + ASK_EVERY,
            bringing: HashMap::new(),
            vain: NegativeCache::default(),
        }
    }

    /// A node has told which results it holds.
    pub fn told(&mut self, peer: &Peer, tests: Vec<ResultSummary>) {
        self.others.told(peer, tests, unix_ms());
        for (test, _) in self.others.entries() {
            if self.others.holds(peer, test) {
                self.vain.found(test);
            }
        }
    }

    /// A node was met; what it has is of interest soon.
    pub fn met(&mut self, peer: &Peer) {
        if self.newcomers.len() < MAX_NEWCOMERS && !self.newcomers.contains(peer) {
            self.newcomers.push_back(peer.clone());
        }
    }

    /// Whose list is asked for now, if any.
    fn next(&mut self, live: &BTreeSet<Peer>) -> Option<Peer> {
        if let Some(at) = self.newcomers.iter().position(|p| live.contains(p)) {
            return self.newcomers.remove(at);
        }
        if Instant::now() < self.next_ask {
            return None;
        }
        self.next_ask = Instant::now() + ASK_EVERY;
        self.last_asked = in_turn(self.last_asked.as_ref(), live).cloned();
        self.last_asked.clone()
    }
}

// ---- for others ----

impl Driver {
    /// Another node wants a part of what is kept here.
    pub(super) fn record_asked(&self, ticket: RequestTicket, record: RecordName, offset: u64) {
        let Some(net) = self.net.clone() else {
            return;
        };
        let Ok(place) = self.history.serving.clone().try_acquire_owned() else {
            let busy = "too much is asked of this node at once; ask again";
            return net.reply(ticket, &Reply::Refused(busy.into()));
        };
        match record {
            RecordName::Links => drop(tokio::spawn(async move {
                let links = links_told(&net).await;
                let whole = serde_json::to_vec(&LinksRecord { links }).ok();
                let whole = whole.map(|bytes| Whole::of(bytes.into()));
                net.reply(ticket, &answer(whole.as_ref(), offset));
                drop(place);
            })),
            RecordName::Tests => {
                let (tests, store) = (self.listed(), self.store.clone());
                tokio::task::spawn_blocking(move || {
                    let tests = tests.into_iter().map(|(id, mut listed)| {
                        listed.timeline = store.can_give(id, Part::Timeline);
                        listed
                    });
                    let whole = Whole::of(records::tests_record(tests).into());
                    net.reply(ticket, &answer(Some(&whole), offset));
                    drop(place);
                });
            }
            RecordName::Result(test) | RecordName::Timeline(test) => {
                let part = match record {
                    RecordName::Timeline(_) => Part::Timeline,
                    _ => Part::Result,
                };
                let live = self.tests.get(&test).map(|served| match part {
                    Part::Result => Live::Result(served.result.clone()),
                    Part::Timeline => Live::Timeline(served.live.recording()),
                });
                let (store, recent) = (self.store.clone(), self.history.recent.clone());
                tokio::task::spawn_blocking(move || {
                    let whole = kept(&store, &recent, (record, test, part), offset, live);
                    net.reply(ticket, &answer(whole.as_deref(), offset));
                    drop(place);
                });
            }
        }
    }

    /// The newest ended tests of which there are results here, newest first.
    fn listed(&self) -> Vec<(TestId, ResultSummary)> {
        let mut tests = self.old.clone();
        let results = self.tests.iter();
        tests.extend(
            results.filter_map(|(id, s)| Some((*id, ResultSummary::of(s.result.as_ref()?)))),
        );
        tests.into_iter().rev().take(MAX_RESULTS).collect()
    }
}

/// A part of a test that is not in a file.
enum Live {
    /// What could not be written and is in memory for a while.
    Result(Option<Arc<TestResult>>),
    /// What is being written down.
    Timeline(Arc<Mutex<Recording>>),
}

impl Live {
    fn bytes(self, test: TestId) -> Option<Arc<[u8]>> {
        let json = match self {
            Live::Result(result) => serde_json::to_vec(&*result?),
            Live::Timeline(recording) => {
                let recording = lock(&recording).clone();
                if recording.is_empty() {
                    return None;
                }
                serde_json::to_vec(&recording.to_stored(&test.to_string()))
            }
        };
        json.ok().map(Into::into)
    }
}

/// A part of a test as it is kept here, or as it is in memory. A file that is too long for a
/// record is not read.
fn kept(
    store: &Store,
    recent: &TransferCache,
    (record, test, part): (RecordName, TestId, Part),
    offset: u64,
    live: Option<Live>,
) -> Option<Arc<Whole>> {
    let version = store.version(test, part);
    if version.is_some_and(|v| v.bytes > MAX_RECORD) {
        return None;
    }
    recent.get(record, version, offset, Instant::now(), || {
        let kept = store.bytes(test, part);
        kept.or_else(|| live?.bytes(test))
    })
}

fn answer(whole: Option<&Whole>, offset: u64) -> Reply {
    let whole = whole.filter(|w| w.len() as u64 <= MAX_RECORD);
    Reply::Record(whole.map(|w| w.part(offset)))
}

/// This node's own connections.
pub(super) async fn links_told(net: &NetworkHandle) -> Vec<LinkTold> {
    let links = net.links().await.into_iter().take(MAX_LINKS);
    links
        .map(|l| LinkTold {
            to: network::show_peer(&l.peer),
            round_trip_ms: l.round_trip.map(view::show_ms),
            mesh: l.mesh,
        })
        .collect()
}

// ---- from others ----

impl Driver {
    /// Asks a node for its list, if it is time to.
    pub(super) fn ask_around(&mut self, live: &BTreeSet<Peer>) {
        self.history.recent.forget_old(Instant::now());
        self.history.others.keep_only(live);
        let connected = &self.connected;
        self.history.newcomers.retain(|p| connected.contains(p));
        let Some(peer) = self.history.next(live) else {
            return;
        };
        let (caller, learn) = (self.data.caller(), self.learn.clone());
        tokio::spawn(async move {
            match timeout(LIST_WAIT, records::fetch_tests(&caller, &peer)).await {
                // The driver may have ended meanwhile.
                Ok(Ok(tests)) => drop(learn.send(Learned::Tests(peer, tests)).await),
                Ok(Err(e)) => tracing::debug!(peer = %network::show_peer(&peer), "its tests: {e}"),
                Err(_) => tracing::debug!(peer = %network::show_peer(&peer), "its tests: too late"),
            }
        });
    }

    /// Makes a command about a test that is elsewhere wait until it is here; gives others back.
    pub(super) fn bring_first(&mut self, command: Command) -> Option<Command> {
        let (test, timeline) = match &command {
            Command::Status(test, _) | Command::Watch(test, _) => (*test, false),
            Command::Timeline(test, ..) => (*test, true),
            _ => return Some(command),
        };
        // Somebody may have removed its file.
        if self.old.contains_key(&test) && !self.store.has(test, Part::Result) {
            self.old.remove(&test);
        }
        if !self.is_elsewhere(test, timeline) {
            return Some(command);
        }
        if self.history.vain.has(test, Instant::now()) {
            return match self.is_out_of_reach(test) {
                true => {
                    refuse(command, test);
                    None
                }
                false => Some(command),
            };
        }
        let under_way = self.history.bringing.len();
        match self.history.bringing.get_mut(&test) {
            Some(waiting) if waiting.len() < MAX_WAITING => {
                waiting.push(command);
                return None;
            }
            None if under_way < MAX_BRINGING => {}
            _ => return Some(command),
        }
        let sources = self.holders(test);
        if sources.is_empty() {
            return Some(command);
        }
        self.history.bringing.insert(test, vec![command]);
        self.bring(test, sources);
        None
    }

    /// Whether there may be more of an ended test on other nodes than here.
    fn is_elsewhere(&self, test: TestId, timeline: bool) -> bool {
        let others = &self.history.others;
        match self.complete_here(test) {
            // Of one that runs, or has just ended, all that there is comes by itself.
            None => !self.core.tests().contains_key(&test),
            Some(false) if others.has_complete(test) => true,
            Some(_) => {
                timeline && others.has_timeline(test) && !self.store.has(test, Part::Timeline)
            }
        }
    }

    /// Whether the result that is here is complete; none if there is none.
    fn complete_here(&self, test: TestId) -> Option<bool> {
        let live = self.tests.get(&test).and_then(|s| s.result.as_ref());
        let kept = || self.old.get(&test).map(|listed| listed.complete);
        // What is remembered for a while has been fetched as good as it was to be had.
        let remembered = || self.store.has(test, Part::Result).then_some(true);
        live.map(|r| r.complete).or_else(kept).or_else(remembered)
    }

    /// Nothing of a test is here, though others say that they have it.
    fn is_out_of_reach(&self, test: TestId) -> bool {
        self.complete_here(test).is_none() && self.history.others.knows(test)
    }

    /// Whom to ask for a test: first those that say they have it, then any.
    fn holders(&self, test: TestId) -> Vec<Peer> {
        let mut holders = self.history.others.holders(test);
        for peer in self.live_peers() {
            if holders.len() >= MAX_ASKED {
                break;
            }
            if !holders.contains(&peer) {
                holders.push(peer);
            }
        }
        holders.truncate(MAX_ASKED);
        holders
    }

    /// Fetches a test, and keeps it.
    fn bring(&self, test: TestId, sources: Vec<Peer>) {
        let (caller, learn, store) = (self.data.caller(), self.learn.clone(), self.store.clone());
        let here = self.complete_here(test);
        let term = self.term_of(test);
        let others = &self.history.others;
        let complete = |peer: &Peer| (peer.clone(), others.told_complete(peer, test));
        let sources: Vec<(Peer, bool)> = sources.iter().map(complete).collect();
        tokio::spawn(async move {
            let mut lacking = Lacking::default();
            let found = match here {
                Some(true) => None,
                _ => find_result(&caller, test, &sources, &mut lacking.result).await,
            };
            // An incomplete one is no better than what is here.
            let found = found.filter(|(_, result)| here.is_none() || result.complete);
            let first = found.as_ref().map(|(from, _)| from);
            let rest = sources.iter().map(|(peer, _)| peer);
            let from = first.into_iter().chain(rest.filter(|p| Some(*p) != first));
            let timeline = match here.is_some() || found.is_some() {
                true => find_timeline(&caller, test, from, &mut lacking.timeline).await,
                false => None,
            };
            let result = found.map(|(_, result)| Arc::new(result));
            let fetched = result.is_some() || timeline.is_some();
            let new = result.clone();
            let kept = tokio::task::spawn_blocking(move || keep(&store, test, new, timeline, term));
            let brought = Fetched {
                test,
                result,
                gone: kept.await.unwrap_or_default(),
                fetched,
                lacking,
            };
            // The driver may have ended meanwhile.
            let _ = learn.send(Learned::Fetched(brought)).await;
        });
    }

    /// Who is likely to have written a test down from its beginning.
    fn who_was_there(&self, test: TestId) -> Vec<Peer> {
        let t = self.core.tests().get(&test);
        let first = t.and_then(|t| t.tenures().first()).map(|r| &r.node.peer);
        let workers = t.map(|t| t.merge().workers());
        let works = |peer: &Peer| workers.is_some_and(|w| w.keys().any(|n| n.peer == *peer));
        let mut peers = self.live_peers();
        peers.sort_by_key(|peer| (Some(peer) != first, !works(peer)));
        peers.truncate(MAX_ASKED);
        peers
    }

    /// This node has come late to a test that runs: what it was like before, others have written
    /// down.
    pub(super) fn catch_up(&mut self, test: TestId) {
        let (sources, caller) = (self.who_was_there(test), self.data.caller());
        let learn = self.learn.clone();
        let own = self.served(test).live.recording();
        tokio::spawn(async move {
            let found = find_timeline(&caller, test, sources.iter(), &mut Vec::new()).await;
            let read = move |timeline| {
                let other = Recording::from_stored(timeline);
                lock(&own).add_nodes_of(&other);
                Arc::new(other)
            };
            let found = match found {
                Some(timeline) => tokio::task::spawn_blocking(move || read(timeline))
                    .await
                    .ok(),
                None => None,
            };
            // The driver may have ended meanwhile.
            let _ = learn.send(Learned::Beginning(test, found)).await;
        });
    }

    /// A test has ended to which this node came late: whoever was there has written all of it
    /// down, and that takes the place of what is here.
    pub(super) fn take_over_timeline(&self, test: TestId, result: Arc<TestResult>, begins_s: f64) {
        let (sources, caller) = (self.who_was_there(test), self.data.caller());
        let (store, learn, term) = (self.store.clone(), self.learn.clone(), self.term_of(test));
        tokio::spawn(async move {
            for _ in 0..TAKE_OVER_ROUNDS {
                // The others keep theirs at about the same time.
                tokio::time::sleep(TAKE_OVER_PAUSE).await;
                for source in &sources {
                    let fetched = records::fetch_timeline(&caller, source, test);
                    let Ok(Ok(timeline)) = timeout(TIMELINE_SOURCE_WAIT, fetched).await else {
                        continue;
                    };
                    let (store, result) = (store.clone(), result.clone());
                    let keep = move || {
                        let recording = Recording::from_stored(timeline.clone());
                        let fits = recording.first_end_s() < begins_s
                            && recording.adds_up_to(&result.totals);
                        fits.then(|| store.keep(test, &result, Some(&timeline), term))
                    };
                    if let Ok(Some(_)) = tokio::task::spawn_blocking(keep).await {
                        // The driver may have ended meanwhile.
                        let _ = learn.send(Learned::TookOver(test)).await;
                        return;
                    }
                }
            }
            tracing::debug!(%test, "nobody has its whole timeline");
        });
    }

    /// A test has been fetched, or could not be: whoever waited for it is answered.
    pub(super) fn brought(&mut self, brought: Fetched) {
        let test = brought.test;
        let history = &mut self.history;
        for peer in &brought.lacking.result {
            history.others.lacks(peer, test);
        }
        for peer in &brought.lacking.timeline {
            history.others.lacks_timeline(peer, test);
        }
        match brought.fetched {
            true => history.vain.found(test),
            false => history.vain.looked(test, Instant::now()),
        }
        if let Some(result) = brought.result {
            self.old.insert(test, ResultSummary::of(&result));
            if let Some(served) = self.tests.get_mut(&test) {
                served.result = Some(result);
            }
        }
        brought.gone.iter().for_each(|id| drop(self.old.remove(id)));
        let waiting = self.history.bringing.remove(&test).unwrap_or_default();
        let out_of_reach = self.is_out_of_reach(test);
        for command in waiting {
            match out_of_reach {
                true => refuse(command, test),
                false => self.obey(command),
            }
        }
    }
}

/// Answers a command about a test that is known, but could not be had.
fn refuse(command: Command, test: TestId) {
    let why = CommandError::NotFound(format!(
        "test {test} ran on other nodes, and none that has its result answers; try again"
    ));
    // Whoever asked may be gone.
    match command {
        Command::Status(_, reply) => drop(reply.send(Err(why))),
        Command::Watch(_, reply) => drop(reply.send(Err(why))),
        Command::Timeline(.., reply) => drop(reply.send(Err(why))),
        _ => {}
    }
}

/// The first complete result, or else the first, and from whom it is. Of each source it is known
/// whether it has told of a complete one.
async fn find_result(
    caller: &Caller,
    test: TestId,
    sources: &[(Peer, bool)],
    lacking: &mut Vec<Peer>,
) -> Option<(Peer, TestResult)> {
    let mut best = None;
    let search = async {
        for (source, told_complete) in sources {
            let fetched = records::fetch_result(caller, source, test);
            let is_lack = match timeout(RESULT_SOURCE_WAIT, fetched).await {
                Ok(Ok(result)) if result.complete => {
                    best = Some((source.clone(), result));
                    return;
                }
                Ok(Ok(result)) => {
                    best.get_or_insert((source.clone(), result));
                    *told_complete
                }
                failed => lacks(source, failed),
            };
            if is_lack {
                lacking.push(source.clone());
            }
        }
    };
    // What was found by then is as good as it gets.
    let _ = timeout(RESULT_WAIT, search).await;
    best
}

/// Tells why nothing came from a source, and whether it lacks what was asked for.
fn lacks<T>(source: &Peer, came: Result<Result<T, RecordError>, Elapsed>) -> bool {
    match came {
        Ok(Ok(_)) => false,
        Ok(Err(e)) => {
            log(source, &e);
            e.is_lack()
        }
        Err(_) => {
            log(source, &"it takes too long");
            true
        }
    }
}

async fn find_timeline<'a>(
    caller: &Caller,
    test: TestId,
    sources: impl Iterator<Item = &'a Peer>,
    lacking: &mut Vec<Peer>,
) -> Option<Timeline> {
    let search = async {
        for source in sources {
            let fetched = records::fetch_timeline(caller, source, test);
            let is_lack = match timeout(TIMELINE_SOURCE_WAIT, fetched).await {
                Ok(Ok(timeline)) => return Some(timeline),
                failed => lacks(source, failed),
            };
            if is_lack {
                lacking.push(source.clone());
            }
        }
        None
    };
    timeout(TIMELINE_WAIT, search).await.ok().flatten()
}

fn log(source: &Peer, why: &dyn std::fmt::Display) {
    tracing::debug!(peer = %network::show_peer(source), "a result of it: {why}");
}

/// Keeps what was fetched; if it can't be written, in memory. Returns what had to go for it.
fn keep(
    store: &Store,
    test: TestId,
    result: Option<Arc<TestResult>>,
    timeline: Option<Timeline>,
    term: u64,
) -> Vec<TestId> {
    let fetched = result.is_some() || timeline.is_some();
    let result = result.or_else(|| store.get(test)).filter(|_| fetched);
    let keep = |result: Arc<TestResult>| store.keep(test, &result, timeline.as_ref(), term);
    result.map(keep).unwrap_or_default()
}

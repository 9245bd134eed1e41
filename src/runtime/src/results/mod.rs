//! Results of ended tests: stored here, served to other nodes, and fetched from them on request.
//!
//! | module | contents |
//! |---|---|
//! | `store` | results and timelines on disk or in memory |
//! | `remote` | the results that other nodes list |
//! | `records` | fetching and checking records of other nodes |
//! | `search` | searching the nodes for a result |
//! | `transfer` | the cache of records served in parts |

pub mod records;
mod remote;
pub mod search;
pub mod store;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::records::Whole;
pub use self::remote::ResultSummary;
use self::remote::{NegativeCache, RemoteResults};
use self::search::{Source, find_result, find_timeline};
use self::store::{MAX_RESULTS, Part, Store};
use self::transfer::TransferCache;
use crate::answer::{Answer, admit};
use crate::handle::{Command, CommandError};
use crate::peers::calls::Caller;
use crate::peers::clocks::next_peer;
use crate::queries::{live_peers, newest_term};
use crate::time::unix_ms;
use vajra_core::protocol::messages::{RecordName, Reply};
use vajra_core::protocol::{Node, Peer, TestId, Time};
use vajra_network as network;
use vajra_results::{ResultInput, TestEntry, TestResult, Timeline};
use vajra_wire::limits::MAX_RECORD;

/// Records read or built for others at once, each of at most 16 MiB. Further requests are refused.
const SERVED_AT_ONCE: usize = 4;
/// Time between two requests for a list, each to another node. A list has about 40 KB.
const LIST_INTERVAL: Duration = Duration::from_secs(10);
/// Timeout of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// Most newly connected nodes whose lists are requested soon, one per second. In a large swarm most
/// nodes have the same results, so the others can wait.
const MAX_NEWCOMERS: usize = 16;
/// Most tests fetched at once; further requests get what is here.
const MAX_FETCHES: usize = 8;
/// Most requests that wait for the same test; further requests get what is here.
const MAX_WAITING: usize = 64;
/// Most nodes asked for a test.
const MAX_SOURCES: usize = 8;

/// Produces the content of a record that is not in a file.
pub type Unsaved = Box<dyn FnOnce() -> Option<Arc<[u8]>> + Send>;

/// Results of this node and of others.
pub struct Results {
    store: Store,
    /// Stored results, including those of earlier runs of this node.
    stored: BTreeMap<TestId, ResultSummary>,
    /// Results of tests that the protocol still tracks.
    current: HashMap<TestId, Current>,
    remote: RemoteResults,
    lists: ListSchedule,
    /// Commands that wait for a test to be fetched.
    fetches: HashMap<TestId, Vec<Command>>,
    not_found: NegativeCache,
    serving: Arc<Semaphore>,
    transfers: TransferCache,
}

/// The result of a test that the protocol still tracks.
#[derive(Default)]
struct Current {
    /// The final result.
    result: Option<Arc<TestResult>>,
    /// Saving has started at least once.
    is_saved: bool,
    /// Saving is in progress.
    is_saving: bool,
    /// More data has arrived since then.
    save_again: bool,
}

/// Whose list of results is requested next.
struct ListSchedule {
    newcomers: VecDeque<Peer>,
    last: Option<Peer>,
    next_at: Instant,
}

impl ListSchedule {
    fn next(&mut self, live: &BTreeSet<Peer>) -> Option<Peer> {
        if let Some(at) = self.newcomers.iter().position(|p| live.contains(p)) {
            return self.newcomers.remove(at);
        }
        if Instant::now() < self.next_at {
            return None;
        }
        self.next_at = Instant::now() + LIST_INTERVAL;
        self.last = next_peer(self.last.as_ref(), live).cloned();
        self.last.clone()
    }
}

/// The list of results of a node.
pub struct ResultList {
    peer: Peer,
    tests: Vec<ResultSummary>,
}

/// A test that was fetched and stored, as far as it was found.
pub struct Fetched {
    test: TestId,
    result: Option<Arc<TestResult>>,
    /// Tests removed from the store.
    removed: Vec<TestId>,
    /// Something was found that was not here before.
    is_new: bool,
    /// Nodes without the result that they list.
    without_result: Vec<Peer>,
    /// Nodes without the timeline that they list.
    without_timeline: Vec<Peer>,
}

/// A result that was stored.
pub struct Saved {
    /// The test.
    pub test: TestId,
    /// The result.
    pub result: Arc<TestResult>,
    /// Tests removed from the store.
    removed: Vec<TestId>,
}

/// What to do about a command that concerns a test.
pub enum Lookup {
    /// Execute it.
    Execute(Command),
    /// Fetch the test first; the command waits.
    Fetch(Pin<Box<dyn Future<Output = Fetched> + Send>>),
    /// Nothing: the command waits for a fetch in progress, or was answered.
    Nothing,
}

impl Results {
    /// The results in a store.
    pub fn new(store: Store) -> Results {
        let ids = store.ids().into_iter();
        let stored = ids.filter_map(|id| Some((id, ResultSummary::of(&*store.get(id)?))));
        Results {
            stored: stored.collect(),
            store,
            current: HashMap::new(),
            remote: RemoteResults::default(),
            lists: ListSchedule {
                newcomers: VecDeque::new(),
                last: None,
                next_at: Instant::now() + LIST_INTERVAL,
            },
            fetches: HashMap::new(),
            not_found: NegativeCache::default(),
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            transfers: TransferCache::default(),
        }
    }

    // ---- queries ----

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The final result of a test that the protocol still tracks.
    pub fn current(&self, test: TestId) -> Option<&Arc<TestResult>> {
        self.current.get(&test)?.result.as_ref()
    }

    /// Whether the test ended and its result is on this or another node.
    pub fn has_ended(&self, test: TestId) -> bool {
        self.stored.contains_key(&test) || self.remote.has(test)
    }

    /// The stored tests.
    pub fn stored(&self) -> impl Iterator<Item = TestId> {
        self.stored.keys().copied()
    }

    /// The ended tests of all nodes, as lists show them.
    pub fn entries(&self) -> BTreeMap<TestId, TestEntry> {
        let remote = self.remote.entries();
        let mut entries: BTreeMap<TestId, TestEntry> =
            remote.map(|(id, entry)| (id, entry.clone())).collect();
        let stored = self.stored.iter();
        entries.extend(stored.map(|(id, summary)| (*id, summary.entry.clone())));
        entries
    }

    /// Forgets the state of tests that the protocol no longer tracks. Their results are in the
    /// store.
    pub fn retain<T>(&mut self, tests: &BTreeMap<TestId, T>) {
        self.current.retain(|id, _| tests.contains_key(id));
    }

    // ---- saving ----

    /// Whether saving the result of a test has started.
    pub fn is_saved(&self, test: TestId) -> bool {
        self.current.get(&test).is_some_and(|c| c.is_saved)
    }

    /// The work that builds and stores a result; it may block. None while the same test is being
    /// saved: then it is saved again afterwards.
    pub fn save(
        &mut self,
        test: TestId,
        input: ResultInput,
        timeline: impl FnOnce() -> Option<Timeline> + Send + 'static,
        term: u64,
    ) -> Option<impl FnOnce() -> Saved + Send + 'static> {
        let current = self.current.entry(test).or_default();
        current.is_saved = true;
        if std::mem::replace(&mut current.is_saving, true) {
            current.save_again = true;
            return None;
        }
        let store = self.store.clone();
        Some(move || {
            let result = Arc::new(input.build());
            let timeline = timeline();
            let removed = store.put_or_remember(test, &result, timeline.as_ref(), term);
            Saved {
                test,
                result,
                removed,
            }
        })
    }

    /// A result was stored. Returns whether it must be saved again.
    pub fn saved(&mut self, saved: Saved) -> bool {
        let Saved {
            test,
            result,
            removed,
        } = saved;
        self.stored.insert(test, ResultSummary::of(&result));
        self.remove_summaries(&removed);
        let current = self.current.entry(test).or_default();
        current.is_saving = false;
        current.result = Some(result);
        std::mem::take(&mut current.save_again)
    }

    fn remove_summaries(&mut self, removed: &[TestId]) {
        for id in removed {
            self.stored.remove(id);
        }
    }

    // ---- serving ----

    /// The list of results on this node.
    pub fn answer_list(&self, offset: u64) -> Answer {
        let Some(permit) = admit(&self.serving) else {
            return Answer::busy();
        };
        let (tests, store) = (self.newest(), self.store.clone());
        Answer::blocking(move || {
            let _permit = permit;
            let tests = tests.into_iter().map(|(id, mut summary)| {
                summary.timeline = store.can_serve(id, Part::Timeline);
                summary
            });
            let whole = Whole::of(records::tests_record(tests).into());
            part_reply(Some(&whole), offset)
        })
    }

    /// The newest tests with results on this node, newest first.
    fn newest(&self) -> Vec<(TestId, ResultSummary)> {
        let mut tests = self.stored.clone();
        let current = self.current.iter();
        tests.extend(
            current.filter_map(|(id, c)| Some((*id, ResultSummary::of(c.result.as_ref()?)))),
        );
        tests.into_iter().rev().take(MAX_RESULTS).collect()
    }

    /// The result of a test.
    pub fn answer_result(&self, test: TestId, offset: u64) -> Answer {
        let result = self.current(test).cloned();
        let unsaved = result.map(|result| -> Unsaved {
            Box::new(move || serde_json::to_vec(&*result).ok().map(Into::into))
        });
        self.answer_part(
            RecordName::Result(test),
            (test, Part::Result),
            offset,
            unsaved,
        )
    }

    /// The timeline of a test; `recording` is the one in progress.
    pub fn answer_timeline(&self, test: TestId, offset: u64, recording: Option<Unsaved>) -> Answer {
        self.answer_part(
            RecordName::Timeline(test),
            (test, Part::Timeline),
            offset,
            recording,
        )
    }

    fn answer_part(
        &self,
        record: RecordName,
        (test, part): (TestId, Part),
        offset: u64,
        unsaved: Option<Unsaved>,
    ) -> Answer {
        let Some(permit) = admit(&self.serving) else {
            return Answer::busy();
        };
        let (store, transfers) = (self.store.clone(), self.transfers.clone());
        Answer::blocking(move || {
            let _permit = permit;
            let version = store.version(test, part);
            // A file over the size limit of a record is not read.
            let whole = match version.is_some_and(|v| v.bytes > MAX_RECORD) {
                true => None,
                false => transfers.get(record, version, offset, Instant::now(), || {
                    let stored = store.bytes(test, part);
                    stored.or_else(|| unsaved?())
                }),
            };
            part_reply(whole.as_deref(), offset)
        })
    }

    // ---- lists of other nodes ----

    /// A node has connected; its list is requested soon.
    pub fn connected(&mut self, peer: &Peer) {
        let newcomers = &mut self.lists.newcomers;
        if newcomers.len() < MAX_NEWCOMERS && !newcomers.contains(peer) {
            newcomers.push_back(peer.clone());
        }
    }

    /// Called once per second: the request for the list of another node, if one is due.
    pub fn request_list(
        &mut self,
        live: &BTreeSet<Peer>,
        connected: &BTreeSet<Peer>,
        caller: &Caller,
    ) -> Option<impl Future<Output = Option<ResultList>> + Send + use<>> {
        self.transfers.remove_old(Instant::now());
        self.remote.retain(live);
        self.lists.newcomers.retain(|p| connected.contains(p));
        let (peer, caller) = (self.lists.next(live)?, caller.clone());
        Some(async move {
            let failed: &dyn std::fmt::Display =
                match timeout(LIST_TIMEOUT, records::fetch_tests(&caller, &peer)).await {
                    Ok(Ok(tests)) => return Some(ResultList { peer, tests }),
                    Ok(Err(e)) => &e.to_string(),
                    Err(_) => &"timeout",
                };
            let peer = network::show_peer(&peer);
            tracing::debug!(peer, "cannot fetch the list of tests: {failed}");
            None
        })
    }

    /// The list of a node has arrived.
    pub fn list_received(&mut self, list: ResultList) {
        self.remote.update(&list.peer, list.tests, unix_ms());
        for (test, _) in self.remote.entries() {
            if self.remote.holds(&list.peer, test) {
                self.not_found.remove(test);
            }
        }
    }

    // ---- fetching ----

    /// Makes a command wait while its test is fetched from another node, if necessary.
    pub fn look_up(&mut self, command: Command, core: &Node, now: Time, caller: &Caller) -> Lookup {
        let (test, timeline) = match &command {
            Command::Status(test, _) | Command::Watch(test, _) => (*test, false),
            Command::Timeline(test, ..) => (*test, true),
            _ => return Lookup::Execute(command),
        };
        // The file may have been removed by another program.
        if self.stored.contains_key(&test) && !self.store.has(test, Part::Result) {
            self.stored.remove(&test);
        }
        if !self.may_be_elsewhere(core, test, timeline) {
            return Lookup::Execute(command);
        }
        if self.not_found.contains(test, Instant::now()) {
            if self.is_unreachable(test) {
                refuse(command, test);
                return Lookup::Nothing;
            }
            return Lookup::Execute(command);
        }
        let in_progress = self.fetches.len();
        match self.fetches.get_mut(&test) {
            Some(waiting) if waiting.len() < MAX_WAITING => {
                waiting.push(command);
                return Lookup::Nothing;
            }
            None if in_progress < MAX_FETCHES => {}
            _ => return Lookup::Execute(command),
        }
        let sources = self.sources(core, now, test);
        if sources.is_empty() {
            return Lookup::Execute(command);
        }
        self.fetches.insert(test, vec![command]);
        let here = self.is_complete(test);
        let (store, term) = (self.store.clone(), newest_term(core, test));
        Lookup::Fetch(Box::pin(fetch(
            caller.clone(),
            store,
            test,
            here,
            sources,
            term,
        )))
    }

    /// Whether other nodes may have more of an ended test than this one.
    fn may_be_elsewhere(&self, core: &Node, test: TestId, timeline: bool) -> bool {
        match self.is_complete(test) {
            // Data of a running or just ended test arrives by itself.
            None => !core.tests().contains_key(&test),
            Some(false) if self.remote.has_complete(test) => true,
            Some(_) => {
                timeline && self.remote.has_timeline(test) && !self.store.has(test, Part::Timeline)
            }
        }
    }

    /// Whether the result on this node is complete; none if there is no result.
    fn is_complete(&self, test: TestId) -> Option<bool> {
        let stored = || self.stored.get(&test).map(|summary| summary.complete);
        // A result in memory was fetched, and there was no better one.
        let in_memory = || self.store.has(test, Part::Result).then_some(true);
        let current = self.current(test).map(|r| r.complete);
        current.or_else(stored).or_else(in_memory)
    }

    /// Whether only other nodes have the test.
    fn is_unreachable(&self, test: TestId) -> bool {
        self.is_complete(test).is_none() && self.remote.has(test)
    }

    /// The nodes to ask for a test: first those that list it, then any.
    fn sources(&self, core: &Node, now: Time, test: TestId) -> Vec<Source> {
        let mut peers = self.remote.holders(test);
        for peer in live_peers(core, now) {
            if peers.len() >= MAX_SOURCES {
                break;
            }
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers.truncate(MAX_SOURCES);
        let source = |peer| Source {
            lists_complete: self.remote.holds_complete(&peer, test),
            peer,
        };
        peers.into_iter().map(source).collect()
    }

    /// A fetch has ended. Returns the commands that waited for it.
    pub fn fetched(&mut self, fetched: Fetched) -> Vec<Command> {
        let test = fetched.test;
        for peer in &fetched.without_result {
            self.remote.result_missing(peer, test);
        }
        for peer in &fetched.without_timeline {
            self.remote.timeline_missing(peer, test);
        }
        match fetched.is_new {
            true => self.not_found.remove(test),
            false => self.not_found.add(test, Instant::now()),
        }
        if let Some(result) = fetched.result {
            self.stored.insert(test, ResultSummary::of(&result));
            if let Some(current) = self.current.get_mut(&test) {
                current.result = Some(result);
            }
        }
        self.remove_summaries(&fetched.removed);
        let waiting = self.fetches.remove(&test).unwrap_or_default();
        if self.is_unreachable(test) {
            waiting.into_iter().for_each(|c| refuse(c, test));
            return Vec::new();
        }
        waiting
    }
}

/// Searches the sources for a test and stores what they have. `here` tells whether the result on
/// this node is complete; none if there is no result.
async fn fetch(
    caller: Caller,
    store: Store,
    test: TestId,
    here: Option<bool>,
    sources: Vec<Source>,
    term: u64,
) -> Fetched {
    let (mut without_result, mut without_timeline) = (Vec::new(), Vec::new());
    let found = match here {
        Some(true) => None,
        _ => find_result(&caller, test, &sources, &mut without_result).await,
    };
    // An incomplete result is no better than one that is here.
    let found = found.filter(|(_, result)| here.is_none() || result.complete);
    let first = found.as_ref().map(|(from, _)| from);
    let rest = sources.iter().map(|source| &source.peer);
    let order = first.into_iter().chain(rest.filter(|p| Some(*p) != first));
    let timeline = match here.is_some() || found.is_some() {
        true => find_timeline(&caller, test, order, &mut without_timeline).await,
        false => None,
    };
    let result = found.map(|(_, result)| Arc::new(result));
    let is_new = result.is_some() || timeline.is_some();
    let new = result.clone();
    let put = tokio::task::spawn_blocking(move || put(&store, test, new, timeline, term));
    Fetched {
        test,
        result,
        removed: put.await.unwrap_or_default(),
        is_new,
        without_result,
        without_timeline,
    }
}

/// Stores what was fetched, in memory if it cannot be written. Returns the tests removed for it.
fn put(
    store: &Store,
    test: TestId,
    result: Option<Arc<TestResult>>,
    timeline: Option<Timeline>,
    term: u64,
) -> Vec<TestId> {
    let is_new = result.is_some() || timeline.is_some();
    let result = result.or_else(|| store.get(test)).filter(|_| is_new);
    let put =
        |result: Arc<TestResult>| store.put_or_remember(test, &result, timeline.as_ref(), term);
    result.map(put).unwrap_or_default()
}

/// The part of a record that starts at `offset`.
pub fn part_reply(whole: Option<&Whole>, offset: u64) -> Reply {
    let whole = whole.filter(|w| w.len() as u64 <= MAX_RECORD);
    Reply::Record(whole.map(|w| w.part(offset)))
}

/// Answers a command about a test that only other nodes have, none of which sent it.
fn refuse(command: Command, test: TestId) {
    let error = CommandError::NotFound(format!(
        "test {test} ran on other nodes, and no node with its result answers; retry later"
    ));
    // The caller may be gone.
    match command {
        Command::Status(_, reply) => drop(reply.send(Err(error))),
        Command::Watch(_, reply) => drop(reply.send(Err(error))),
        Command::Timeline(.., reply) => drop(reply.send(Err(error))),
        _ => {}
    }
}

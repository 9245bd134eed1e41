//! Results of ended tests: stored here, served to other nodes, and fetched from them on request.
//!
//! | module | contents |
//! |---|---|
//! | `store` | results and timelines on disk or in memory |
//! | `serve`, `transfer` | serving records to other nodes in parts, and the cache for that |
//! | `remote`, `lists` | the results that other nodes list, and requests for these lists |
//! | `records` | fetching and checking records of other nodes |
//! | `search`, `fetch` | searching the nodes for a test, and storing what was found |

mod fetch;
mod lists;
pub mod records;
mod remote;
pub mod search;
mod serve;
pub mod store;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

pub use self::fetch::Fetched;
use self::fetch::fetch;
pub use self::lists::ResultList;
use self::lists::{ListSchedule, request_list};
pub use self::remote::ResultSummary;
use self::remote::{NegativeCache, RemoteResults};
use self::search::Source;
use self::serve::RecordServer;
pub use self::serve::{Unsaved, part_reply};
use self::store::{Part, Store};
use crate::answer::Answer;
use crate::handle::{Command, CommandError};
use crate::peers::calls::Caller;
use crate::queries::{live_peers, newest_term};
use crate::time::unix_ms;
use vajra_core::protocol::{Node, Peer, TestId, Time};
use vajra_results::{ResultInput, TestEntry, TestResult, Timeline};

/// Most tests fetched at once; further requests get what is here.
const MAX_FETCHES: usize = 8;
/// Most requests that wait for the same test; further requests get what is here.
const MAX_WAITING: usize = 64;
/// Most nodes asked for a test.
const MAX_SOURCES: usize = 8;

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
    server: RecordServer,
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
            server: RecordServer::new(store.clone()),
            store,
            current: HashMap::new(),
            remote: RemoteResults::default(),
            lists: ListSchedule::default(),
            fetches: HashMap::new(),
            not_found: NegativeCache::default(),
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
        let tests = || {
            let mut tests = self.stored.clone();
            let current = self.current.iter();
            let summary = |c: &Current| Some(ResultSummary::of(c.result.as_ref()?));
            tests.extend(current.filter_map(|(id, c)| Some((*id, summary(c)?))));
            tests
        };
        self.server.list(tests, offset)
    }

    /// The result of a test.
    pub fn answer_result(&self, test: TestId, offset: u64) -> Answer {
        let result = self.current(test).cloned();
        let unsaved = result.map(|result| -> Unsaved {
            Box::new(move || serde_json::to_vec(&*result).ok().map(Into::into))
        });
        self.server.record((test, Part::Result), offset, unsaved)
    }

    /// The timeline of a test; `recording` is the one in progress.
    pub fn answer_timeline(&self, test: TestId, offset: u64, recording: Option<Unsaved>) -> Answer {
        self.server
            .record((test, Part::Timeline), offset, recording)
    }

    // ---- lists of other nodes ----

    /// A node has connected; its list is requested soon.
    pub fn connected(&mut self, peer: &Peer) {
        self.lists.connected(peer);
    }

    /// Called once per second: the request for the list of another node, if one is due.
    pub fn request_list(
        &mut self,
        live: &BTreeSet<Peer>,
        connected: &BTreeSet<Peer>,
        caller: &Caller,
    ) -> Option<impl Future<Output = Option<ResultList>> + Send + use<>> {
        self.server.remove_old();
        self.remote.retain(live);
        let peer = self.lists.next(live, connected)?;
        Some(request_list(peer, caller.clone()))
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

//! Data files: those that a test needs are here before it is inspected or started, and others
//! get what is here.

use super::*;
use crate::blobs::{Blobs, Hold};
use crate::calls::{Call, Caller, Calls};
use crate::distribute::{RetryPolicy, spread};
use crate::fetch::Fetcher;
use vajra_core::protocol::messages::{BlobPart, Reply};
use vajra_plan::Table;
use vajra_task::TaskContext;
use vajra_wire::limits::MAX_CHUNK;

/// Parts of files read for others at once, each a mebibyte; more are told to ask again.
const SERVED_AT_ONCE: usize = 16;
/// Plans of others looked at at once.
const LOOKED_AT_ONCE: usize = 4;
/// Starts on their way back to the driver.
const START_QUEUE: usize = 64;

/// What the driver has for data files.
pub(super) struct DataRoom {
    pub blobs: Blobs,
    pub calls: Calls,
    pub calling: mpsc::Receiver<Call>,
    pub readied: mpsc::Receiver<WaitingStart>,
    ready: mpsc::Sender<WaitingStart>,
    caller: Caller,
    fetcher: Fetcher,
    serving: Arc<Semaphore>,
    looking: Arc<Semaphore>,
}

/// A test's data, kept at hand.
pub(super) struct Held {
    _tables: Vec<Arc<Table>>,
    _files: Hold,
}

impl DataRoom {
    pub fn new(blobs: Blobs) -> DataRoom {
        let (caller, calling) = Caller::new();
        let (ready, readied) = mpsc::channel(START_QUEUE);
        DataRoom {
            calls: Calls::default(),
            fetcher: Fetcher::new(blobs.clone(), caller.clone()),
            blobs,
            calling,
            readied,
            ready,
            caller,
            serving: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
            looking: Arc::new(Semaphore::new(LOOKED_AT_ONCE)),
        }
    }

    /// Asks other nodes, for tasks beside the loop.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }
}

/// Reads the rows of a plan's data, all of which are here.
///
/// # Errors
/// The first that can't be used, and why.
async fn hold(
    blobs: &Blobs,
    site: &Arc<TaskContext>,
    plan: &Arc<Plan>,
) -> Result<Held, (String, String)> {
    let (blobs, site, plan) = (blobs.clone(), site.clone(), plan.clone());
    let read = tokio::task::spawn_blocking(move || {
        let files = blobs.hold(plan.task.data().map(|(_, data)| data.digest));
        let each = plan.task.data().map(|(name, data)| {
            let table = blobs.table(&site.shared.get(), data);
            table.map_err(|why| (name.clone(), why))
        });
        Ok(Held {
            _tables: each.collect::<Result<_, _>>()?,
            _files: files,
        })
    });
    let died = |e: tokio::task::JoinError| (String::new(), e.to_string());
    read.await.map_err(died)?
}

/// Fetches what is missing of a plan's data, and reads it.
///
/// # Errors
/// Which could not be fetched or used, and why.
pub(super) async fn bring(
    (fetcher, blobs): (Fetcher, Blobs),
    site: &Arc<TaskContext>,
    plan: &Arc<Plan>,
    sources: &[Peer],
) -> Result<Held, String> {
    let digests = || plan.task.data().map(|(_, data)| data.digest);
    // What is here already stays, while the rest comes.
    let _files = blobs.hold(digests());
    let mut again = true;
    loop {
        let each = plan.task.data().map(|(name, data)| {
            let got = fetcher.get(data, sources);
            async move {
                let failed = |why| format!("the data {name} could not be fetched: {why}");
                got.await.map_err(failed)
            }
        });
        futures::future::try_join_all(each).await?;
        match hold(&blobs, site, plan).await {
            Ok(held) => return Ok(held),
            // What was damaged on disk has been removed; it is fetched once more.
            Err(_) if again && digests().any(|d| blobs.has(d).is_none()) => again = false,
            Err((name, why)) => return Err(format!("the data {name} {why}")),
        }
    }
}

impl Driver {
    /// What tasks need to bring a plan's data here.
    pub(super) fn bringing(&self) -> (Fetcher, Blobs) {
        (self.data.fetcher.clone(), self.data.blobs.clone())
    }

    /// Who may have the data of a test: first where it was started, then its electors, then
    /// anybody.
    pub(super) fn sources(&self, test: TestId) -> Vec<Peer> {
        let announced = self.core.tests().get(&test).map(|t| t.announcement());
        let named = announced.into_iter().flat_map(|a| {
            let electors = a.electorate.iter();
            std::iter::once(&a.submitter).chain(electors)
        });
        let mut sources: Vec<Peer> = named.map(|n| n.peer.clone()).collect();
        sources.extend(self.live_peers());
        let mut seen = BTreeSet::new();
        sources.retain(|p| *p != self.core.local().node.peer && seen.insert(p.clone()));
        sources
    }

    pub(super) fn live_peers(&self) -> Vec<Peer> {
        let live = self.core.members().live_ids(self.now());
        live.map(|node| node.peer).collect()
    }

    // ---- starts ----

    /// A start whose data must be here and in order before anything else.
    pub(super) fn check_data(&self, mut start: WaitingStart) {
        let (blobs, site) = (self.data.blobs.clone(), self.room.site.clone());
        let ready = self.data.ready.clone();
        tokio::spawn(async move {
            match hold(&blobs, &site, &start.plan).await {
                Ok(held) => {
                    start.data = Some(held);
                    // The driver may have ended meanwhile; so below.
                    let _ = ready.send(start).await;
                }
                Err((name, why)) => {
                    let digest = start.plan.task.data().find(|(n, _)| **n == name);
                    let absent = digest.map(|(_, data)| data.digest);
                    let absent = absent.filter(|digest| blobs.has(*digest).is_none());
                    let advice = absent.map_or_else(String::new, |digest| {
                        format!(": PUT the file to /api/v1/blobs/{digest} first")
                    });
                    let _ = start.reply.send(Err(CommandError::Data {
                        field: format!("data.{name}"),
                        why: format!("the data {name} {why}{advice}"),
                    }));
                }
            }
        });
    }

    /// Tells every node that could carry a plan to fetch its data, and waits for them.
    pub(super) fn spread_data(&self, mut start: WaitingStart) {
        let spec = inspect::spec_of(&start.plan);
        let known = self.core.members().live(self.now()).map(|k| &k.advert);
        let able = known.filter(|a| spec.exclusion(&a.task_types, &a.labels).is_none());
        let nodes: Vec<Peer> = able.map(|a| a.node.peer.clone()).collect();
        let (ready, caller) = (self.data.ready.clone(), self.data.caller.clone());
        let plan: Arc<[u8]> = start.plan.to_bytes().into();
        let patience = RetryPolicy::of(nodes.len(), plan.len());
        start.spread = true;
        tracing::info!("{} nodes fetch the test's data", nodes.len());
        tokio::spawn(async move {
            let late = tokio::select! {
                late = spread(&caller, &nodes, &plan, patience) => late,
                () = start.reply.closed() => return,
            };
            for (peer, why) in late {
                tracing::warn!(
                    peer = network::show_peer(&peer),
                    "a node is without the test's data at its start: {why}"
                );
            }
            let _ = ready.send(start).await;
        });
    }

    // ---- others ----

    /// Sends a request of a task beside the loop.
    pub(super) fn call(&mut self, call: Call) {
        let failed = match &self.net {
            None => Some(network::RequestFailed::NotConnected),
            Some(net) => {
                self.requests += 1;
                net.request(call.to, &call.request, self.requests).err()
            }
        };
        match failed {
            // Whoever asked may have given up.
            Some(e) => drop(call.answer.send(Err(e))),
            None => self.data.calls.sent(self.requests, call.answer),
        }
    }

    /// Answers requests about data; gives others back.
    pub(super) fn data_request(
        &self,
        from: &Peer,
        ticket: RequestTicket,
        request: Request,
    ) -> Option<(RequestTicket, Request)> {
        let Some(net) = self.net.clone() else {
            return Some((ticket, request));
        };
        let busy = || Reply::Refused("too much is asked of this node at once; ask again".into());
        match request {
            Request::FetchBlob { digest, offset } => {
                match self.data.serving.clone().try_acquire_owned() {
                    Err(_) => net.reply(ticket, &busy()),
                    Ok(place) => {
                        let blobs = self.data.blobs.clone();
                        tokio::task::spawn_blocking(move || {
                            net.reply(ticket, &part(&blobs, Sha256(digest.0), offset));
                            drop(place);
                        });
                    }
                }
            }
            Request::TakeData(plan) => match self.data.looking.clone().try_acquire_owned() {
                Err(_) => net.reply(ticket, &busy()),
                Ok(place) => {
                    let fetcher = self.data.fetcher.clone();
                    let room = self.room.clone();
                    let mut sources = vec![from.clone()];
                    sources.extend(self.live_peers());
                    tokio::spawn(async move {
                        net.reply(ticket, &take(&fetcher, &room, &plan, &sources).await);
                        drop(place);
                    });
                }
            },
            other => return Some((ticket, other)),
        }
        None
    }
}

fn part(blobs: &Blobs, digest: Sha256, offset: u64) -> Reply {
    match blobs.part(digest, offset, MAX_CHUNK) {
        Ok(part) => Reply::Blob(part.map(|(total, bytes)| BlobPart {
            total,
            bytes: bytes.into(),
        })),
        Err(e) => Reply::Refused(format!("it can't be read here: {e}")),
    }
}

/// Begins to fetch the data of a plan that this node could carry, and tells how much is missing.
async fn take(fetcher: &Fetcher, room: &EngineHost, plan: &Arc<[u8]>, from: &[Peer]) -> Reply {
    let unable = |why: String| Reply::Data {
        missing: 0,
        unable: Some(why),
    };
    let bytes = plan.clone();
    let parsed = tokio::task::spawn_blocking(move || Plan::from_bytes(&bytes));
    let plan = match parsed.await {
        Ok(Ok(plan)) => plan,
        Ok(Err(e)) => return unable(e.to_string()),
        Err(e) => return Reply::Refused(e.to_string()),
    };
    let waiting = |data| fetcher.missing(data) > 0;
    if plan.task.data().any(|(_, data)| waiting(data))
        && let Some(why) = room.unable(&plan, false).await
    {
        return unable(why);
    }
    let mut missing = 0;
    for (_, data) in plan.task.data() {
        // How it ends is of no interest: what is missing is asked for again.
        if let Err(why) = fetcher.want(data, from) {
            return Reply::Refused(why);
        }
        missing += fetcher.missing(data);
    }
    Reply::Data {
        missing,
        unable: None,
    }
}

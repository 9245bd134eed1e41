//! Tests that wait for their start: for the swarm to have enough nodes, and for their data.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::data_files::{DataError, DataFiles, PlanData};
use crate::handle::{CommandError, StartOptions};
use crate::plans::spec_of;
use vajra_core::protocol::{Node, Peer, TestId, Time};
use vajra_network as network;
use vajra_plan::Plan;
use vajra_task::TaskContext;

/// The reply to a start.
pub type StartReply = oneshot::Sender<Result<TestId, CommandError>>;

/// A test that waits for its start.
pub struct PendingStart {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The reply to the caller.
    pub reply: StartReply,
    /// The plan's data, if it has any.
    pub data: Option<PlanData>,
    /// Number of nodes to wait for, including this one.
    min_nodes: u32,
    /// The other nodes have had time to fetch the data.
    is_distributed: bool,
}

/// What a pending start needs next.
pub enum Next {
    /// The other nodes should fetch the data first.
    Distribute(PendingStart),
    /// It can start.
    Start(PendingStart),
}

/// The tests that wait for their start.
#[derive(Default)]
pub struct Starts {
    waiting: Vec<PendingStart>,
}

impl PendingStart {
    /// A start as requested.
    pub fn new(plan: Arc<Plan>, options: &StartOptions, reply: StartReply) -> PendingStart {
        PendingStart {
            plan,
            reply,
            data: None,
            min_nodes: options.wait_for,
            is_distributed: false,
        }
    }

    /// Whether the plan has data files.
    pub fn has_data(&self) -> bool {
        self.plan.task.data().next().is_some()
    }

    /// Reads the data, which must be on this node. Answers the caller and returns nothing if it
    /// cannot be used.
    pub fn read_data(
        mut self,
        files: &DataFiles,
        context: &Arc<TaskContext>,
    ) -> impl Future<Output = Option<PendingStart>> + Send + use<> {
        let blobs = files.blobs().clone();
        let read = files.read(context, &self.plan);
        async move {
            let error = match read.await {
                Ok(data) => {
                    self.data = Some(data);
                    return Some(self);
                }
                Err(e) => e,
            };
            let name = match &error {
                DataError::Table { name, .. } | DataError::Fetch { name, .. } => name.as_str(),
                DataError::Failed(_) => "",
            };
            let data = self.plan.task.data().find(|(n, _)| n.as_str() == name);
            let digest = data.map(|(_, data)| data.digest);
            let absent = digest.filter(|digest| blobs.has(*digest).is_none());
            let advice = absent.map_or_else(String::new, |digest| {
                format!(": PUT the file to /api/v1/blobs/{digest} first")
            });
            // The caller may be gone.
            let _ = self.reply.send(Err(CommandError::Data {
                field: format!("data.{name}"),
                why: format!("{error}{advice}"),
            }));
            None
        }
    }

    /// Waits until all nodes that can run the plan have its data. Returns nothing if the caller is
    /// gone.
    pub fn distribute(
        mut self,
        core: &Node,
        now: Time,
        files: &DataFiles,
    ) -> impl Future<Output = Option<PendingStart>> + Send + use<> {
        let spec = spec_of(&self.plan);
        let adverts = core.members().live(now).map(|known| &known.advert);
        let able = adverts.filter(|a| spec.exclusion(&a.task_types, &a.labels).is_none());
        let nodes: Vec<Peer> = able.map(|a| a.node.peer.clone()).collect();
        tracing::info!("waiting for {} nodes to fetch the test's data", nodes.len());
        let distributed = files.distribute(nodes, &self.plan);
        self.is_distributed = true;
        async move {
            let not_ready = tokio::select! {
                not_ready = distributed => not_ready,
                () = self.reply.closed() => return None,
            };
            for (peer, why) in not_ready {
                tracing::warn!(
                    peer = network::show_peer(&peer),
                    "a node does not have the test's data at the start: {why}"
                );
            }
            Some(self)
        }
    }
}

impl Starts {
    /// Adds a start.
    pub fn add(&mut self, start: PendingStart) {
        self.waiting.push(start);
    }

    /// The starts that have enough nodes now.
    pub fn ready(&mut self, core: &Node, now: Time) -> Vec<Next> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let nodes = 1 + core.members().live(now).count();
        self.waiting.retain(|start| !start.reply.is_closed());
        let ready = self
            .waiting
            .extract_if(.., |start| nodes >= start.min_nodes as usize);
        let next = ready.map(|start| match start.data {
            Some(_) if !start.is_distributed && nodes > 1 => Next::Distribute(start),
            _ => Next::Start(start),
        });
        next.collect()
    }
}

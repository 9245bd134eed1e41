//! A test of the world, as seen from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_core::Hook;
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::{NodeId, TestId};

use crate::acts::Acts;
use crate::scenario::Plan;

/// A test.
#[derive(Debug)]
pub struct TestWorld {
    /// Random number of the submission.
    pub nonce: Seed,
    /// Id, once the test was submitted.
    pub id: TestId,
    /// Plan.
    pub plan: Plan,
    /// Bytes of the plan.
    pub bytes: Arc<[u8]>,
    /// True time of the submission.
    pub submitted: Option<Duration>,
    /// Electorate, once the test was submitted.
    pub electorate: Vec<NodeId>,
    /// True time of the first start of the profile on any machine.
    pub started: Option<Duration>,
    /// True time of the last start. A later coordinator chooses another start if no reachable node
    /// knows one.
    pub started_last: Option<Duration>,
    /// True time at which a node last inspected the plan.
    pub inspected_last: Option<Duration>,
    /// True time, machine and incarnation of the first stop request.
    pub stopped: Option<(Duration, usize, u64)>,
    /// Whether a stop that is not graceful was requested.
    pub stopped_at_once: bool,
    /// Whether the load was scaled or paused.
    pub steered: bool,
    /// Number of starts of each hook.
    pub ran: BTreeMap<Hook, u32>,
    /// What all engines did.
    pub acts: Acts,
}

impl TestWorld {
    /// A test that was not submitted.
    pub fn new(nonce: Seed, plan: Plan) -> TestWorld {
        TestWorld {
            nonce,
            id: TestId(nonce.0),
            // The digest names the plan, so those of two tests must differ.
            bytes: vec![b'a' + nonce.0[0] % 26; plan.bytes].into(),
            plan,
            submitted: None,
            electorate: Vec::new(),
            started: None,
            started_last: None,
            inspected_last: None,
            stopped: None,
            stopped_at_once: false,
            steered: false,
            ran: BTreeMap::new(),
            acts: Acts::default(),
        }
    }
}

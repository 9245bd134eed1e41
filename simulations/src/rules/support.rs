//! Values and helpers of the rule checks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vajra_core::protocol::messages::TaskDescription;
use vajra_core::protocol::spec::{Balance, LocalNode, OnLost, TestSpec};
use vajra_core::protocol::{Incarnation, Keys, NodeId, Peer, TestId, Time};

use crate::keys::SimulatedKeys;

/// A rule that is not kept; the text describes the faulty behaviour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokenRule(pub &'static str);

pub fn ensure(kept: bool, otherwise: &'static str) -> Result<(), BrokenRule> {
    match kept {
        true => Ok(()),
        false => Err(BrokenRule(otherwise)),
    }
}

pub fn ms(ms: u64) -> Time {
    Time(ms as i64 * 1_000_000)
}

/// Node number `i`, at its first start.
pub fn node(i: u32) -> NodeId {
    NodeId {
        peer: Peer::new(&i.to_be_bytes()),
        incarnation: Incarnation(1),
    }
}

/// The test.
pub const TEST: TestId = TestId([7; 16]);

/// Keys of a node.
pub fn keys(node: &NodeId) -> Arc<dyn Keys> {
    Arc::new(SimulatedKeys(node.peer.clone()))
}

pub fn local(node: NodeId) -> LocalNode {
    LocalNode {
        node,
        name: "n".into(),
        version: "simulated".into(),
        capacity: 100,
        task_types: vec!["SLEEP".into()],
        labels: BTreeMap::new(),
        environment: String::new(),
    }
}

pub fn spec(on_lost: OnLost) -> TestSpec {
    TestSpec {
        length: Duration::from_secs(60),
        end: Duration::from_secs(60),
        setup: None,
        teardown: None,
        grace: Duration::from_secs(1),
        min_workers: 1,
        balance: Balance::Equal,
        on_lost,
        users: None,
        requests: None,
        labels: BTreeMap::new(),
        task: TaskDescription {
            task_type: "SLEEP".into(),
            ..TaskDescription::default()
        },
    }
}

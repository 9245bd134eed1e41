//! The results of all nodes in one report.
//!
//! | module | contents |
//! |---|---|
//! | `input` | the plan, this node and the answers of all nodes |
//! | `plan` | the checks of the plan |
//! | `node` | the checks of one node |
//! | `combine` | one check over all nodes |
//! | `swarm` | the checks of the swarm as a whole |
//! | `text` | texts of checks |

mod combine;
mod input;
mod node;
mod plan;
mod swarm;
mod text;

use std::collections::BTreeMap;

use self::combine::combine;
pub use self::input::{CheckedNode, NodeAnswer, SwarmContext};
use self::node::checks_of;
use self::plan::{configuration, credentials};
use self::swarm::{able, capacity, idle, versions};
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::preflight::{PreflightNode, PreflightReport};

/// The checks of nodes in display order.
const ORDER: [&str; 9] = [
    "network",
    "plan",
    "able",
    "target",
    "descriptors",
    "ports",
    "memory",
    "cpu",
    "clock",
];

/// Combines the answers of all nodes.
pub fn report(context: &SwarmContext<'_>, nodes: Vec<CheckedNode>) -> PreflightReport {
    let checked: Vec<(CheckedNode, Vec<Check>)> = nodes
        .into_iter()
        .map(|node| {
            let checks = checks_of(context, &node);
            (node, checks)
        })
        .collect();
    let mut checks = vec![configuration(context.plan)];
    checks.extend(credentials(context.plan));
    // Nodes and their checks by position in ORDER, name and subject.
    let mut groups: BTreeMap<_, Vec<(&str, &Check)>> = BTreeMap::new();
    for (node, of_node) in &checked {
        for check in of_node {
            let position = ORDER.iter().position(|name| *name == check.name);
            let key = (
                position.unwrap_or(ORDER.len()),
                check.name.as_str(),
                check.subject.as_str(),
            );
            groups.entry(key).or_default().push((&node.name, check));
        }
    }
    let nodes: Vec<&CheckedNode> = checked.iter().map(|(node, _)| node).collect();
    checks.push(versions(&nodes, context.version));
    for ((_, name, _), group) in &groups {
        checks.push(match *name {
            "able" => able(context.plan, group),
            _ => combine(group, checked.len() == 1),
        });
    }
    if !groups.keys().any(|(_, name, _)| *name == "able") {
        checks.push(able(context.plan, &[]));
    }
    checks.push(capacity(context.plan, &nodes));
    checks.push(idle(&nodes));
    let verdict = checks.iter().map(|c| c.finding).max();
    PreflightReport {
        schema: 1,
        verdict: verdict.unwrap_or(Finding::Pass).max(Finding::Pass),
        plan: context
            .digest
            .0
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
        checks: checks.into_iter().map(Into::into).collect(),
        nodes: checked
            .into_iter()
            .map(|(node, checks)| PreflightNode {
                able: node.is_able(),
                peer: node.peer,
                name: node.name,
                is_self: node.is_self,
                version: node.version,
                checks: checks.into_iter().map(Into::into).collect(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;

//! Tables of nodes and of tests.

use super::layout::{Align::*, fit, table};
use vajra_results::{NodeEntry, NodeHealth, NodeList, TestList, state_name, units};

/// Number of last characters of a peer id that are shown: the first ones are the same for all
/// nodes, and the command line accepts the last ones as an abbreviation.
const PEER_TAIL: usize = 8;

/// The table of nodes, and their capacity together.
pub fn nodes(list: &NodeList) -> String {
    let rows: Vec<[String; 6]> = list.nodes.iter().map(node).collect();
    let head = [
        ("node", Left),
        ("state", Left),
        ("load", Right),
        ("labels", Left),
        ("address", Left),
        ("peer", Left),
    ];
    let p = &list.pool;
    format!(
        "{}\n  {} of {} nodes healthy, {} of {} tasks running; * is the answering node\n",
        table(head, &rows),
        p.healthy,
        p.total,
        units::count(p.load),
        units::count(p.capacity),
    )
}

fn node(n: &NodeEntry) -> [String; 6] {
    let labels: Vec<String> = n.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let address = n.addresses.first().map_or("", String::as_str);
    // The peer id follows, which has a column of its own.
    let address = address.split("/p2p/").next().unwrap_or_default();
    let tail = n.peer.len().saturating_sub(PEER_TAIL);
    [
        match n.is_self {
            true => format!("{} *", fit(&n.name, 15)),
            false => fit(&n.name, 17),
        },
        match n.health {
            NodeHealth::Healthy => n.status.to_string(),
            other => other.to_string(),
        },
        format!("{}/{}", n.load, n.capacity),
        fit(&labels.join(","), 12),
        fit(address, 29),
        format!("…{}", n.peer.get(tail..).unwrap_or(&n.peer)),
    ]
}

/// The table of tests, newest first.
pub fn tests(list: &TestList) -> String {
    if list.tests.is_empty() {
        return "  no tests yet; `vajra-node start-test URL --rate 100 --duration 10s` starts one\n".into();
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let rows: Vec<[String; 5]> = list
        .tests
        .iter()
        .map(|t| {
            [
                fit(&t.test_id, 36),
                fit(&or_none(t.name.clone()), 16),
                state_name(t.state).to_owned(),
                or_none(t.verdict.map(|v| v.to_string())),
                // Without milliseconds; the result has them.
                fit(
                    or_none(t.started_at.clone())
                        .split('.')
                        .next()
                        .unwrap_or_default(),
                    19,
                ),
            ]
        })
        .collect();
    let head = ["test", "name", "state", "verdict", "started (UTC)"];
    table(head.map(|title| (title, Left)), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;
    use unicode_width::UnicodeWidthStr as _;
    use vajra_core::protocol::messages::TestState;
    use vajra_results::{NodeStatus, Pool, TestEntry, Verdict};

    fn entry(name: &str, is_self: bool) -> NodeEntry {
        NodeEntry {
            peer: format!("12D3KooWEqnTdgqHnkkwarSrJjMeP2LJKpAyWaLbVxpG{name:0>8.8}"),
            incarnation: 1,
            name: name.into(),
            is_self,
            addresses: vec!["/ip4/10.0.0.5/tcp/7400/p2p/12D3KooW".into()],
            version: "0.1.0".into(),
            status: NodeStatus::Idle,
            health: NodeHealth::Healthy,
            capacity: 1_000,
            load: 0,
            task_types: vec!["HTTP".into()],
            ..NodeEntry::default()
        }
    }

    #[test]
    fn the_table_of_nodes_has_state_load_labels_and_address() {
        let mut late = entry("beta", false);
        late.health = NodeHealth::Late;
        late.load = 12;
        late.labels.insert("region".into(), "eu".into());
        let nodes_ = vec![entry("alpha", true), late];
        let list = NodeList {
            pool: Pool::of(&nodes_),
            nodes: nodes_,
        };
        assert_eq!(
            nodes(&list),
            "  node     state     load  labels     address                 peer
  alpha *  idle    0/1000             /ip4/10.0.0.5/tcp/7400  …000alpha
  beta     late   12/1000  region=eu  /ip4/10.0.0.5/tcp/7400  …0000beta

  1 of 2 nodes healthy, 0 of 1,000 tasks running; * is the answering node
"
        );
    }

    #[test]
    fn the_widest_node_fits_the_page() {
        let long = "x".repeat(253);
        let mut node = entry(&long, false);
        node.addresses = vec![format!("/dns4/{long}/tcp/7400")];
        node.labels.insert(long.clone(), long.clone());
        (node.status, node.capacity, node.load) = (NodeStatus::Overloaded, 99_999, 99_999);
        let list = NodeList {
            nodes: vec![node],
            pool: Pool::default(),
        };
        let shown = nodes(&list);
        let widest = shown.lines().map(|l| l.width()).max();
        assert!(widest <= Some(WIDTH), "{widest:?}\n{shown}");
    }

    #[test]
    fn tests_are_shown_with_their_verdict() {
        let test = |state, verdict: Option<Verdict>| TestEntry {
            test_id: "0199aaaa-0000-7000-8000-000000000001".into(),
            name: verdict.map(|_| "checkout".into()),
            state,
            verdict,
            started_at: verdict.map(|_| "2026-01-02T03:04:05.678Z".into()),
        };
        let list = TestList {
            tests: vec![
                test(TestState::Running, None),
                test(TestState::Ended, Some(Verdict::Degraded)),
            ],
        };
        assert_eq!(
            tests(&list),
            "  test                                  name      state    verdict   started (UTC)
  0199aaaa-0000-7000-8000-000000000001  –         running  –         –
  0199aaaa-0000-7000-8000-000000000001  checkout  ended    degraded  2026-01-02T03:04:05
"
        );
        assert!(tests(&TestList { tests: Vec::new() }).contains("start-test"));
    }
}

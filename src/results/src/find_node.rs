//! Finds a node by its name or peer id.

use super::lists::NodeEntry;

/// Shortest accepted part of a peer id. A shorter one is more likely a mistake.
const MIN_PART: usize = 4;
/// Most peer ids listed in an error.
const MAX_LISTED: usize = 5;

/// Not exactly one node matches.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindNodeError {
    /// No node matches.
    #[error("no node {0:?} in this swarm; `vajra-node nodes` lists the nodes")]
    None(String),
    /// Several nodes match.
    #[error("{} nodes match {wanted:?}: {}; give the full peer id", peers.len(), listed(peers))]
    Several {
        /// The name or part of a peer id.
        wanted: String,
        /// The peer ids of the nodes.
        peers: Vec<String>,
    },
}

fn listed(peers: &[String]) -> String {
    let shown = peers[..peers.len().min(MAX_LISTED)].join(", ");
    match peers.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The node with this peer id, unique prefix or suffix of one, or name as configured or as shown; or
/// `self` for the answering node. A full peer id or name takes precedence over prefixes and suffixes.
///
/// # Errors
/// No node matches, or several do.
pub fn find_node<'a>(nodes: &'a [NodeEntry], wanted: &str) -> Result<&'a NodeEntry, FindNodeError> {
    let is_exact = |n: &NodeEntry| match wanted {
        "self" => n.is_self,
        _ => n.peer == wanted || n.name == wanted || n.configured_name == wanted,
    };
    let is_partial = |n: &NodeEntry| {
        wanted.len() >= MIN_PART && (n.peer.starts_with(wanted) || n.peer.ends_with(wanted))
    };
    let mut found: Vec<&NodeEntry> = nodes.iter().filter(|n| is_exact(n)).collect();
    if found.is_empty() {
        found = nodes.iter().filter(|n| is_partial(n)).collect();
    }
    match found.as_slice() {
        [node] => Ok(node),
        [] => Err(FindNodeError::None(wanted.to_owned())),
        several => Err(FindNodeError::Several {
            wanted: wanted.to_owned(),
            peers: several.iter().map(|n| n.peer.clone()).collect(),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(peer: &str, configured: &str, shown: &str) -> NodeEntry {
        NodeEntry {
            peer: peer.into(),
            name: shown.into(),
            configured_name: configured.into(),
            ..NodeEntry::default()
        }
    }

    fn nodes() -> [NodeEntry; 3] {
        [
            entry("12D3KooWaaaa", "load", "load (12D3…aaaa)"),
            entry("12D3KooWbbbb", "load", "load (12D3…bbbb)"),
            entry("12D3KooWcccc", "other", "other"),
        ]
    }

    #[test]
    fn a_node_is_found_by_each_of_its_names_and_by_its_peer_id() {
        for (wanted, peer) in [
            ("load (12D3…bbbb)", "12D3KooWbbbb"),
            ("other", "12D3KooWcccc"),
            ("12D3KooWa", "12D3KooWaaaa"),
            ("bbbb", "12D3KooWbbbb"),
        ] {
            let nodes = nodes();
            assert_eq!(find_node(&nodes, wanted).unwrap().peer, peer, "{wanted}");
        }
        let alone = [entry("12D3KooWdddd", "load", "load (12D3…dddd)")];
        assert_eq!(find_node(&alone, "load").unwrap().peer, "12D3KooWdddd");
    }

    #[test]
    fn nodes_with_the_same_configured_name_are_listed_with_their_ids() {
        assert_eq!(
            find_node(&nodes(), "load").unwrap_err().to_string(),
            "2 nodes match \"load\": 12D3KooWaaaa, 12D3KooWbbbb; give the full peer id"
        );
        let many: Vec<NodeEntry> = (0..9).map(|i| entry(&format!("p{i}"), "x", "y")).collect();
        assert_eq!(
            find_node(&many, "x").unwrap_err().to_string(),
            "9 nodes match \"x\": p0, p1, p2, p3, p4 and 4 more; give the full peer id"
        );
        for absent in ["absent", "", "aaa"] {
            let e = find_node(&nodes(), absent).unwrap_err();
            assert_eq!(e, FindNodeError::None(absent.into()));
        }
    }
}

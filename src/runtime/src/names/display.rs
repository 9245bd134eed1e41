//! Names for display: unique in a list. Where names are the same, the short peer id is added:
//! `name (12D3…abcd)`.

use std::collections::{BTreeMap, BTreeSet};

use super::with_suffix;
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Node, NodeId, Peer};
use vajra_network as network;

/// Characters at the start of a short peer id.
const HEAD: usize = 4;
/// Characters at its end; more where these do not distinguish the peers.
const TAIL: usize = 4;

/// Names as shown to people: unique for each peer of a list.
#[derive(Debug, Default)]
pub struct DisplayNames {
    /// The texts of peers with the same name.
    alike: BTreeMap<(Peer, String), String>,
}

impl DisplayNames {
    /// For a list of peers and their names.
    pub fn of<'a>(list: impl IntoIterator<Item = (&'a Peer, &'a str)>) -> DisplayNames {
        let mut by_name: BTreeMap<&str, BTreeSet<&Peer>> = BTreeMap::new();
        for (peer, name) in list {
            by_name.entry(name).or_default().insert(peer);
        }
        let mut alike = BTreeMap::new();
        for (name, peers) in by_name.into_iter().filter(|(_, peers)| peers.len() > 1) {
            let ids: Vec<String> = peers.iter().map(|p| network::show_peer(p)).collect();
            for (peer, id) in peers.into_iter().zip(short_ids(&ids)) {
                let text = match name.is_empty() {
                    true => id,
                    false => with_suffix(name, &format!(" ({id})")),
                };
                alike.insert((peer.clone(), name.to_owned()), text);
            }
        }
        DisplayNames { alike }
    }

    /// For the nodes of a test, or of the swarm. The names of a test's nodes do not depend on the
    /// rest of the swarm, so that all nodes show the same ones.
    pub fn of_swarm(core: &Node, t: Option<&TestRun>) -> DisplayNames {
        if let Some(t) = t {
            let nodes = t.merge().workers().keys();
            let nodes = nodes.chain(t.tenures().iter().map(|tenure| &tenure.node));
            let named = nodes.map(|node| (&node.peer, name_of(core, t, node)));
            return DisplayNames::of(named.filter(|(_, name)| !name.is_empty()));
        }
        let me = core.local();
        let others = core.members().all();
        let others = others.filter(|known| known.advert.status != Status::Leaving);
        let mut list = vec![(&me.node.peer, me.name.as_str())];
        list.extend(others.map(|k| (&k.advert.node.peer, k.advert.name.as_str())));
        DisplayNames::of(list)
    }

    /// The text for a peer with this name.
    pub fn show(&self, peer: &Peer, name: &str) -> String {
        let key = (peer.clone(), name.to_owned());
        self.alike.get(&key).cloned().unwrap_or(key.1)
    }
}

/// The name of a node that takes part in a test; empty if it is not known.
pub fn name_of<'a>(core: &'a Node, t: &'a TestRun, node: &NodeId) -> &'a str {
    let me = core.local();
    let roster = t.ended().map_or(&[][..], |ended| &ended.roster[..]);
    let listed = roster.iter().find(|entry| entry.worker == *node);
    let listed = listed.map(|entry| entry.name.as_str());
    let advertised = core.members().get(&node.peer);
    let advertised = advertised.map(|known| known.advert.name.as_str());
    let advertised = match node.peer == me.node.peer {
        true => Some(me.name.as_str()),
        false => advertised,
    };
    let listed = listed.filter(|name| !name.is_empty());
    listed.or(advertised).unwrap_or_default()
}

/// Peer ids, shortened to start and end where that leaves them distinct.
fn short_ids(ids: &[String]) -> Vec<String> {
    let longest = ids.iter().map(String::len).max().unwrap_or(0);
    for tail in TAIL..longest.saturating_sub(HEAD) {
        let short: Vec<String> = ids.iter().map(|id| short_id(id, tail)).collect();
        if short.iter().collect::<BTreeSet<_>>().len() == ids.len() {
            return short;
        }
    }
    ids.to_vec()
}

fn short_id(id: &str, tail: usize) -> String {
    let end = id.len().saturating_sub(tail);
    match (id.get(..HEAD), id.get(end..)) {
        (Some(head), Some(tail)) if end > HEAD => format!("{head}…{tail}"),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_network::Identity;
    use vajra_wire::limits::MAX_NAME;

    #[test]
    fn displayed_names_of_a_list_are_unique() {
        let peers: Vec<Peer> = (0..40).map(|_| Identity::ephemeral().peer()).collect();
        let names = |i: usize| ["same", "", "other"][i % 3];
        let list = || peers.iter().enumerate().map(|(i, p)| (p, names(i)));
        let display = DisplayNames::of(list());
        let shown: BTreeSet<String> = list().map(|(p, name)| display.show(p, name)).collect();
        assert_eq!(shown.len(), peers.len());
        let id = network::show_peer(&peers[0]);
        let first = display.show(&peers[0], "same");
        assert!(
            first.starts_with(&format!("same ({}…", &id[..HEAD])),
            "{first}"
        );
        assert!(
            first.ends_with(&format!("{})", &id[id.len() - TAIL..])),
            "{first}"
        );
    }

    #[test]
    fn unique_names_and_repeated_peers_are_shown_as_they_are() {
        let [a, b] = [Identity::ephemeral().peer(), Identity::ephemeral().peer()];
        let display = DisplayNames::of([(&a, "a"), (&b, "b"), (&a, "a")]);
        assert_eq!(display.show(&a, "a"), "a");
        assert_eq!(display.show(&b, "b"), "b");
    }

    #[test]
    fn short_ids_grow_until_they_differ() {
        let ids = ["12D3KooWAAAAxxxx".to_owned(), "12D3KooWAAABxxxx".to_owned()];
        assert_eq!(short_ids(&ids), ["12D3…Axxxx", "12D3…Bxxxx"]);
        let same_tail = ["abcd1".to_owned(), "abcd2".to_owned()];
        assert_eq!(short_ids(&same_tail), same_tail);
    }

    #[test]
    fn a_displayed_name_is_within_the_limit_of_names() {
        let long = "x".repeat(MAX_NAME);
        let peers = [Peer::new(&[1; 38]), Peer::new(&[2; 38])];
        let names = DisplayNames::of(peers.iter().map(|peer| (peer, long.as_str())));
        let shown: Vec<String> = peers.iter().map(|peer| names.show(peer, &long)).collect();
        assert_ne!(shown[0], shown[1]);
        assert!(shown.iter().all(|name| name.len() <= MAX_NAME), "{shown:?}");
    }
}

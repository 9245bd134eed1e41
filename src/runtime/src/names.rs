//! Names of nodes: unique default names, and unique texts for display.
//!
//! Several nodes on one host would all have the host's name. A node with a default name therefore
//! looks for other nodes with the same name. Among equal names the node with the smallest peer id
//! keeps its name, and each other one takes the smallest free number: `host-2`, `host-3`, … A name
//! is kept until another node with a smaller peer id has it too, so names do not alternate.
//!
//! Names from the configuration never change. Where they are alike, texts for display add the short
//! peer id: `name (12D3…abcd)`.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::NodeName;
use vajra_core::protocol::membership::Health;
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::test_run::TestRun;
use vajra_core::protocol::{Node, NodeId, Peer, Time};
use vajra_network as network;
use vajra_wire::limits::MAX_NAME;

/// Characters at the start of a short peer id.
const HEAD: usize = 4;
/// Characters at its end; more where these do not distinguish the peers.
const TAIL: usize = 4;

/// Another node, from the point of view of [`new_name`].
#[derive(Clone, Copy, Debug)]
pub struct NamedPeer<'a> {
    /// Its peer id.
    pub peer: &'a Peer,
    /// Its name.
    pub name: &'a str,
    /// It takes part in the swarm now. The name of an absent node stays reserved.
    pub is_live: bool,
}

/// The name that a node with the default name `base` changes to, or none if it keeps `current`.
pub fn new_name<'a>(
    base: &str,
    current: &str,
    own: &Peer,
    others: impl Iterator<Item = NamedPeer<'a>>,
) -> Option<String> {
    let mut taken = BTreeSet::new();
    let mut must_change = false;
    for other in others {
        taken.insert(other.name);
        must_change |= other.is_live && other.name == current && other.peer < own;
    }
    if !must_change {
        return None;
    }
    let numbered = (2_u64..).map(|number| numbered(base, number));
    let mut free = numbered.filter(|name| !taken.contains(name.as_str()));
    free.next()
}

fn numbered(base: &str, number: u64) -> String {
    with_suffix(base, &format!("-{number}"))
}

/// A name with a suffix. The name is shortened so that both fit [`MAX_NAME`].
fn with_suffix(base: &str, suffix: &str) -> String {
    let mut end = base.len().min(MAX_NAME.saturating_sub(suffix.len()));
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &base[..end])
}

/// The name that this node changes to now, or none if it keeps its name.
pub fn own_new_name(configured: &NodeName, core: &Node, now: Time) -> Option<String> {
    if !configured.is_default {
        return None;
    }
    let me = core.local();
    let others = core.members().all();
    let others = others.filter(|known| known.advert.status != Status::Leaving);
    let others = others.map(|known| NamedPeer {
        peer: &known.advert.node.peer,
        name: &known.advert.name,
        is_live: known.health(now) != Health::Gone,
    });
    new_name(&configured.text, &me.name, &me.node.peer, others)
}

/// Names as shown to people: unique for each peer of a list.
#[derive(Debug, Default)]
pub struct DisplayNames {
    /// The texts of peers whose names are alike.
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

    fn peer(i: u8) -> Peer {
        Peer::new(&[i])
    }

    /// Nodes with the default name `host`: exchanges names until none changes, in `order`.
    fn settle(order: &[u8], names: &mut BTreeMap<u8, String>) -> usize {
        for round in 0..20 {
            let before = names.clone();
            for own in order {
                let ids: Vec<(Peer, String)> = before
                    .iter()
                    .filter(|(i, _)| *i != own)
                    .map(|(i, name)| (peer(*i), name.clone()))
                    .collect();
                let others = ids.iter().map(|(peer, name)| NamedPeer {
                    peer,
                    name,
                    is_live: true,
                });
                if let Some(name) = new_name("host", &before[own], &peer(*own), others) {
                    names.insert(*own, name);
                }
            }
            if *names == before {
                return round;
            }
        }
        panic!("names do not settle: {names:?}");
    }

    #[test]
    fn among_equal_names_the_smallest_peer_id_keeps_it_and_the_others_take_free_numbers() {
        let mut names: BTreeMap<u8, String> = (1..=5).map(|i| (i, "host".to_owned())).collect();
        settle(&[3, 1, 5, 2, 4], &mut names);
        let all: BTreeSet<&String> = names.values().collect();
        assert_eq!(names[&1], "host");
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            ["host", "host-2", "host-3", "host-4", "host-5"]
        );
        // Settled names stay as they are.
        let settled = names.clone();
        assert_eq!(settle(&[1, 2, 3, 4, 5], &mut names), 0);
        assert_eq!(names, settled);
    }

    #[test]
    fn a_name_stays_when_the_node_with_the_plain_name_leaves() {
        let mut names = BTreeMap::from([(2, "host-2".to_owned()), (3, "host-3".to_owned())]);
        assert_eq!(settle(&[2, 3], &mut names), 0);
        // A node that joins takes the plain name.
        names.insert(9, "host".into());
        assert_eq!(settle(&[2, 3, 9], &mut names), 0);
    }

    #[test]
    fn an_absent_node_causes_no_change_but_its_name_stays_reserved() {
        let (first, second) = (peer(1), peer(2));
        let named = |peer, name, is_live| NamedPeer {
            peer,
            name,
            is_live,
        };
        let own = peer(3);
        let absent = [named(&first, "host", false)];
        assert_eq!(new_name("host", "host", &own, absent.into_iter()), None);
        let reserved = [named(&first, "host", true), named(&second, "host-2", false)];
        let changed = new_name("host", "host", &own, reserved.into_iter());
        assert_eq!(changed.as_deref(), Some("host-3"));
    }

    #[test]
    fn a_numbered_name_stays_within_the_limit() {
        let long = "ä".repeat(MAX_NAME / 2);
        let name = numbered(&long, 12);
        assert!(name.ends_with("-12") && name.len() <= MAX_NAME, "{name}");
        assert_eq!(numbered("host", 2), "host-2");
    }

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

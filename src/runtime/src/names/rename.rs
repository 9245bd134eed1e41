//! Unique default names.
//!
//! Several nodes on one host would all have the host's name. A node with a default name therefore
//! looks for other nodes with the same name. Among equal names the node with the smallest peer id
//! keeps its name, and the others take free numbers in the order of their peer ids: `host-2`,
//! `host-3`, … A name is kept until another node with a smaller peer id has it too, so names do not
//! alternate. Names from the configuration never change.
//!
//! A member that always advertises the newest name of another node could make it change its name
//! for ever. The time between two changes therefore doubles.

use std::collections::BTreeSet;
use std::time::Duration;

use super::with_suffix;
use crate::config::NodeName;
use vajra_core::protocol::membership::Health;
use vajra_core::protocol::messages::Status;
use vajra_core::protocol::{Node, Peer, Time};

/// Shortest time between two changes of the name. All nodes of a host have distinct names after one
/// or two changes, so an honest swarm rarely waits longer.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest time between two changes.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Another node, from the point of view of [`new_name`].
#[derive(Clone, Copy, Debug)]
struct NamedPeer<'a> {
    peer: &'a Peer,
    name: &'a str,
    /// It takes part in the swarm now. The name of an absent node stays reserved.
    is_live: bool,
}

/// Changes the name of this node while another node has it too.
#[derive(Debug)]
pub struct Renaming {
    /// The default name; none if the name was configured.
    base: Option<String>,
    /// Earliest time of the next change.
    next_at: Time,
    /// Time after that change until the one after it.
    wait: Duration,
}

impl Renaming {
    /// For a node with this name.
    pub fn new(name: NodeName) -> Renaming {
        Renaming {
            base: name.is_default.then_some(name.text),
            next_at: Time::ZERO,
            wait: FIRST_WAIT,
        }
    }

    /// The name that this node changes to now, or none if it keeps its name.
    pub fn new_name(&mut self, core: &Node, now: Time) -> Option<String> {
        let me = core.local();
        let others = core.members().all();
        let others = others.filter(|known| known.advert.status != Status::Leaving);
        let others = others.map(|known| NamedPeer {
            peer: &known.advert.node.peer,
            name: &known.advert.name,
            is_live: known.health(now) != Health::Gone,
        });
        self.among(others, &me.name, &me.node.peer, now)
    }

    fn among<'a>(
        &mut self,
        others: impl Iterator<Item = NamedPeer<'a>>,
        current: &str,
        own: &Peer,
        now: Time,
    ) -> Option<String> {
        let base = self.base.as_ref()?;
        if now < self.next_at {
            return None;
        }
        let name = new_name(base, current, own, others)?;
        self.next_at = now + self.wait;
        self.wait = (2 * self.wait).min(MAX_WAIT);
        Some(name)
    }
}

/// The name that a node with the default name `base` changes to, or none if it keeps `current`.
fn new_name<'a>(
    base: &str,
    current: &str,
    own: &Peer,
    others: impl Iterator<Item = NamedPeer<'a>>,
) -> Option<String> {
    let mut taken = BTreeSet::new();
    // Live nodes that have the same name and precede this one.
    let mut preceding = BTreeSet::new();
    for other in others {
        taken.insert(other.name);
        if other.is_live && other.name == current && other.peer < own {
            preceding.insert(other.peer);
        }
    }
    // The first of them keeps its name, and each other one takes a free name too.
    let position = preceding.len().checked_sub(1)?;
    let numbered = (2_u64..).map(|number| numbered(base, number));
    let mut free = numbered.filter(|name| !taken.contains(name.as_str()));
    free.nth(position)
}

fn numbered(base: &str, number: u64) -> String {
    with_suffix(base, &format!("-{number}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use vajra_wire::limits::MAX_NAME;

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
    fn many_nodes_with_one_name_have_distinct_names_after_one_change() {
        let mut names: BTreeMap<u8, String> = (1..=100).map(|i| (i, "host".to_owned())).collect();
        let order: Vec<u8> = (1..=100).collect();
        // The second round changes nothing.
        assert_eq!(settle(&order, &mut names), 1);
        assert_eq!(names.values().collect::<BTreeSet<_>>().len(), 100);
    }

    /// Times in seconds at which a node changes its name within an hour, while another member
    /// advertises its newest name at every look.
    fn changes_with_an_imitator(name: NodeName) -> Vec<u64> {
        let (imitator, own) = (peer(1), peer(2));
        let mut current = name.text.clone();
        let mut renaming = Renaming::new(name);
        let mut changes = Vec::new();
        for second in 0..=3600 {
            let imitated = current.clone();
            let others = [NamedPeer {
                peer: &imitator,
                name: &imitated,
                is_live: true,
            }];
            let now = Time::ZERO + Duration::from_secs(second);
            if let Some(name) = renaming.among(others.into_iter(), &current, &own, now) {
                assert_ne!(name, current);
                current = name;
                changes.push(second);
            }
        }
        changes
    }

    #[test]
    fn a_member_that_always_takes_the_newest_name_causes_ever_fewer_changes() {
        let name = NodeName {
            text: "host".into(),
            is_default: true,
        };
        assert_eq!(
            changes_with_an_imitator(name),
            [
                0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1623, 2223, 2823, 3423
            ]
        );
        assert_eq!(
            changes_with_an_imitator(NodeName::configured("host")),
            Vec::<u64>::new()
        );
    }
}

//! The swarm over libp2p: identity, discovery, gossip and requests.
//!
//! [`spawn`] starts the network as a task on the current runtime. It returns a cloneable
//! [`NetworkHandle`] for commands and a receiver of [`NetworkEvent`]s; both channels are bounded.
//! Bytes are decoded and checked here (by `vajra-wire`), so callers see protocol values only.
//!
//! Guarantees:
//! - The network looks for its swarm as long as it runs: it redials bootstrap addresses, peers known
//!   from disk and peers found by mDNS, with exponential back-off. It also dials peers that it
//!   learns of from others, so that a swarm of up to fifty nodes is fully connected and survives the
//!   loss of any of them.
//! - Only peers that identify with the name of this swarm are reported. Others are disconnected and
//!   not dialled for ten minutes. With a swarm key, the handshake with any other node fails.
//! - Gossip is signed and its author authenticated. Malformed messages are rejected here and not
//!   delivered.
//! - The event loop never waits for the receiver of its events. When the receiver falls behind,
//!   gossip and requests are dropped and counted ([`NetworkStats`]); replies, connects and
//!   disconnects are queued.
//! - Every queue, table and message has a limit: a constant whose documentation gives the reason.
//!
//! The network does not interpret messages: the caller decides whether gossip is forwarded
//! ([`NetworkHandle::set_acceptance`]) and answers requests ([`NetworkHandle::reply`]).
//!
//! | module | contents |
//! |---|---|
//! | `config`, `handle`, `event`, `stats` | the interface: settings, commands, events, counters |
//! | `identity`, `keys`, `data_dir`, `swarm_key`, `swarm_name` | the node's key, signatures and directory, the swarm's key and name |
//! | `event_loop`, `io`, `outbox` | the task, and what all its parts share |
//! | `connections`, `listeners`, `gossip`, `requests` | the parts, each with its own state |
//! | `discovery`, `address_book`, `bootstrap`, `kademlia_walks`, `known_peers` | finding and dialling peers |
//! | `behaviour`, `codec`, `keep_alive` | libp2p protocols and their limits |

mod address;
mod address_book;
mod backoff;
mod behaviour;
mod bootstrap;
mod codec;
mod config;
mod connections;
mod data_dir;
mod discovery;
mod event;
mod event_loop;
mod files;
mod gossip;
mod handle;
mod identity;
mod io;
mod kademlia_walks;
mod keep_alive;
mod keys;
mod known_peers;
mod known_peers_writer;
mod listeners;
mod outbox;
mod requests;
mod stats;
mod swarm_key;
mod swarm_name;
#[cfg(test)]
mod tests;
mod wall_clock;

pub use address::{
    AddressError, MAX_RESOLVED, check_bootstrap, check_listen, parse_peer, show_peer,
};
pub use behaviour::SetupError;
pub use config::{NetworkConfig, NetworkError};
pub use data_dir::{Damage, DataDir, DataDirError};
pub use event::{EVENT_QUEUE, GossipTicket, Link, NetworkEvent, RequestFailed, RequestTicket};
pub use event_loop::{Running, spawn};
pub use handle::{COMMAND_QUEUE, NetworkHandle};
pub use identity::Identity;
pub use keys::SwarmKeys;
pub use known_peers::{KnownPeers, MAX_KNOWN};
pub use libp2p::Multiaddr;
pub use libp2p::identity::Keypair;
pub use stats::{MAX_OFFENDERS, NetworkStats, Offences};
pub use swarm_key::{SwarmKey, SwarmKeyError};
pub use swarm_name::{SwarmName, SwarmNameError};

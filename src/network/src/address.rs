//! Multiaddresses: which can be dialled or listened on, and the DNS names in bootstrap
//! addresses. Only `/ip4|ip6/…/tcp/…` ever reaches the transport.

use std::net::IpAddr;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use vajra_core::protocol::Peer;

/// Most addresses taken from one DNS answer: a headless service of that many nodes is
/// bootstrap enough.
pub const MAX_RESOLVED: usize = 16;

/// A DNS answer later than this counts as none.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// What is wrong with an address that was typed in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Not dialable as a bootstrap address.
    #[error(
        "bootstrap address {0} is not of the form /ip4/ADDR/tcp/PORT, /ip6/ADDR/tcp/PORT or \
         /dns/NAME/tcp/PORT, each with an optional /p2p/PEER"
    )]
    Bootstrap(Multiaddr),
    /// Not an address to listen on.
    #[error("listen address {0} is not of the form /ip4/ADDR/tcp/PORT or /ip6/ADDR/tcp/PORT")]
    Listen(Multiaddr),
}

/// Checks the form of a bootstrap address.
///
/// # Errors
/// [`AddressError::Bootstrap`] if the address can never be dialled.
pub fn check_bootstrap(address: &Multiaddr) -> Result<(), AddressError> {
    let (bare, _) = split_peer(address);
    let mut parts = bare.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    let port = matches!(parts.next(), Some(Protocol::Tcp(port)) if port != 0);
    if host && port && parts.next().is_none() {
        Ok(())
    } else {
        Err(AddressError::Bootstrap(address.clone()))
    }
}

/// Checks the form of a listen address; port 0 picks a free one.
///
/// # Errors
/// [`AddressError::Listen`] for anything but an IP address and a TCP port.
pub fn check_listen(address: &Multiaddr) -> Result<(), AddressError> {
    match socket(address) {
        Some(_) => Ok(()),
        None => Err(AddressError::Listen(address.clone())),
    }
}

/// A peer's usual text: base58, as in `/p2p/…`. Bytes that are no peer id are shown in hex.
pub fn show_peer(peer: &Peer) -> String {
    match peer_id(peer) {
        Some(id) => id.to_string(),
        None => format!("{peer:?}"),
    }
}

/// Reads what [`show_peer`] writes.
pub fn parse_peer(text: &str) -> Option<Peer> {
    text.parse().ok().map(|id| peer(&id))
}

/// A peer id as the protocol's opaque name.
pub(super) fn peer(id: &PeerId) -> Peer {
    Peer::new(&id.to_bytes())
}

/// The way back; `None` if the name is no peer id.
pub(super) fn peer_id(peer: &Peer) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}

/// An address without its `/p2p/…`, and the peer that was named there.
pub(super) fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut bare = address.clone();
    match bare.pop() {
        Some(Protocol::P2p(peer)) => (bare, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// An address with `/p2p/…` at its end.
pub(super) fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    let (bare, _) = split_peer(address);
    bare.with(Protocol::P2p(peer))
}

/// The IP address and TCP port of an address that has nothing else.
pub(super) fn socket(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None) => Some((ip, port)),
        _ => None,
    }
}

/// Whether a bare address that somebody told us can be dialled at all.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    socket(address)
        .is_some_and(|(ip, port)| port != 0 && !ip.is_unspecified() && !ip.is_multicast())
}

/// Whether an address means "this machine", whoever reads it.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().next().is_some_and(|first| match first {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// All IP addresses behind a bootstrap address. Left to the transport, a name with several
/// addresses would give whichever answers first, possibly this node itself.
pub(super) async fn resolve(address: Multiaddr) -> Result<Vec<Multiaddr>, String> {
    let mut parts = address.iter();
    let (name, v4, v6) = match parts.next() {
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Ok(vec![address]),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else {
        return Err("no TCP port".to_owned());
    };
    let lookup = tokio::net::lookup_host((name.as_ref(), port));
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup)
        .await
        .map_err(|_| format!("looking up {name} timed out"))?
        .map_err(|error| format!("looking up {name} failed: {error}"))?;
    let mut out: Vec<Multiaddr> = found
        .filter(|socket| if socket.is_ipv4() { v4 } else { v6 })
        .map(|socket| Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port())))
        .collect();
    out.sort();
    out.dedup();
    out.truncate(MAX_RESOLVED);
    if out.is_empty() {
        Err(format!("{name} has no address"))
    } else {
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bootstrap_address_needs_a_host_and_a_port_but_no_peer() {
        let peer = PeerId::random();
        for good in [
            "/ip4/10.0.0.1/tcp/7400",
            "/dns/seed.example/tcp/7400",
            "/ip6/::1/tcp/1",
        ] {
            assert_eq!(check_bootstrap(&address(good)), Ok(()));
            assert_eq!(check_bootstrap(&with_peer(&address(good), peer)), Ok(()));
        }
        for bad in [
            "/ip4/10.0.0.1",
            "/ip4/10.0.0.1/udp/1",
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/1.2.3.4/tcp/0",
        ] {
            assert!(check_bootstrap(&address(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_peer_can_be_reached_at_is_not_dialable() {
        assert!(is_dialable(&address("/ip4/10.0.0.1/tcp/7400")));
        for bad in [
            "/ip4/0.0.0.0/tcp/7400",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/224.0.0.1/tcp/1",
            "/dns/x/tcp/1",
        ] {
            assert!(!is_dialable(&address(bad)), "{bad}");
        }
    }

    #[test]
    fn a_peer_reads_back_what_it_prints() {
        let name = peer(&PeerId::random());
        assert_eq!(parse_peer(&show_peer(&name)), Some(name));
    }

    #[tokio::test]
    async fn an_ip_address_resolves_to_itself() {
        let ip = address("/ip4/127.0.0.1/tcp/9");
        assert_eq!(resolve(ip.clone()).await, Ok(vec![ip]));
    }
}

//! Multiaddresses: which ones can be dialled or listened on, and DNS names in bootstrap addresses.
//! Only `/ip4|ip6/…/tcp/…` reaches the transport.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use vajra_core::protocol::Peer;

/// Most addresses used of one DNS answer. The other nodes of a larger headless service are found
/// through these.
pub const MAX_RESOLVED: usize = 16;

/// Time limit of a DNS lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a configured address is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Not a bootstrap address.
    #[error(
        "bootstrap address {0} is not of the form /ip4/ADDR/tcp/PORT, /ip6/ADDR/tcp/PORT or \
         /dns/NAME/tcp/PORT, each with an optional /p2p/PEER"
    )]
    Bootstrap(Multiaddr),
    /// Not a listen address.
    #[error("listen address {0} is not of the form /ip4/ADDR/tcp/PORT or /ip6/ADDR/tcp/PORT")]
    Listen(Multiaddr),
}

/// Checks the form of a bootstrap address.
///
/// # Errors
/// [`AddressError::Bootstrap`] for anything but a host, a TCP port and an optional peer id.
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

/// Checks the form of a listen address. Port 0 means a free port.
///
/// # Errors
/// [`AddressError::Listen`] for anything but an IP address and a TCP port.
pub fn check_listen(address: &Multiaddr) -> Result<(), AddressError> {
    match socket(address) {
        Some(_) => Ok(()),
        None => Err(AddressError::Listen(address.clone())),
    }
}

/// A peer id in base58, as in `/p2p/…`. Bytes that are not a peer id are shown in hex.
pub fn show_peer(peer: &Peer) -> String {
    match peer_id(peer) {
        Some(id) => id.to_string(),
        None => format!("{peer:?}"),
    }
}

/// The inverse of [`show_peer`].
pub fn parse_peer(text: &str) -> Option<Peer> {
    text.parse().ok().map(|id| peer(&id))
}

/// A peer id as the opaque bytes that the protocol uses.
pub(super) fn peer(id: &PeerId) -> Peer {
    Peer::new(&id.to_bytes())
}

/// The inverse of [`peer`]. `None` if the bytes are not a peer id.
pub(super) fn peer_id(peer: &Peer) -> Option<PeerId> {
    PeerId::from_bytes(peer.as_bytes()).ok()
}

/// An address without `/p2p/…`, and the peer id from there.
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

/// The IP address and TCP port of an address that contains nothing else.
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

/// Whether an address without `/p2p/…` can be dialled.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    socket(address)
        .is_some_and(|(ip, port)| port != 0 && !ip.is_unspecified() && !ip.is_multicast())
}

/// Whether an address is a loopback address.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().next().is_some_and(|first| match first {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// Why a bootstrap address has no IP address.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("no TCP port")]
    NoPort,
    #[error("looking up {0} timed out")]
    TimedOut(String),
    #[error("looking up {name} failed: {source}")]
    Failed { name: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
}

/// All IP addresses of a bootstrap address. The transport would connect to the first that answers,
/// possibly this node itself.
pub(super) async fn resolve(address: Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
    let mut parts = address.iter();
    let (name, v4, v6) = match parts.next() {
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Ok(vec![address]),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else {
        return Err(ResolveError::NoPort);
    };
    let lookup = tokio::net::lookup_host((name.as_ref(), port));
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup)
        .await
        .map_err(|_| ResolveError::TimedOut(name.to_string()))?
        .map_err(|source| ResolveError::Failed {
            name: name.to_string(),
            source,
        })?;
    let mut out: Vec<Multiaddr> = found
        .filter(|socket| if socket.is_ipv4() { v4 } else { v6 })
        .map(|socket| Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port())))
        .collect();
    out.sort();
    out.dedup();
    out.truncate(MAX_RESOLVED);
    if out.is_empty() {
        Err(ResolveError::NoAddress(name.to_string()))
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
    fn addresses_without_a_host_or_port_are_not_dialable() {
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
    fn a_shown_peer_id_parses_back() {
        let name = peer(&PeerId::random());
        assert_eq!(parse_peer(&show_peer(&name)), Some(name));
    }

    #[tokio::test]
    async fn an_ip_address_resolves_to_itself() {
        let ip = address("/ip4/127.0.0.1/tcp/9");
        assert_eq!(resolve(ip.clone()).await.unwrap(), vec![ip]);
    }
}

//! Listeners: starting them, and the addresses that they have.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId, TransportError};

use super::address::{self, AddressError};
use super::config::NetworkError;
use super::event::NetworkEvent;
use super::io::Io;

/// Listeners and their addresses. At most one listener per address of the settings.
#[derive(Debug)]
pub(super) struct Listeners {
    own: PeerId,
    configured: HashMap<ListenerId, Multiaddr>,
    failure: Option<NetworkError>,
    addresses: Vec<(ListenerId, Multiaddr)>,
    /// Whether changes of addresses are events.
    announce: bool,
}

impl Listeners {
    pub(super) fn new(own: PeerId) -> Listeners {
        Listeners {
            own,
            configured: HashMap::new(),
            failure: None,
            addresses: Vec::new(),
            announce: false,
        }
    }

    /// Starts to listen on an address.
    pub(super) fn start(&mut self, io: &mut Io, address: &Multiaddr) -> Result<(), NetworkError> {
        let id = io
            .swarm
            .listen_on(address.clone())
            .map_err(|error| match error {
                TransportError::Other(source) => listen_error(address, source),
                TransportError::MultiaddrNotSupported(_) => {
                    NetworkError::Address(AddressError::Listen(address.clone()))
                }
            })?;
        self.configured.insert(id, address.clone());
        Ok(())
    }

    /// A configured address whose listener has no address yet.
    ///
    /// # Errors
    /// That of a failed listener.
    pub(super) fn starting(&mut self) -> Result<Option<&Multiaddr>, NetworkError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let has_address = |id: &ListenerId| self.addresses.iter().any(|(other, _)| other == id);
        let mut starting = self.configured.iter().filter(|(id, _)| !has_address(id));
        Ok(starting.next().map(|(_, address)| address))
    }

    /// Returns the listen addresses, with `/p2p/`. Later changes are sent as events.
    pub(super) fn announce_changes(&mut self) -> Vec<Multiaddr> {
        self.announce = true;
        self.addresses
            .iter()
            .map(|(_, address)| address::with_peer(address, self.own))
            .collect()
    }

    pub(super) fn on_new_address(&mut self, io: &mut Io, id: ListenerId, address: Multiaddr) {
        if self.announce {
            let address = address::with_peer(&address, self.own);
            io.outbox.send(NetworkEvent::Listening(address));
        }
        self.addresses.push((id, address));
    }

    pub(super) fn on_expired(&mut self, io: &mut Io, id: ListenerId, address: &Multiaddr) {
        self.addresses
            .retain(|(other, a)| *other != id || a != address);
        let address = address::with_peer(address, self.own);
        io.outbox.send(NetworkEvent::ListeningEnded(address));
    }

    pub(super) fn on_failed(&mut self, io: &mut Io, id: ListenerId, error: io::Error) {
        let text = format!("a listener failed: {error}");
        io.outbox.send(NetworkEvent::Warning(text));
        if let Some(address) = self.configured.get(&id) {
            self.failure = Some(listen_error(address, error));
        }
    }
}

/// Fails if another process listens on the port. libp2p sets `SO_REUSEPORT`, to dial from its
/// listening port, and would share a port with another process of the same user.
pub(super) fn check_port_is_free(listen: &Multiaddr) -> Result<(), NetworkError> {
    match address::socket(listen) {
        Some((ip, port)) if port != 0 => TcpListener::bind((ip, port))
            .map(drop)
            .map_err(|error| listen_error(listen, error)),
        _ => Ok(()),
    }
}

/// The error for a listener that got no address in time.
pub(super) fn no_address(listen: &Multiaddr) -> NetworkError {
    let source = io::Error::other("this machine does not have the address");
    listen_error(listen, source)
}

fn listen_error(listen: &Multiaddr, source: io::Error) -> NetworkError {
    let address = listen.clone();
    match source.kind() {
        io::ErrorKind::AddrInUse => NetworkError::AddressInUse { address },
        _ => NetworkError::Listen { address, source },
    }
}

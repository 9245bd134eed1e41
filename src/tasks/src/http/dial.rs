//! Opening connections: which address, which source address, and in which order.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use vajra_plan::TargetUrl;
use vajra_task::{Failure, FailureKind, Refusal, TaskContext, TestOrigin, Traffic};

use super::stream::{Counted, Stream};
use super::tls::Tls;

/// A plan's target, and how to connect to it.
#[derive(Debug)]
pub struct Destination {
    url: TargetUrl,
    context: Arc<TaskContext>,
    origin: TestOrigin,
    tls: Option<Tls>,
    addresses: Addresses,
    /// Interval at which the name is resolved again.
    refresh: Option<Duration>,
    resolve_time: Duration,
}

/// The addresses of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Addresses {
    /// Used in rotation.
    rotation: Vec<SocketAddr>,
    /// Tried after all of `rotation` if a connection fails.
    fallbacks: Vec<SocketAddr>,
    /// A connection that fails tries the next address. True for a name, whose addresses are one
    /// service; false for addresses that the plan lists, each of which is to be loaded.
    interchangeable: bool,
}

impl Addresses {
    /// The addresses of a name. Those of the first one's family are used in rotation.
    fn of_name(found: Vec<SocketAddr>) -> Addresses {
        let first_family = found.first().is_some_and(SocketAddr::is_ipv4);
        let same = |a: &SocketAddr| a.is_ipv4() == first_family;
        let (rotation, fallbacks) = found.into_iter().partition(same);
        Addresses {
            rotation,
            fallbacks,
            interchangeable: true,
        }
    }

    fn of_plan(listed: &[SocketAddr]) -> Addresses {
        Addresses {
            rotation: listed.to_vec(),
            fallbacks: Vec::new(),
            interchangeable: false,
        }
    }

    /// The order in which the connection with this number tries them.
    fn order(&self, connection: usize) -> impl Iterator<Item = SocketAddr> {
        let length = self.rotation.len();
        let rotated = self.rotation.iter().cycle();
        let rotated = rotated.skip(connection % length.max(1)).take(length);
        let all = rotated.chain(&self.fallbacks).copied();
        all.take(if self.interchangeable { usize::MAX } else { 1 })
    }

    fn contain(&self, address: SocketAddr) -> bool {
        self.rotation.contains(&address) || self.fallbacks.contains(&address)
    }
}

impl Destination {
    /// Resolves the URL's host, which may block, and checks the addresses. `listed` are addresses
    /// that the plan uses instead of the host's.
    ///
    /// # Errors
    /// The policy forbids an address, or the host does not resolve.
    pub fn new(
        url: TargetUrl,
        context: &Arc<TaskContext>,
        origin: TestOrigin,
        tls: Option<Tls>,
        listed: &[SocketAddr],
        refresh: Option<Duration>,
    ) -> Result<Destination, Refusal> {
        let mut destination = Destination {
            url,
            context: context.clone(),
            origin,
            tls,
            addresses: Addresses::of_plan(listed),
            refresh,
            resolve_time: Duration::ZERO,
        };
        if listed.is_empty() {
            let started = Instant::now();
            destination.addresses = Addresses::of_name(destination.resolve()?);
            destination.resolve_time = started.elapsed();
        }
        for address in listed {
            destination.check(*address)?;
        }
        Ok(destination)
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, Refusal> {
        let policy = &self.context.policy;
        policy.resolve(&self.url.host, self.url.port, self.origin)
    }

    /// Host and port.
    pub fn name(&self) -> String {
        match self.url.host.contains(':') {
            true => format!("[{}]:{}", self.url.host, self.url.port),
            false => format!("{}:{}", self.url.host, self.url.port),
        }
    }

    /// Time that the name took to resolve; zero if the plan lists addresses.
    pub fn resolve_time(&self) -> Duration {
        self.resolve_time
    }

    /// TLS, if it is used.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// All addresses in order, and whether they are interchangeable.
    pub fn all(&self) -> (Vec<SocketAddr>, bool) {
        let Addresses {
            rotation,
            fallbacks,
            interchangeable,
        } = &self.addresses;
        let all = rotation.iter().chain(fallbacks).copied();
        (all.collect(), *interchangeable)
    }

    /// Number of addresses in rotation.
    pub fn rotation(&self) -> usize {
        self.addresses.rotation.len()
    }

    /// Opens a connection, if the policy allows the address. `round` selects the source address.
    ///
    /// # Errors
    /// A failure of kind `policy` or `connect`.
    pub async fn open(&self, address: SocketAddr, round: usize) -> Result<TcpStream, Failure> {
        self.check(address)
            .map_err(|refusal| Failure::new(FailureKind::Policy, refusal.to_string()))?;
        let source = source_for(address, &self.context.sources, round);
        let tcp = connect_from(source, address)
            .await
            .map_err(|e| connect_failure(&e, source))?;
        // Without it a small request could wait for an acknowledgement. Where it can't be set,
        // requests are still sent.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    /// Checks an address against the policy. One that the plan lists is checked by itself: a rule
    /// that allows the URL's host by name does not apply, since the host may be elsewhere.
    fn check(&self, address: SocketAddr) -> Result<(), Refusal> {
        let policy = &self.context.policy;
        match self.addresses.interchangeable {
            true => policy.check(&self.url.host, address, self.origin),
            false => policy.check(&address.ip().to_string(), address, self.origin),
        }
    }
}

/// Opens the connections of one engine thread.
#[derive(Debug)]
pub struct Dialer {
    destination: Arc<Destination>,
    traffic: Rc<Traffic>,
    addresses: RefCell<Rc<Addresses>>,
    /// Number of times that the addresses have changed.
    changes: Cell<u32>,
    /// Number of the next connection.
    next: Cell<usize>,
}

/// The address of an open connection, and the state of the dialer when it was opened.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    address: SocketAddr,
    changes: u32,
}

impl Dialer {
    /// A dialer for one thread.
    pub fn new(destination: Arc<Destination>, traffic: Rc<Traffic>) -> Dialer {
        // Threads and nodes with few connections each must not all start with the same address.
        let next = RandomState::new().build_hasher().finish() as usize / 2;
        Dialer {
            addresses: RefCell::new(Rc::new(destination.addresses.clone())),
            destination,
            traffic,
            changes: Cell::new(0),
            next: Cell::new(next),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The failure of the address tried last.
    pub async fn dial(&self) -> Result<(Stream, Route), Failure> {
        let addresses = self.addresses.borrow().clone();
        let connection = self.next.get();
        self.next.set(connection.wrapping_add(1));
        let mut last = Failure::new(FailureKind::Dns, "no address");
        for address in addresses.order(connection) {
            // The source changes once per rotation, so that each source connects to each address.
            let round = connection / addresses.rotation.len().max(1);
            match self.connect(address, round).await {
                Ok(stream) => {
                    let route = Route {
                        address,
                        changes: self.changes.get(),
                    };
                    return Ok((stream, route));
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Whether the address of a connection is still one of the target's.
    pub fn is_current(&self, route: &Route) -> bool {
        route.changes == self.changes.get() || self.addresses.borrow().contain(route.address)
    }

    async fn connect(&self, address: SocketAddr, round: usize) -> Result<Stream, Failure> {
        let tcp = self.destination.open(address, round).await?;
        let counted = Counted::new(tcp, self.traffic.clone());
        match &self.destination.tls {
            None => Ok(Stream::Plain(counted)),
            Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(counted).await?))),
        }
    }

    /// Resolves the target's name again at the interval of the plan, if it has one. Never
    /// completes before the runtime ends.
    pub async fn refresh(&self) {
        let Some(interval) = self.destination.refresh else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(interval).await;
            let destination = self.destination.clone();
            match tokio::task::spawn_blocking(move || destination.resolve()).await {
                Ok(Ok(found)) => self.update(Addresses::of_name(found)),
                Ok(Err(refusal)) => {
                    tracing::warn!("keeping the addresses of the target: {refusal}");
                }
                // The runtime is ending.
                Err(_) => return,
            }
        }
    }

    fn update(&self, new: Addresses) {
        let unchanged = {
            let old = self.addresses.borrow();
            let known = |a: &SocketAddr| old.contain(*a);
            new.rotation.len() + new.fallbacks.len() == old.rotation.len() + old.fallbacks.len()
                && new.rotation.iter().chain(&new.fallbacks).all(known)
        };
        if !unchanged {
            let host = &self.destination.url.host;
            tracing::info!(host, addresses = ?new.rotation, "the target's addresses have changed");
            *self.addresses.borrow_mut() = Rc::new(new);
            self.changes.set(self.changes.get() + 1);
        }
    }
}

/// The source address of a round, among those of the address's family.
fn source_for(address: SocketAddr, sources: &[IpAddr], round: usize) -> Option<IpAddr> {
    let same = || sources.iter().filter(|s| s.is_ipv4() == address.is_ipv4());
    match same().count() {
        0 => None,
        n => same().nth(round % n).copied(),
    }
}

async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(address).await;
    };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

fn connect_failure(e: &io::Error, source: Option<IpAddr>) -> Failure {
    let no_port = matches!(
        e.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    );
    let message = match (no_port, source) {
        (false, _) => e.to_string(),
        (true, None) => {
            format!("{e}: all local ports are in use; add source addresses with --source-address")
        }
        (true, Some(source)) => format!("{e}: all local ports of {source} are in use"),
    };
    Failure::new(FailureKind::Connect, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_of_the_first_family_rotate_and_the_others_are_fallbacks() {
        let found = at(&["[::1]:80", "10.0.0.1:80", "[::2]:80"]);
        let addresses = Addresses::of_name(found);
        let order = |connection| addresses.order(connection).collect::<Vec<_>>();
        assert_eq!(order(0), at(&["[::1]:80", "[::2]:80", "10.0.0.1:80"]));
        assert_eq!(order(3), at(&["[::2]:80", "[::1]:80", "10.0.0.1:80"]));
    }

    #[test]
    fn listed_addresses_are_no_fallbacks_for_each_other() {
        let addresses = Addresses::of_plan(&at(&["10.0.0.1:80", "10.0.0.2:80"]));
        for (connection, only) in [(0, "10.0.0.1:80"), (1, "10.0.0.2:80"), (2, "10.0.0.1:80")] {
            let order: Vec<_> = addresses.order(connection).collect();
            assert_eq!(order, at(&[only]), "{connection}");
        }
    }

    #[test]
    fn sources_rotate_within_the_family() {
        let sources: Vec<IpAddr> = ["10.0.0.1", "::1", "10.0.0.2"]
            .map(|s| s.parse().unwrap())
            .to_vec();
        let of = |address: &str, round| {
            source_for(address.parse().unwrap(), &sources, round).map(|s| s.to_string())
        };
        assert_eq!(of("10.9.9.9:80", 0).unwrap(), "10.0.0.1");
        assert_eq!(of("10.9.9.9:80", 1).unwrap(), "10.0.0.2");
        assert_eq!(of("[::9]:80", 1).unwrap(), "::1");
        assert_eq!(source_for("10.9.9.9:80".parse().unwrap(), &[], 0), None);
    }
}

//! Connecting: from where, to where, and in which turn.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};

use super::stream::{Counted, Stream};
use super::tls::Tls;
use crate::{Failure, Refusal, TaskContext, Traffic};
use vajra_plan::TargetUrl;

/// Where a plan's requests go, and what may be asked for again.
#[derive(Debug)]
pub struct Destination {
    url: TargetUrl,
    site: Arc<TaskContext>,
    own: bool,
    tls: Option<Tls>,
    addresses: Addresses,
    refresh: Option<Duration>,
    /// How long the name took to resolve.
    resolving: Duration,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Addresses {
    /// Connected to in turn.
    turns: Vec<SocketAddr>,
    /// Tried, after all of `turns`, when one of them can't be reached.
    others: Vec<SocketAddr>,
    /// A connection that fails goes to the next address: what a name resolves to is one
    /// service, while addresses that the plan lists are to be loaded each.
    any_will_do: bool,
}

impl Addresses {
    /// What a name resolves to: those of the family that comes first take turns.
    fn of_name(found: Vec<SocketAddr>) -> Addresses {
        let first_family = found.first().is_some_and(SocketAddr::is_ipv4);
        let same = |a: &SocketAddr| a.is_ipv4() == first_family;
        let (turns, others) = found.into_iter().partition(same);
        Addresses {
            turns,
            others,
            any_will_do: true,
        }
    }

    fn of_plan(listed: &[SocketAddr]) -> Addresses {
        Addresses {
            turns: listed.to_vec(),
            others: Vec::new(),
            any_will_do: false,
        }
    }

    /// The order in which connection `turn` tries them.
    fn order(&self, turn: usize) -> impl Iterator<Item = SocketAddr> {
        let turns = self
            .turns
            .iter()
            .cycle()
            .skip(turn % self.turns.len().max(1));
        let all = turns.take(self.turns.len()).chain(&self.others).copied();
        all.take(if self.any_will_do { usize::MAX } else { 1 })
    }

    fn contain(&self, address: SocketAddr) -> bool {
        self.turns.contains(&address) || self.others.contains(&address)
    }
}

impl Destination {
    /// Resolves the URL's host and checks where the plan connects, which may block.
    ///
    /// # Errors
    /// An address that may not be a target, or a host that does not resolve.
    pub fn new(
        url: TargetUrl,
        site: &Arc<TaskContext>,
        own: bool,
        tls: Option<Tls>,
        listed: &[SocketAddr],
        refresh: Option<Duration>,
    ) -> Result<Destination, Refusal> {
        let mut to = Destination {
            url,
            site: site.clone(),
            own,
            tls,
            addresses: Addresses::of_plan(listed),
            refresh,
            resolving: Duration::ZERO,
        };
        if listed.is_empty() {
            let began = Instant::now();
            to.addresses = Addresses::of_name(to.resolve()?);
            to.resolving = began.elapsed();
        }
        for address in listed {
            to.check(*address)?;
        }
        Ok(to)
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>, Refusal> {
        self.site.policy.check_url(&self.url, self.own)
    }

    /// Host and port.
    pub fn name(&self) -> String {
        match self.url.host.contains(':') {
            true => format!("[{}]:{}", self.url.host, self.url.port),
            false => format!("{}:{}", self.url.host, self.url.port),
        }
    }

    /// How long the name took to resolve; nothing if the plan lists addresses.
    pub fn resolving(&self) -> Duration {
        self.resolving
    }

    /// How connections are secured, if they are.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// All addresses in order, and whether one of them is as good as another.
    pub fn all(&self) -> (Vec<SocketAddr>, bool) {
        let all = self.addresses.turns.iter().chain(&self.addresses.others);
        (all.copied().collect(), self.addresses.any_will_do)
    }

    /// How many addresses take turns.
    pub fn turns(&self) -> usize {
        self.addresses.turns.len()
    }

    /// Opens a connection, if the policy allows that address.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(&self, address: SocketAddr, round: usize) -> Result<TcpStream, Failure> {
        self.check(address)
            .map_err(|refusal| Failure::new("policy", refusal.to_string()))?;
        let source = source_for(address, &self.site.sources, round);
        let tcp = connect_from(source, address)
            .await
            .map_err(|e| not_connected(&e, source))?;
        // Without it a small request could wait for an acknowledgement; where it can't be set,
        // requests still go out.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    /// Whether an address may be connected to. One that the plan lists is judged by itself:
    /// its URL's host, which the node may allow by name, need not be there.
    fn check(&self, address: SocketAddr) -> Result<(), Refusal> {
        let policy = &self.site.policy;
        match self.addresses.any_will_do {
            true => policy.check(&self.url.host, address, self.own),
            false => policy.check(&address.ip().to_string(), address, self.own),
        }
    }
}

/// Opens the connections of one engine thread.
#[derive(Debug)]
pub struct Dialer {
    to: Arc<Destination>,
    traffic: Rc<Traffic>,
    addresses: RefCell<Rc<Addresses>>,
    /// How often the addresses have changed.
    changes: Cell<u32>,
    turn: Cell<usize>,
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    address: SocketAddr,
    changes: u32,
}

impl Dialer {
    /// For one thread.
    pub fn new(to: Arc<Destination>, traffic: Rc<Traffic>) -> Dialer {
        // Threads and nodes with a few connections each must not all begin with the same one.
        let turn = RandomState::new().build_hasher().finish() as usize / 2;
        Dialer {
            addresses: RefCell::new(Rc::new(to.addresses.clone())),
            to,
            traffic,
            changes: Cell::new(0),
            turn: Cell::new(turn),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Why not, for the address tried last.
    pub async fn dial(&self) -> Result<(Stream, Route), Failure> {
        let addresses = self.addresses.borrow().clone();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let mut last = Failure::new("dns", "no address");
        for address in addresses.order(turn) {
            // Each source is to reach each address.
            let round = turn / addresses.turns.len().max(1);
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

    /// A connection still leads to where the target is.
    pub fn leads_there(&self, route: &Route) -> bool {
        route.changes == self.changes.get() || self.addresses.borrow().contain(route.address)
    }

    async fn connect(&self, address: SocketAddr, round: usize) -> Result<Stream, Failure> {
        let tcp = self.to.open(address, round).await?;
        let counted = Counted::new(tcp, self.traffic.clone());
        match &self.to.tls {
            None => Ok(Stream::Plain(counted)),
            Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(counted).await?))),
        }
    }

    /// Resolves the target's name again and again, if the plan says so.
    pub async fn keep_fresh(&self) {
        let Some(interval) = self.to.refresh else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(interval).await;
            let to = self.to.clone();
            match tokio::task::spawn_blocking(move || to.resolve()).await {
                Ok(Ok(found)) => self.take(Addresses::of_name(found)),
                Ok(Err(refusal)) => {
                    tracing::warn!("keeping the target's addresses: {refusal}");
                }
                // The runtime is ending.
                Err(_) => return,
            }
        }
    }

    fn take(&self, found: Addresses) {
        let same = {
            let known = self.addresses.borrow();
            let in_both = |a: &SocketAddr| known.contain(*a);
            let (new, old) = (&found, &known);
            new.turns.len() + new.others.len() == old.turns.len() + old.others.len()
                && new.turns.iter().chain(&new.others).all(in_both)
        };
        if !same {
            tracing::info!(host = self.to.url.host, addresses = ?found.turns, "the target has moved");
            *self.addresses.borrow_mut() = Rc::new(found);
            self.changes.set(self.changes.get() + 1);
        }
    }
}

/// The source address of a turn, of those that can reach `address`.
fn source_for(address: SocketAddr, sources: &[IpAddr], turn: usize) -> Option<IpAddr> {
    let same = || sources.iter().filter(|s| s.is_ipv4() == address.is_ipv4());
    match same().count() {
        0 => None,
        n => same().nth(turn % n).copied(),
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

fn not_connected(e: &io::Error, source: Option<IpAddr>) -> Failure {
    let ports = matches!(
        e.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    );
    let message = match (ports, source) {
        (false, _) => e.to_string(),
        (true, None) => {
            format!("{e}: no local port is left; give the node --source-address for more of them")
        }
        (true, Some(source)) => format!("{e}: no local port of {source} is left"),
    };
    Failure::new("connect", message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_of_the_first_family_take_turns_and_the_others_stand_in() {
        let found = at(&["[::1]:80", "10.0.0.1:80", "[::2]:80"]);
        let addresses = Addresses::of_name(found);
        let order = |turn| addresses.order(turn).collect::<Vec<_>>();
        assert_eq!(order(0), at(&["[::1]:80", "[::2]:80", "10.0.0.1:80"]));
        assert_eq!(order(3), at(&["[::2]:80", "[::1]:80", "10.0.0.1:80"]));
    }

    #[test]
    fn listed_addresses_do_not_stand_in_for_each_other() {
        let addresses = Addresses::of_plan(&at(&["10.0.0.1:80", "10.0.0.2:80"]));
        for (turn, only) in [(0, "10.0.0.1:80"), (1, "10.0.0.2:80"), (2, "10.0.0.1:80")] {
            let order: Vec<_> = addresses.order(turn).collect();
            assert_eq!(order, at(&[only]), "{turn}");
        }
    }

    #[test]
    fn sources_take_turns_within_the_family() {
        let sources: Vec<IpAddr> = ["10.0.0.1", "::1", "10.0.0.2"]
            .map(|s| s.parse().unwrap())
            .to_vec();
        let of = |address: &str, turn| {
            source_for(address.parse().unwrap(), &sources, turn).map(|s| s.to_string())
        };
        assert_eq!(of("10.9.9.9:80", 0).unwrap(), "10.0.0.1");
        assert_eq!(of("10.9.9.9:80", 1).unwrap(), "10.0.0.2");
        assert_eq!(of("[::9]:80", 1).unwrap(), "::1");
        assert_eq!(source_for("10.9.9.9:80".parse().unwrap(), &[], 0), None);
    }
}

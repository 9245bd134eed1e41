//! Which targets a node accepts.
//!
//! Each node decides for itself, on the resolved address, each time it connects, so that a swarm
//! can't be used as a weapon.
//!
//! | test started on | swarm without a key | swarm with a key | with `--allow-target` |
//! |---|---|---|---|
//! | this node | any target | any target | any target |
//! | another node | private addresses (RFC 1918, ULA); loopback if this node listens only on loopback | any target | only targets in the list |
//!
//! Never accepted: unspecified, multicast and broadcast addresses, and the node's own API and
//! swarm ports on any of its addresses. Link-local addresses, where clouds serve credentials, are
//! accepted from other nodes' tests only if the list contains the network or address itself;
//! `any` and host names do not include them. An IPv4-mapped IPv6 address counts as the IPv4
//! address.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;

use crate::origin::TestOrigin;

/// An entry of `--allow-target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowTarget {
    /// `any`: everything but link-local addresses.
    Any,
    /// `10.0.0.0/8`, `fd00::/8`.
    Network(IpAddr, u8),
    /// `10.1.2.3`, `10.1.2.3:80`, `[fd00::1]:80`.
    Address(IpAddr, Option<u16>),
    /// `example.com`, `example.com:8080`: a host name as in the plan's URL.
    Host(String, Option<u16>),
}

/// A text that is not an entry of `--allow-target`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a target (expected a network such as 10.0.0.0/8, host[:port], or any)")]
pub struct AllowTargetError(String);

impl FromStr for AllowTarget {
    type Err = AllowTargetError;

    fn from_str(text: &str) -> Result<AllowTarget, AllowTargetError> {
        let fail = || Err(AllowTargetError(text.to_owned()));
        if text == "any" {
            return Ok(AllowTarget::Any);
        }
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(AllowTarget::Address(ip.to_canonical(), None));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(AllowTarget::Address(
                address.ip().to_canonical(),
                Some(address.port()),
            ));
        }
        if let Some((network, bits)) = text.split_once('/') {
            return match (network.parse::<IpAddr>(), bits.parse::<u8>()) {
                (Ok(ip), Ok(bits)) if bits <= if ip.is_ipv4() { 32 } else { 128 } => {
                    Ok(AllowTarget::Network(ip, bits))
                }
                _ => fail(),
            };
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => return fail(),
            },
            None => (text, None),
        };
        match is_host_name(host) {
            true => Ok(AllowTarget::Host(host.to_ascii_lowercase(), port)),
            false => fail(),
        }
    }
}

/// The characters that RFC 3986 allows in a registered name.
fn is_host_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=".contains(c);
    !text.is_empty() && text.chars().all(legal)
}

impl fmt::Display for AllowTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowTarget::Any => f.write_str("any"),
            AllowTarget::Network(ip, bits) => write!(f, "{ip}/{bits}"),
            AllowTarget::Address(ip, Some(port)) => write!(f, "{}", SocketAddr::new(*ip, *port)),
            AllowTarget::Address(ip, None) => write!(f, "{ip}"),
            AllowTarget::Host(name, Some(port)) => write!(f, "{name}:{port}"),
            AllowTarget::Host(name, None) => f.write_str(name),
        }
    }
}

impl AllowTarget {
    fn covers(&self, host: &str, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        match self {
            AllowTarget::Any => !is_link_local(ip),
            AllowTarget::Network(network, bits) => in_network(ip, *network, *bits),
            AllowTarget::Address(only, port) => {
                *only == ip && port.is_none_or(|p| p == address.port())
            }
            AllowTarget::Host(name, port) => {
                name.eq_ignore_ascii_case(host)
                    && port.is_none_or(|p| p == address.port())
                    && !is_link_local(ip)
            }
        }
    }
}

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy forbids it. The text names the setting that allows it, if one does.
    #[error("{0}")]
    Forbidden(String),
    /// The host has no address.
    #[error("the host {0:?} does not resolve to any address")]
    Unresolved(String),
}

/// The targets that a node accepts.
#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    /// The swarm has a key, so its members trust each other.
    pub keyed: bool,
    /// The node listens only on loopback addresses.
    pub loopback_only: bool,
    /// Entries of `--allow-target`; empty if not given.
    pub allow: Vec<AllowTarget>,
    /// Ports of the node's own API and swarm listeners.
    pub own_ports: Vec<u16>,
}

impl TargetPolicy {
    /// Checks whether a request to `host`, resolved to `address`, may be sent.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn check(
        &self,
        host: &str,
        address: SocketAddr,
        origin: TestOrigin,
    ) -> Result<(), Refusal> {
        let ip = address.ip().to_canonical();
        let shown = match ip.to_string() == host {
            true => address.to_string(),
            false => format!("{host} ({address})"),
        };
        let never = |what: &str| {
            Err(Refusal::Forbidden(format!(
                "{shown} is {what}, which is never a target"
            )))
        };
        if ip.is_unspecified() {
            return never("an unspecified address");
        }
        if ip.is_multicast() || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast()) {
            return never("a multicast or broadcast address");
        }
        if self.own_ports.contains(&address.port()) && is_local(ip) {
            return never("a port of this node's own API or swarm");
        }
        if origin == TestOrigin::ThisNode {
            return Ok(());
        }
        let forbidden = |why: &str| {
            Err(Refusal::Forbidden(format!(
                "{shown} {why}; allow it with --allow-target {}",
                suggestion(ip)
            )))
        };
        if !self.allow.is_empty() {
            return match self.allow.iter().any(|a| a.covers(host, address)) {
                true => Ok(()),
                false => forbidden("is not in this node's list of allowed targets"),
            };
        }
        if ip.is_loopback() && !self.loopback_only && !self.keyed {
            return forbidden("is this node itself, which tests of other nodes must not target");
        }
        if is_link_local(ip) || !(self.keyed || ip.is_loopback() || is_private(ip)) {
            return forbidden(match self.keyed {
                true => "is link-local, which tests of other nodes must not target",
                false => {
                    "is not a private address, and nodes of a swarm without a key accept only \
                     private targets from other nodes"
                }
            });
        }
        Ok(())
    }

    /// Resolves a host, which may block, and returns the addresses that may be used.
    ///
    /// # Errors
    /// The host does not resolve, or the policy forbids all of its addresses.
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        origin: TestOrigin,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let mut refusal = Refusal::Unresolved(host.to_owned());
        let mut usable = Vec::new();
        for address in (host, port).to_socket_addrs().into_iter().flatten() {
            match self.check(host, address, origin) {
                Ok(()) => usable.push(address),
                Err(why) => refusal = why,
            }
        }
        match usable.is_empty() {
            true => Err(refusal),
            false => Ok(usable),
        }
    }
}

/// The entry of `--allow-target` that allows an address.
fn suggestion(ip: IpAddr) -> String {
    format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whether an address belongs to this machine: only those can be bound.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

fn in_network(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        let shift = width - u32::from(bits);
        shift >= 128 || a >> shift == b >> shift
    };
    match (ip, network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) if network.is_ipv4() => {
            same(u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OWN: TestOrigin = TestOrigin::ThisNode;
    const FOREIGN: TestOrigin = TestOrigin::OtherNode;

    fn check(policy: &TargetPolicy, address: &str, origin: TestOrigin) -> Result<(), Refusal> {
        let address: SocketAddr = address.parse().unwrap();
        policy.check(&address.ip().to_string(), address, origin)
    }

    fn allowed(policy: &TargetPolicy, address: &str) -> bool {
        check(policy, address, FOREIGN).is_ok()
    }

    fn policy_of(keyed: bool, loopback_only: bool, list: &[&str]) -> TargetPolicy {
        let allow = list.iter().map(|a| a.parse().unwrap()).collect();
        TargetPolicy {
            keyed,
            loopback_only,
            allow,
            own_ports: vec![7401],
        }
    }

    fn allowing(list: &[&str]) -> TargetPolicy {
        policy_of(false, false, list)
    }

    #[test]
    fn without_a_key_other_nodes_may_target_only_private_addresses() {
        let policy = TargetPolicy::default();
        for good in [
            "10.0.0.1:80",
            "172.16.3.4:80",
            "192.168.1.1:80",
            "[fd00::1]:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            assert!(allowed(&policy, good), "{good}");
        }
        for bad in [
            "8.8.8.8:80",
            "172.32.0.1:80",
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[2001:db8::1]:80",
            "[::ffff:8.8.8.8]:80",
            "[::ffff:169.254.169.254]:80",
            "100.64.0.1:80",
            "127.0.0.1:80",
            "[::1]:80",
        ] {
            let refusal = check(&policy, bad, FOREIGN).unwrap_err();
            assert!(refusal.to_string().contains("--allow-target"), "{refusal}");
        }
    }

    #[test]
    fn unspecified_multicast_and_broadcast_addresses_are_never_targets() {
        for policy in [policy_of(true, false, &[]), allowing(&["any", "0.0.0.0/0"])] {
            for bad in [
                "0.0.0.0:80",
                "[::]:80",
                "[::ffff:0.0.0.0]:80",
                "224.0.0.1:80",
                "[ff02::1]:80",
                "255.255.255.255:80",
            ] {
                assert!(check(&policy, bad, OWN).is_err(), "{bad}");
                assert!(check(&policy, bad, FOREIGN).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn own_ports_are_never_a_target_on_any_local_address() {
        let policy = policy_of(true, true, &["any"]);
        for origin in [OWN, FOREIGN] {
            assert!(check(&policy, "127.0.0.1:7401", origin).is_err());
            assert!(check(&policy, "127.9.9.9:7401", origin).is_err());
            assert!(check(&policy, "[::1]:7401", origin).is_err());
            assert!(check(&policy, "127.0.0.1:7402", origin).is_ok());
            assert!(check(&policy, "192.0.2.7:7401", origin).is_ok());
        }
    }

    #[test]
    fn own_tests_may_have_any_other_target() {
        for policy in [TargetPolicy::default(), allowing(&["10.0.0.0/8"])] {
            for good in ["8.8.8.8:80", "127.0.0.1:80", "169.254.1.1:80"] {
                assert!(check(&policy, good, OWN).is_ok(), "{good}");
            }
        }
    }

    #[test]
    fn other_nodes_may_target_loopback_if_this_node_listens_only_on_loopback() {
        let policy = policy_of(false, true, &[]);
        assert!(allowed(&policy, "127.0.0.1:80"));
        assert!(allowed(&policy, "[::1]:80"));
        assert!(!allowed(&policy, "8.8.8.8:80"));
    }

    #[test]
    fn with_a_key_other_nodes_may_target_all_but_link_local_addresses() {
        let policy = policy_of(true, false, &[]);
        assert!(allowed(&policy, "8.8.8.8:80"));
        assert!(allowed(&policy, "127.0.0.1:80"));
        assert!(!allowed(&policy, "169.254.169.254:80"));
        let restricted = policy_of(true, false, &["10.0.0.0/8"]);
        assert!(allowed(&restricted, "10.255.0.1:80"));
        assert!(!allowed(&restricted, "8.8.8.8:80"));
    }

    #[test]
    fn with_a_list_other_nodes_may_target_only_its_entries() {
        let policy = allowing(&["203.0.113.0/24", "127.0.0.1:8080", "fd00::/8"]);
        assert!(allowed(&policy, "203.0.113.9:443"));
        assert!(allowed(&policy, "127.0.0.1:8080"));
        assert!(!allowed(&policy, "127.0.0.1:8081"));
        assert!(!allowed(&policy, "10.0.0.1:80"));
        assert!(allowed(&policy, "[fd12::3]:80"));
        assert!(!allowed(&allowing(&["any"]), "169.254.169.254:80"));
        assert!(allowed(
            &allowing(&["169.254.0.0/16"]),
            "169.254.169.254:80"
        ));
        let host = allowing(&["shop.example:443"]);
        let public: SocketAddr = "8.8.8.8:443".parse().unwrap();
        assert!(host.check("shop.example", public, FOREIGN).is_ok());
        assert!(host.check("other.example", public, FOREIGN).is_err());
        assert!(
            host.check("shop.example", "169.254.0.1:443".parse().unwrap(), FOREIGN)
                .is_err()
        );
    }

    #[test]
    fn malformed_entries_are_rejected() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "host:99999",
            "a b",
            "http://x",
            "x/8",
        ] {
            assert!(bad.parse::<AllowTarget>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_checked_by_its_resolved_addresses() {
        let policy = TargetPolicy::default();
        assert!(policy.resolve("localhost", 8080, FOREIGN).is_err());
        let found = policy.resolve("localhost", 8080, OWN).unwrap();
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 8080)
        );
        let refusal = policy.resolve("no..such.host", 80, OWN).unwrap_err();
        assert!(refusal.to_string().contains("does not resolve"));
    }
}

//! What this node may be aimed at. A swarm must not become a weapon, so each node decides for
//! itself, on the resolved address, each time it connects.
//!
//! | whose test | keyless swarm | keyed swarm | with `--allow-target` |
//! |---|---|---|---|
//! | this node's own | everything | everything | everything |
//! | another node's | private addresses (RFC 1918, ULA); loopback if this node listens on loopback alone | everything | what the list says and nothing else |
//!
//! Never, for anybody: unspecified, multicast and broadcast addresses, and this node's own API
//! and swarm ports on any of its addresses. Link-local addresses (where clouds keep
//! credentials) are open to others' tests only by a network or address listed explicitly:
//! not by `any`, not by a host name. An IPv4-mapped IPv6 address is judged as the IPv4 one.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;

use vajra_plan::TargetUrl;

/// An entry of `--allow-target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowTarget {
    /// `any`: everything but link-local addresses.
    Any,
    /// `10.0.0.0/8`, `fd00::/8`.
    Network(IpAddr, u8),
    /// `10.1.2.3`, `10.1.2.3:80`, `[fd00::1]:80`.
    Address(IpAddr, Option<u16>),
    /// `example.com`, `example.com:8080`: the host as the plan's URL writes it.
    Host(String, Option<u16>),
}

impl FromStr for AllowTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<AllowTarget, String> {
        let fail = || {
            Err(format!(
                "{text:?} is no target: write a network such as 10.0.0.0/8, host[:port], or any"
            ))
        };
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
        match TargetUrl::parse(&format!("http://{host}/")) {
            Ok(url) if url.host == host => Ok(AllowTarget::Host(host.to_ascii_lowercase(), port)),
            _ => fail(),
        }
    }
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
    /// Says which setting would allow it, if any does.
    #[error("{0}")]
    Forbidden(String),
    /// The host has no address.
    #[error("the host {0:?} does not resolve to any address")]
    Unresolved(String),
}

/// What this node may be aimed at.
#[derive(Debug, Clone, Default)]
pub struct TargetPolicy {
    /// The swarm has a key: its members trust each other.
    pub keyed: bool,
    /// This node itself listens on loopback addresses alone.
    pub loopback_only: bool,
    /// `--allow-target`; empty if not given.
    pub allow: Vec<AllowTarget>,
    /// Ports of this node's own API and swarm listeners.
    pub own_ports: Vec<u16>,
}

impl TargetPolicy {
    /// Whether a request to `host`, resolved to `address`, may be sent. `own` tells that the
    /// test was started from this node.
    ///
    /// # Errors
    /// Says why not, and which setting would allow it.
    pub fn check(&self, host: &str, address: SocketAddr, own: bool) -> Result<(), Refusal> {
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
        if own {
            return Ok(());
        }
        if !self.allow.is_empty() {
            return match self.allow.iter().any(|a| a.covers(host, address)) {
                true => Ok(()),
                false => Err(Refusal::Forbidden(format!(
                    "{shown} is not among the targets that this node allows; --allow-target {} would allow it",
                    suggestion(ip)
                ))),
            };
        }
        if ip.is_loopback() && !self.loopback_only && !self.keyed {
            return Err(Refusal::Forbidden(format!(
                "{shown} is this node itself, which tests of others may not be aimed at; --allow-target {} would allow it",
                suggestion(ip)
            )));
        }
        if is_link_local(ip) || !(self.keyed || ip.is_loopback() || is_private(ip)) {
            let why = match self.keyed {
                true => "is link-local, which tests of others may not be aimed at",
                false => {
                    "is no private address, and a swarm without a key is aimed at nothing else by others"
                }
            };
            return Err(Refusal::Forbidden(format!(
                "{shown} {why}; --allow-target {} would allow it",
                suggestion(ip)
            )));
        }
        Ok(())
    }

    /// Resolves a URL's host, which may block, and keeps the addresses that may be used.
    ///
    /// # Errors
    /// The host does not resolve, or none of its addresses may be used.
    pub fn check_url(&self, url: &TargetUrl, own: bool) -> Result<Vec<SocketAddr>, Refusal> {
        let mut refusal = Refusal::Unresolved(url.host.clone());
        let mut usable = Vec::new();
        for address in (url.host.as_str(), url.port)
            .to_socket_addrs()
            .into_iter()
            .flatten()
        {
            match self.check(&url.host, address, own) {
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

/// What to write after `--allow-target`.
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

/// Whether an address is one of this machine's: exactly those can be bound.
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

    fn judge(policy: &TargetPolicy, address: &str, own: bool) -> Result<(), Refusal> {
        let address: SocketAddr = address.parse().unwrap();
        policy.check(&address.ip().to_string(), address, own)
    }

    fn allowed(policy: &TargetPolicy, address: &str) -> bool {
        judge(policy, address, false).is_ok()
    }

    fn in_context(keyed: bool, loopback_only: bool, list: &[&str]) -> TargetPolicy {
        let allow = list.iter().map(|a| a.parse().unwrap()).collect();
        TargetPolicy {
            keyed,
            loopback_only,
            allow,
            own_ports: vec![7401],
        }
    }

    fn allowing(list: &[&str]) -> TargetPolicy {
        in_context(false, false, list)
    }

    #[test]
    fn a_keyless_swarm_takes_tests_of_others_against_private_addresses_only() {
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
            let refusal = judge(&policy, bad, false).unwrap_err();
            assert!(refusal.to_string().contains("--allow-target"), "{refusal}");
        }
    }

    #[test]
    fn some_addresses_are_nobodys_target() {
        for policy in [
            in_context(true, false, &[]),
            allowing(&["any", "0.0.0.0/0"]),
        ] {
            for bad in [
                "0.0.0.0:80",
                "[::]:80",
                "[::ffff:0.0.0.0]:80",
                "224.0.0.1:80",
                "[ff02::1]:80",
                "255.255.255.255:80",
            ] {
                assert!(judge(&policy, bad, true).is_err(), "{bad}");
                assert!(judge(&policy, bad, false).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn own_ports_are_never_a_target_on_any_local_address() {
        let policy = in_context(true, true, &["any"]);
        for own in [true, false] {
            assert!(judge(&policy, "127.0.0.1:7401", own).is_err());
            assert!(judge(&policy, "127.9.9.9:7401", own).is_err());
            assert!(judge(&policy, "[::1]:7401", own).is_err());
            assert!(judge(&policy, "127.0.0.1:7402", own).is_ok());
            assert!(judge(&policy, "192.0.2.7:7401", own).is_ok());
        }
    }

    #[test]
    fn own_tests_go_anywhere_else() {
        for policy in [TargetPolicy::default(), allowing(&["10.0.0.0/8"])] {
            for good in ["8.8.8.8:80", "127.0.0.1:80", "169.254.1.1:80"] {
                assert!(judge(&policy, good, true).is_ok(), "{good}");
            }
        }
    }

    #[test]
    fn loopback_is_open_to_others_where_this_node_listens_on_loopback_alone() {
        let policy = in_context(false, true, &[]);
        assert!(allowed(&policy, "127.0.0.1:80"));
        assert!(allowed(&policy, "[::1]:80"));
        assert!(!allowed(&policy, "8.8.8.8:80"));
    }

    #[test]
    fn a_keyed_swarm_takes_all_but_link_local_unless_restricted() {
        let policy = in_context(true, false, &[]);
        assert!(allowed(&policy, "8.8.8.8:80"));
        assert!(allowed(&policy, "127.0.0.1:80"));
        assert!(!allowed(&policy, "169.254.169.254:80"));
        let restricted = in_context(true, false, &["10.0.0.0/8"]);
        assert!(allowed(&restricted, "10.255.0.1:80"));
        assert!(!allowed(&restricted, "8.8.8.8:80"));
    }

    #[test]
    fn the_list_is_the_whole_answer_for_tests_of_others() {
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
        assert!(host.check("shop.example", public, false).is_ok());
        assert!(host.check("other.example", public, false).is_err());
        assert!(
            host.check("shop.example", "169.254.0.1:443".parse().unwrap(), false)
                .is_err()
        );
    }

    #[test]
    fn malformed_entries_are_refused() {
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
    fn a_url_is_checked_by_what_its_host_resolves_to() {
        let url = TargetUrl::parse("http://localhost:8080/").unwrap();
        assert!(TargetPolicy::default().check_url(&url, false).is_err());
        let found = TargetPolicy::default().check_url(&url, true).unwrap();
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 8080)
        );
        let nowhere = TargetUrl::parse("http://no..such.host/").unwrap();
        let refusal = TargetPolicy::default()
            .check_url(&nowhere, true)
            .unwrap_err();
        assert!(refusal.to_string().contains("does not resolve"));
    }
}

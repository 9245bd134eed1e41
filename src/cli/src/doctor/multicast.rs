//! Whether mDNS can work: an interface with multicast, on which a datagram to the group is received
//! again. The datagram has a time to live of 0, so it never leaves the machine.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt;

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_runtime::host::Interface;

/// The group of mDNS, RFC 6762.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// Maximum wait for the datagram, which takes microseconds.
const WAIT: Duration = Duration::from_millis(500);
/// Alternative to mDNS.
const HINT: &str = "use a bootstrap address instead: vajra-node --bootstrap /ip4/ADDR/tcp/7400";

// Interface flags of Linux.
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const MULTICAST: u32 = 0x1000;

pub(super) fn mdns(facts: &Facts) -> Check {
    let usable = usable(&facts.interfaces);
    if usable.is_empty() && !facts.interfaces.is_empty() {
        return Check::new(
            "mdns",
            Finding::Warn,
            "no active interface supports multicast: nodes on the LAN cannot find each other",
        )
        .hint(HINT);
    }
    // If the interfaces are unknown, the system selects one.
    let system = [Interface::default()];
    let tried = match usable.is_empty() {
        true => system.iter().collect(),
        false => usable,
    };
    let tried: Vec<_> = tried
        .into_iter()
        .map(|interface| (interface.name.as_str(), echo(interface.index)))
        .collect();
    evaluate(&tried)
}

/// One working interface is enough.
fn evaluate(tried: &[(&str, io::Result<()>)]) -> Check {
    let works = tried.iter().filter(|(_, echo)| echo.is_ok());
    let works: Vec<&str> = works.map(|(name, _)| *name).collect();
    if !works.is_empty() {
        let on = works.join(", ");
        let text = format!(
            "multicast works on {on}; whether the network forwards it can only be tested with another node"
        );
        return Check::new("mdns", Finding::Pass, text);
    }
    let failed = tried.iter().filter_map(|(name, echo)| {
        let why = echo.as_ref().err()?;
        Some(format!("{name}: {why}"))
    });
    let failed: Vec<String> = failed.collect();
    let text = format!(
        "a multicast datagram to {GROUP} was not received ({})",
        failed.join("; ")
    );
    Check::new("mdns", Finding::Warn, text).hint(HINT)
}

/// The active interfaces with multicast, except loopback.
fn usable(interfaces: &[Interface]) -> Vec<&Interface> {
    let usable = interfaces.iter().filter(|interface| {
        let flags = interface.flags.trim_start_matches("0x");
        let flags = u32::from_str_radix(flags, 16).unwrap_or(0);
        flags & (UP | MULTICAST | LOOPBACK) == UP | MULTICAST
    });
    usable.collect()
}

/// Sends a datagram to the group over an interface and receives it, on a free port, where no other
/// program listens.
fn echo(index: u32) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let any = Ipv4Addr::UNSPECIFIED;
    sockopt::set_ip_add_membership_with_ifindex(&socket, &GROUP, &any, index)?;
    sockopt::set_ip_multicast_if_with_ifindex(&socket, &GROUP, &any, index)?;
    socket.set_multicast_ttl_v4(0)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_read_timeout(Some(WAIT))?;
    let sent = *b"vajra-node doctor";
    socket.send_to(&sent, (GROUP, socket.local_addr()?.port()))?;
    let mut got = [0; 32];
    let (length, _) = socket.recv_from(&mut got)?;
    match got[..length] == sent {
        true => Ok(()),
        false => Err(io::Error::other("received another datagram")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, flags: &str) -> Interface {
        Interface {
            name: name.into(),
            index: 1,
            flags: flags.into(),
        }
    }

    #[test]
    fn only_active_interfaces_with_multicast_except_loopback_are_used() {
        let all = [
            ("lo", "0x9"),
            ("eth0", "0x1003"),
            ("eth1", "0x1002"),
            ("tun0", "0x91"),
            ("lo2", "0x1009"),
        ];
        let all = all.map(|(name, flags)| interface(name, flags));
        let names: Vec<&str> = usable(&all).iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["eth0"]);
    }

    #[test]
    fn without_a_usable_interface_a_bootstrap_address_is_suggested() {
        let facts = Facts {
            interfaces: vec![interface("lo", "0x9")],
            ..Facts::default()
        };
        let check = mdns(&facts);
        assert_eq!(check.finding, Finding::Warn);
        assert!(check.hint.contains("--bootstrap"));
    }

    #[test]
    fn one_working_interface_is_enough() {
        let silent = || Err(io::ErrorKind::TimedOut.into());
        let none = evaluate(&[("eth0", silent())]);
        assert_eq!(none.finding, Finding::Warn);
        assert!(none.text.contains("eth0: "), "{}", none.text);
        let one = evaluate(&[("eth0", silent()), ("eth1", Ok(()))]);
        assert_eq!(one.finding, Finding::Pass);
        assert!(one.text.contains("on eth1;"), "{}", one.text);
    }
}

//! Whether mDNS can work: an interface that takes multicast, and a datagram to the group that
//! comes back. The datagram has a time to live of 0, so it never leaves the machine.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt;

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_runtime::host::Interface;

/// The group of mDNS, RFC 6762.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// A datagram to oneself takes microseconds.
const WAIT: Duration = Duration::from_millis(500);
/// What to do instead.
const HINT: &str = "name a node instead: vajra-node --bootstrap /ip4/ADDR/tcp/7400";

// Flags of an interface, as Linux has them.
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const MULTICAST: u32 = 0x1000;

pub(super) fn mdns(facts: &Facts) -> Check {
    let able = able(&facts.interfaces);
    if able.is_empty() && !facts.interfaces.is_empty() {
        return Check::new(
            "mdns",
            Finding::Warn,
            "no interface that is up takes multicast: nodes on the LAN are not found by themselves",
        )
        .hint(HINT);
    }
    // Where the system does not tell, it chooses.
    let system = [Interface::default()];
    let tried = match able.is_empty() {
        true => system.iter().collect(),
        false => able,
    };
    let tried: Vec<_> = tried
        .into_iter()
        .map(|interface| (interface.name.as_str(), echo(interface.index)))
        .collect();
    judge(&tried)
}

/// One interface on which it works is enough.
fn judge(tried: &[(&str, io::Result<()>)]) -> Check {
    let works = tried.iter().filter(|(_, echo)| echo.is_ok());
    let works: Vec<&str> = works.map(|(name, _)| *name).collect();
    if !works.is_empty() {
        let on = works.join(", ");
        let text = format!(
            "multicast works on {on}; whether the LAN's switches pass it on only another node shows"
        );
        return Check::new("mdns", Finding::Pass, text);
    }
    let failed = tried.iter().filter_map(|(name, echo)| {
        let why = echo.as_ref().err()?;
        Some(format!("{name}: {why}"))
    });
    let failed: Vec<String> = failed.collect();
    let text = format!(
        "a datagram to {GROUP} does not come back ({})",
        failed.join("; ")
    );
    Check::new("mdns", Finding::Warn, text).hint(HINT)
}

/// The interfaces that are up and take multicast, loopback aside.
fn able(interfaces: &[Interface]) -> Vec<&Interface> {
    let able = interfaces.iter().filter(|interface| {
        let flags = interface.flags.trim_start_matches("0x");
        let flags = u32::from_str_radix(flags, 16).unwrap_or(0);
        flags & (UP | MULTICAST | LOOPBACK) == UP | MULTICAST
    });
    able.collect()
}

/// Sends a datagram to the group over an interface, and waits for it, on a port of its own, so
/// that nobody else hears it.
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
        false => Err(io::Error::other("something else came")),
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
    fn only_an_interface_that_is_up_takes_multicast_and_is_not_loopback_counts() {
        let all = [
            ("lo", "0x9"),
            ("eth0", "0x1003"),
            ("eth1", "0x1002"),
            ("tun0", "0x91"),
            ("lo2", "0x1009"),
        ];
        let all = all.map(|(name, flags)| interface(name, flags));
        let names: Vec<&str> = able(&all).iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["eth0"]);
    }

    #[test]
    fn without_such_an_interface_nothing_is_sent_and_a_bootstrap_address_is_advised() {
        let facts = Facts {
            interfaces: vec![interface("lo", "0x9")],
            ..Facts::default()
        };
        let check = mdns(&facts);
        assert_eq!(check.finding, Finding::Warn);
        assert!(check.hint.contains("--bootstrap"));
    }

    #[test]
    fn one_interface_on_which_a_datagram_comes_back_is_enough() {
        let silent = || Err(io::ErrorKind::TimedOut.into());
        let none = judge(&[("eth0", silent())]);
        assert_eq!(none.finding, Finding::Warn);
        assert!(none.text.contains("eth0: "), "{}", none.text);
        let one = judge(&[("eth0", silent()), ("eth1", Ok(()))]);
        assert_eq!(one.finding, Finding::Pass);
        assert!(one.text.contains("on eth1;"), "{}", one.text);
    }
}

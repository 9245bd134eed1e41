//! Values as people write them, on a command line, in the environment or in a file: each
//! reads from text, and says in one line what it would have accepted.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use libp2p::Multiaddr;
use serde::de::{Deserialize, Deserializer, Error as _};

use vajra_network::{check_bootstrap, check_listen};

/// A checked bootstrap address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap(pub Multiaddr);

impl FromStr for Bootstrap {
    type Err = String;

    fn from_str(s: &str) -> Result<Bootstrap, String> {
        let address = s.parse::<Multiaddr>().map_err(|_| {
            format!(
                "{s:?} is not a multiaddress; write /ip4/ADDR/tcp/PORT or /dns/NAME/tcp/PORT, \
                 as the other node's `listening` line shows it"
            )
        })?;
        check_bootstrap(&address).map_err(|e| e.to_string())?;
        Ok(Bootstrap(address))
    }
}

/// A checked address for the swarm to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenOn(pub Multiaddr);

impl FromStr for ListenOn {
    type Err = String;

    fn from_str(s: &str) -> Result<ListenOn, String> {
        let address = s.parse::<Multiaddr>().map_err(|_| {
            format!("{s:?} is not a multiaddress; write for example /ip4/0.0.0.0/tcp/7400")
        })?;
        check_listen(&address).map_err(|e| e.to_string())?;
        Ok(ListenOn(address))
    }
}

/// `ADDR:PORT`; without an address, loopback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostPort(pub SocketAddr);

impl FromStr for HostPort {
    type Err = String;

    fn from_str(s: &str) -> Result<HostPort, String> {
        let text = s.strip_prefix("http://").unwrap_or(s);
        let text = text.strip_suffix('/').unwrap_or(text);
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            return Ok(HostPort(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        if let Some(port) = text
            .strip_prefix("localhost:")
            .and_then(|port| port.parse().ok())
        {
            return Ok(HostPort(SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                port,
            )));
        }
        text.parse()
            .map(HostPort)
            .map_err(|_| format!("{s:?} is not ADDR:PORT, for example 127.0.0.1:7401 or :0"))
    }
}

/// `KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair(pub String, pub String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(s: &str) -> Result<Pair, String> {
        match s.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Pair(key.trim().into(), value.trim().into()))
            }
            _ => Err(format!("{s:?} is not KEY=VALUE")),
        }
    }
}

/// `Name: value`, as curl takes headers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header(pub String, pub String);

impl FromStr for Header {
    type Err = String;

    fn from_str(s: &str) -> Result<Header, String> {
        match s.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Header(name.trim().into(), value.trim().into()))
            }
            _ => Err(format!("{s:?} is not \"Name: value\"")),
        }
    }
}

/// Reads a value from its text in a file.
pub(super) fn from_text<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(d)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Reads a list of values from their texts in a file.
pub(super) fn from_texts<'de, D, T>(d: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let texts = Vec::<String>::deserialize(d)?;
    texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect::<Result<Vec<T>, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_and_port_may_leave_out_loopback_and_may_be_a_url() {
        let of = |text: &str| text.parse::<HostPort>().map(|hp| hp.0.to_string());
        assert_eq!(of(":0").unwrap(), "127.0.0.1:0");
        assert_eq!(of("localhost:80").unwrap(), "127.0.0.1:80");
        assert_eq!(of("http://[::1]:7401/").unwrap(), "[::1]:7401");
        for bad in ["", "7401", "127.0.0.1", "host:1", ":99999"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_address_says_what_it_should_look_like() {
        let error = "10.0.0.1:7400".parse::<Bootstrap>().unwrap_err();
        assert!(error.contains("/ip4/ADDR/tcp/PORT"), "{error}");
        assert!("/ip4/10.0.0.1/udp/1".parse::<Bootstrap>().is_err());
        assert!("/dns/example.org/tcp/7400".parse::<Bootstrap>().is_ok());
        assert!("/ip4/0.0.0.0/tcp/0".parse::<ListenOn>().is_ok());
        assert!("/dns/example.org/tcp/1".parse::<ListenOn>().is_err());
    }

    #[test]
    fn pairs_and_headers_need_both_sides_of_their_mark() {
        assert_eq!("a=b=c".parse(), Ok(Pair("a".into(), "b=c".into())));
        assert!("=b".parse::<Pair>().is_err() && "ab".parse::<Pair>().is_err());
        assert_eq!("Host: a:1".parse(), Ok(Header("Host".into(), "a:1".into())));
        assert!("Host".parse::<Header>().is_err());
    }
}

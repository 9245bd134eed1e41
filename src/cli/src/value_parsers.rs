//! Parsing of values of options, variables and configuration keys. Each error shows the expected
//! form in one line.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use libp2p::Multiaddr;
use serde::de::{Deserialize, Deserializer, Error as _};

use vajra_network::{AddressError, check_bootstrap, check_listen};
use vajra_plan::parse_count;

/// Highest limit of `--fail-on-regression`: 100 times worse.
const MAX_LIMIT: f64 = 100.0;
/// Lowest rate of a plan, in arrivals per second.
const MIN_RATE: f64 = 0.001;
/// Highest rate of a plan in arrivals per second, and highest number of users.
const MAX_FULL_LOAD: f64 = 1e6;

/// A value that cannot be parsed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ValueError {
    /// Of `--bootstrap`.
    #[error(
        "{0:?} is not a multiaddress; write /ip4/ADDR/tcp/PORT or /dns/NAME/tcp/PORT, as in the \
         `listening` line of the other node"
    )]
    Bootstrap(String),
    /// Of `--listen`.
    #[error("{0:?} is not a multiaddress (expected for example /ip4/0.0.0.0/tcp/7400)")]
    Listen(String),
    /// A multiaddress of the wrong form.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Of an `ADDR:PORT`.
    #[error("{0:?} is not ADDR:PORT (expected for example 127.0.0.1:7401 or :0)")]
    HostPort(String),
    /// Of a `KEY=VALUE`.
    #[error("{0:?} is not KEY=VALUE")]
    Pair(String),
    /// Of a header.
    #[error("{0:?} is not \"Name: value\"")]
    Header(String),
    /// Of `--fail-on-regression`.
    #[error("{0:?} is not a limit (expected for example 10% or 0.1, from 0% to {max}%)", max = MAX_LIMIT * 100.0)]
    Limit(String),
    /// Of `scale --rate`.
    #[error("{0:?} is not a rate (expected for example 500 or 10k, from {min} to {max} per second)", min = MIN_RATE, max = MAX_FULL_LOAD)]
    Rate(String),
    /// Of `scale --users`.
    #[error("{0:?} is not a number of users (expected for example 50 or 2k, a whole number from 1 to {max})", max = MAX_FULL_LOAD)]
    Users(String),
    /// A word that is not in the list.
    #[error("{found:?} is not one of {expected}")]
    NotOneOf {
        /// The word.
        found: String,
        /// The list.
        expected: &'static str,
    },
}

/// A valid bootstrap address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap(pub Multiaddr);

impl FromStr for Bootstrap {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<Bootstrap, ValueError> {
        let address = s.parse::<Multiaddr>();
        let address = address.map_err(|_| ValueError::Bootstrap(s.into()))?;
        check_bootstrap(&address)?;
        Ok(Bootstrap(address))
    }
}

/// A valid listen address of the swarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenOn(pub Multiaddr);

impl FromStr for ListenOn {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<ListenOn, ValueError> {
        let address = s.parse::<Multiaddr>();
        let address = address.map_err(|_| ValueError::Listen(s.into()))?;
        check_listen(&address)?;
        Ok(ListenOn(address))
    }
}

/// `ADDR:PORT`. `:PORT` and `localhost:PORT` mean 127.0.0.1; `http://` in front is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostPort(pub SocketAddr);

impl FromStr for HostPort {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<HostPort, ValueError> {
        let text = s.strip_prefix("http://").unwrap_or(s);
        let text = text.strip_suffix('/').unwrap_or(text);
        let host = text.strip_prefix("localhost").unwrap_or(text);
        if let Some(port) = host.strip_prefix(':').and_then(|port| port.parse().ok()) {
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            return Ok(HostPort(SocketAddr::new(loopback, port)));
        }
        let address = text.parse().map(HostPort);
        address.map_err(|_| ValueError::HostPort(s.into()))
    }
}

/// `KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair(pub String, pub String);

impl FromStr for Pair {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<Pair, ValueError> {
        match s.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Pair(key.trim().into(), value.trim().into()))
            }
            _ => Err(ValueError::Pair(s.into())),
        }
    }
}

/// `Name: value`, as in curl.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header(pub String, pub String);

impl FromStr for Header {
    type Err = ValueError;

    fn from_str(s: &str) -> Result<Header, ValueError> {
        match s.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Header(name.trim().into(), value.trim().into()))
            }
            _ => Err(ValueError::Header(s.into())),
        }
    }
}

/// Parses `10%` or `0.1`: by how much a result may be worse than its baseline. Limits above
/// 100 % are valid.
///
/// # Errors
/// Not a limit from 0 % to 10,000 %.
pub fn parse_limit(text: &str) -> Result<f64, ValueError> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>() {
        // `10` more likely means 10 % than 1,000 %.
        Ok(n) if n >= 0.0 && (whole > 1.0 || n <= 1.0) && n / whole <= MAX_LIMIT => Ok(n / whole),
        _ => Err(ValueError::Limit(text.into())),
    }
}

/// Parses a full load in arrivals per second: `500`, `10k`.
///
/// # Errors
/// Not a rate that a plan can have.
pub fn parse_rate(text: &str) -> Result<f64, ValueError> {
    let rate = parse_count(text).ok();
    rate.filter(|rate| (MIN_RATE..=MAX_FULL_LOAD).contains(rate))
        .ok_or_else(|| ValueError::Rate(text.into()))
}

/// Parses a full load in users: `50`, `2k`.
///
/// # Errors
/// Not a number of users that a plan can have.
pub fn parse_users(text: &str) -> Result<u32, ValueError> {
    let users = parse_count(text).ok();
    users
        .filter(|users| users.fract() == 0.0 && (1.0..=MAX_FULL_LOAD).contains(users))
        .map(|users| users as u32)
        .ok_or_else(|| ValueError::Users(text.into()))
}

/// Deserializes a value from a string.
pub(super) fn from_text<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(d)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Deserializes a list of values from strings.
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
    fn an_address_may_omit_loopback_and_may_be_a_url() {
        let of = |text: &str| text.parse::<HostPort>().map(|hp| hp.0.to_string());
        assert_eq!(of(":0").unwrap(), "127.0.0.1:0");
        assert_eq!(of("localhost:80").unwrap(), "127.0.0.1:80");
        assert_eq!(of("http://[::1]:7401/").unwrap(), "[::1]:7401");
        for bad in ["", "7401", "127.0.0.1", "host:1", ":99999"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_address_error_shows_the_expected_form() {
        let error = "10.0.0.1:7400".parse::<Bootstrap>().unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/ip4/ADDR/tcp/PORT"), "{error}");
        assert!("/ip4/10.0.0.1/udp/1".parse::<Bootstrap>().is_err());
        assert!("/dns/example.org/tcp/7400".parse::<Bootstrap>().is_ok());
        assert!("/ip4/0.0.0.0/tcp/0".parse::<ListenOn>().is_ok());
        assert!("/dns/example.org/tcp/1".parse::<ListenOn>().is_err());
    }

    #[test]
    fn pairs_and_headers_need_a_separator_and_a_key() {
        assert_eq!("a=b=c".parse(), Ok(Pair("a".into(), "b=c".into())));
        assert!("=b".parse::<Pair>().is_err() && "ab".parse::<Pair>().is_err());
        assert_eq!("Host: a:1".parse(), Ok(Header("Host".into(), "a:1".into())));
        assert!("Host".parse::<Header>().is_err());
    }

    #[test]
    fn a_full_load_is_one_that_a_plan_can_have() {
        assert_eq!(parse_rate("10k"), Ok(10_000.0));
        assert_eq!(parse_rate("0.001"), Ok(0.001));
        for wrong in ["0", "-1", "0.0001", "2m", "many", ""] {
            let error = parse_rate(wrong).unwrap_err().to_string();
            assert!(
                error.contains("from 0.001 to 1000000 per second"),
                "{error}"
            );
        }
        assert_eq!(parse_users("1m"), Ok(1_000_000));
        for wrong in ["0", "-1", "1.5", "2m", "many", ""] {
            let error = parse_users(wrong).unwrap_err().to_string();
            assert!(
                error.contains("a whole number from 1 to 1000000"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_limit_is_a_share_and_a_bare_ten_is_refused() {
        assert_eq!(parse_limit("10%"), Ok(0.1));
        assert_eq!(parse_limit("0.05"), Ok(0.05));
        assert_eq!(parse_limit("150 %"), Ok(1.5));
        for wrong in ["10", "-1%", "ten", "inf%", "nan", "1e99%", ""] {
            let error = parse_limit(wrong).unwrap_err().to_string();
            assert!(error.contains("10% or 0.1"), "{wrong}");
        }
    }
}

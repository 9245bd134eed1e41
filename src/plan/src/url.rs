//! URLs of targets.

use std::fmt;

/// A checked `http://` or `https://` URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetUrl {
    /// Whether it is an `https://` URL.
    pub https: bool,
    /// Host name, or an IP address without brackets.
    pub host: String,
    /// Port; by default 80, or 443 for `https://`.
    pub port: u16,
    /// Path and query; at least `/`.
    pub path: String,
}

/// Why a URL is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// A protocol that no task supports.
    #[error("{0}:// is not supported; supported schemes are http:// and https://")]
    UnsupportedScheme(String),
    /// No scheme.
    #[error("{0:?} has no scheme: write http:// or https:// before it")]
    NoScheme(String),
    /// A character that URLs can't contain.
    #[error("{0:?} contains a character that must be percent-encoded")]
    NotEncoded(String),
    /// User name or password; the message doesn't repeat them.
    #[error("the URL contains credentials: use a header with an env: reference instead")]
    Credentials,
    /// A malformed IPv6 address.
    #[error("{0:?} contains a malformed IPv6 address")]
    Ipv6(String),
    /// No host.
    #[error("{0:?} has no host")]
    NoHost(String),
    /// A malformed host.
    #[error("{0:?} has a malformed host")]
    Host(String),
    /// A malformed port.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
    /// A host followed by something else than a port.
    #[error("{0:?} has something other than a port after its host")]
    AfterHost(String),
}

impl TargetUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// It is not such a URL.
    pub fn parse(text: &str) -> Result<TargetUrl, UrlError> {
        let illegal = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii();
        if text.chars().any(illegal) {
            return Err(UrlError::NotEncoded(shown(text)));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::NoScheme(shown(text)));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::UnsupportedScheme(scheme.to_owned())),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
                _ => return Err(UrlError::Ipv6(shown(text))),
            },
            None => match authority.find(':') {
                Some(at) => authority.split_at(at),
                None => (authority, ""),
            },
        };
        if host.is_empty() {
            return Err(UrlError::NoHost(shown(text)));
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => match https {
                true => 443,
                false => 80,
            },
            Some(digits) => match digits.parse::<u16>() {
                Ok(p) if p > 0 => p,
                _ => return Err(UrlError::Port(shown(text))),
            },
            None => return Err(UrlError::AfterHost(shown(text))),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~%:!$&'()*+,;=".contains(c);
        if !host.chars().all(legal) {
            return Err(UrlError::Host(shown(text)));
        }
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        Ok(TargetUrl {
            https,
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// Host, and port unless it is the default of the scheme: the value of a `Host` header.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == if self.https { 443 } else { 80 } {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// A URL in an error message: without user name, password and query, which may be secret.
pub fn shown(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (shown, rest) = text.split_at(end);
    let start = shown.find("://").map_or(0, |at| at + 3);
    let host_end = shown[start..].find('/').map_or(end, |at| start + at);
    let host = match shown[start..host_end].rfind('@') {
        Some(at) => start + at + 1,
        None => start,
    };
    let dots = if rest.is_empty() { "" } else { "?…" };
    let hidden = if host > start { "…@" } else { "" };
    format!("{}{hidden}{}{dots}", &shown[..start], &shown[host..])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_its_parts() {
        let url = TargetUrl::parse("http://example.com:8080/a?b=c#d").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.path.as_str()),
            ("example.com", 8080, "/a?b=c")
        );
        assert_eq!(
            TargetUrl::parse("HTTPS://h?q").unwrap().to_string(),
            "https://h/?q"
        );
        let v6 = TargetUrl::parse("http://[::1]:9000").unwrap();
        assert_eq!(
            (v6.host.as_str(), v6.authority().as_str()),
            ("::1", "[::1]:9000")
        );
    }

    #[test]
    fn errors_do_not_repeat_secrets() {
        for url in [
            "http://user:geheim@h:x/a?token=geheim",
            "http://h:99999/?token=geheim",
            "h/?token=geheim",
            "http://h/a b?token=geheim",
        ] {
            let error = TargetUrl::parse(url).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
        let error = TargetUrl::parse("http://h:99999/a?b=c").unwrap_err();
        assert_eq!(error, UrlError::Port("http://h:99999/a?…".into()));
    }

    #[test]
    fn malformed_urls_are_rejected() {
        for bad in [
            "",
            "example.com",
            "http://",
            "http:///path",
            "http://:80/",
            "ftp://h/",
            "http://h:0/",
            "http://h:99999/",
            "http://h:x/",
            "http://u:p@h/",
            "http://h/a b",
            "http://[::1/",
            "http://a\\b/",
            "http://[::1]x/",
        ] {
            assert!(TargetUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unsupported_schemes_are_rejected_with_the_supported_ones() {
        for scheme in ["ws", "wss", "grpc", "ftp", "WS"] {
            let error = TargetUrl::parse(&format!("{scheme}://h/")).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{scheme}:// is not supported; supported schemes are http:// and https://")
            );
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let error = TargetUrl::parse("http://user:geheim@h/").unwrap_err();
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
}

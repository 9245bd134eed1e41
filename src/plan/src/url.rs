//! Where an HTTP task goes: the few parts of a URL that matter, checked once.

use std::fmt;

/// A checked `http://` or `https://` URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetUrl {
    /// TLS is spoken.
    pub https: bool,
    /// Host name, or an IP address without brackets.
    pub host: String,
    /// Port; 80 or 443 where none was written.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

impl TargetUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// One line that repeats the URL and says what is wrong with it.
    pub fn parse(text: &str) -> Result<TargetUrl, String> {
        let fail = |problem: &str| Err(format!("{text:?} {problem}"));
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii())
        {
            return fail("holds a character that must be percent-encoded");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return fail("has no scheme: write http:// or https:// before it");
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return fail("has another scheme than http:// or https://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return fail("holds credentials: give them as a header with an env: reference");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
                _ => return fail("holds a malformed IPv6 address"),
            },
            None => match authority.find(':') {
                Some(at) => authority.split_at(at),
                None => (authority, ""),
            },
        };
        if host.is_empty() {
            return fail("has no host");
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(digits) => match digits.parse::<u16>() {
                Ok(p) if p > 0 => p,
                _ => return fail("has a port that is no number from 1 to 65535"),
            },
            None => return fail("holds something after its host that is no port"),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~%:!$&'()*+,;=".contains(c);
        if !host.chars().all(legal) {
            return fail("has a malformed host");
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

    /// Host, and port where it isn't the scheme's own: the value of a `Host` header.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url_are_told_apart() {
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
    fn urls_that_lead_nowhere_are_refused() {
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
}

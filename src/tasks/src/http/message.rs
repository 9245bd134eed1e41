//! A request that is built for one use, by a step of a scenario.

use bytes::Bytes;
use vajra_task::{Failure, FailureKind};

/// A request.
#[derive(Debug, Default)]
pub struct Message {
    /// Method.
    pub method: String,
    /// Scheme, host and port.
    pub origin: String,
    /// Path and query.
    pub path: String,
    /// Headers in order, `host` included.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Message {
    /// The bytes of the request in HTTP/1.1.
    ///
    /// # Errors
    /// A failure of kind `template`: a rendered text would break the request.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        self.check()?;
        let mut bytes = Vec::with_capacity(512 + self.body.len());
        for part in [self.method.as_str(), " ", &self.path, " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        for (name, value) in &self.headers {
            for part in [name.as_str(), ": ", value, "\r\n"] {
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// The request in HTTP/2.
    ///
    /// # Errors
    /// As [`Self::to_bytes`].
    pub fn to_request(&self) -> Result<http::Request<Bytes>, Failure> {
        self.check()?;
        let broken = |e: http::Error| Failure::new(FailureKind::Template, e.to_string());
        let mut request = http::Request::builder()
            .version(http::Version::HTTP_2)
            .method(self.method.as_str());
        let (scheme, mut authority) = self.origin.split_once("://").unwrap_or_default();
        for (name, value) in &self.headers {
            match name.eq_ignore_ascii_case("host") {
                true => authority = value,
                false => request = request.header(name, value),
            }
        }
        let uri = http::Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(self.path.as_str())
            .build()
            .map_err(broken)?;
        let body = Bytes::copy_from_slice(&self.body);
        request.uri(uri).body(body).map_err(broken)
    }

    /// Rejects rendered text that would end its line.
    fn check(&self) -> Result<(), Failure> {
        let stray = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii();
        if !self.path.starts_with('/') || self.path.contains(stray) {
            return Err(Failure::new(
                FailureKind::Template,
                "the URL contains a character that must be percent-encoded: use \
                 {{ … | urlencode }}",
            ));
        }
        let broken = |value: &str| value.contains(|c: char| c.is_control() && c != '\t');
        match self.headers.iter().find(|(_, value)| broken(value)) {
            Some((name, _)) => Err(Failure::new(
                FailureKind::Template,
                format!("the header {name:?} contains a control character"),
            )),
            None => Ok(()),
        }
    }
}

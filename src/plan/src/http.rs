//! HTTP requests of a plan: types and rules.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::PlanError;
use super::limits::{MAX_ADDRESSES, MAX_BODY, MAX_HEADERS, MAX_STREAMS};
use super::path::Path;
use super::ranges::{DAY, HOUR, MS, OutOfRange, lasting, number, within};
use super::units;

/// Request timeout where a plan sets none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Request method where a plan sets none.
pub const DEFAULT_METHOD: &str = "GET";

/// Headers that the engine sets itself; another value would break the connection.
const ENGINE_HEADERS: [&str; 4] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
];

/// One HTTP request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTask {
    /// `http://` or `https://` URL with a host.
    pub url: String,
    /// HTTP version.
    #[serde(default, skip_serializing_if = "HttpVersion::is_default")]
    pub version: HttpVersion,
    /// HTTP/2: concurrent requests on one connection (1 to 1,000; default 1).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub streams: u32,
    /// Request method (default `GET`).
    pub method: String,
    /// Request headers in order. A value `env:NAME` or `file:PATH` is a reference that each
    /// worker resolves itself, if its own allow-list permits it; the resolved value is never sent
    /// to other nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Request body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Length of a generated, incompressible body in bytes, instead of `body` (at most 64 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size: Option<u64>,
    /// Longest time from the send to the end of the response (1 ms to 1 h; default 10 s).
    #[serde(with = "units::as_text")]
    pub timeout: Duration,
    /// Whether any TLS certificate is accepted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Other TLS settings.
    #[serde(default, skip_serializing_if = "TlsOptions::is_default")]
    pub tls: TlsOptions,
    /// Whether every request opens a new connection.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_keepalive: bool,
    /// Addresses to connect to in round-robin order, instead of those that the URL's host
    /// resolves to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SocketAddr>,
    /// Interval at which the URL's host is resolved again (1 s to 24 h); without it, once.
    #[serde(
        default,
        with = "units::as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub dns_refresh: Option<Duration>,
}

impl HttpTask {
    /// A `GET` request of a URL with default settings.
    pub fn get(url: &str) -> HttpTask {
        HttpTask {
            url: url.to_owned(),
            method: DEFAULT_METHOD.to_owned(),
            version: HttpVersion::default(),
            streams: 1,
            headers: Vec::new(),
            body: String::new(),
            body_size: None,
            timeout: DEFAULT_TIMEOUT,
            insecure: false,
            tls: TlsOptions::default(),
            disable_keepalive: false,
            addresses: Vec::new(),
            dns_refresh: None,
        }
    }

    /// Checks every field except the URL. `table` is the table of the plan file: `task` or
    /// `http`.
    ///
    /// # Errors
    /// The first field that is not allowed.
    pub fn validate(&self, table: &str) -> Result<(), PlanError> {
        let key = |key: &str| format!("{table}.{key}");
        validate_request(&self.method, &self.headers).map_err(|e| e.in_table(table))?;
        if let Some(size) = self.body_size {
            within(&key("body_size"), size, 0, MAX_BODY)?;
            if !self.body.is_empty() {
                return Err(PlanError::field(
                    &key("body_size"),
                    format!("is for a generated body; leave it or {table}.body out"),
                ));
            }
        }
        self.validate_connections(table)?;
        lasting(&key("timeout"), self.timeout, MS, HOUR)
    }

    fn validate_connections(&self, table: &str) -> Result<(), PlanError> {
        let key = |key: &str| format!("{table}.{key}");
        let streams = u64::from(self.streams);
        within(&key("streams"), streams, 1, MAX_STREAMS)?;
        if self.streams > 1 && self.version == HttpVersion::One {
            return Err(PlanError::field(
                &key("streams"),
                format!("is for HTTP/2: set {table}.version to \"2\", or leave it out"),
            ));
        }
        if self.streams > 1 && self.disable_keepalive {
            return Err(PlanError::field(
                &key("streams"),
                format!(
                    "can't be combined with {table}.disable_keepalive, a new connection for each \
                     request"
                ),
            ));
        }
        let addresses = self.addresses.len() as u64;
        within(&key("addresses"), addresses, 0, MAX_ADDRESSES)?;
        if let Some(interval) = self.dns_refresh {
            lasting(&key("dns_refresh"), interval, 1000 * MS, DAY)?;
            if !self.addresses.is_empty() {
                return Err(PlanError::field(
                    &key("dns_refresh"),
                    format!(
                        "can't be combined with {table}.addresses, which replace name resolution"
                    ),
                ));
            }
        }
        self.tls.validate(table, self.url.starts_with("https:"))
    }
}

/// HTTP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2: negotiated by ALPN with TLS, with prior knowledge without TLS.
    #[serde(rename = "2")]
    Two,
}

impl HttpVersion {
    fn is_default(&self) -> bool {
        *self == HttpVersion::default()
    }
}

/// TLS settings. A certificate is PEM text, or a reference `env:NAME` or `file:PATH` that each
/// worker resolves itself, if its own allow-list permits it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("dependentRequired" = {"client_cert": ["client_key"], "client_key": ["client_cert"]}))]
pub struct TlsOptions {
    /// Trusted certificate authorities, instead of those of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Client certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// Private key of the client certificate. Always a reference: keys are not sent with a plan.
    #[schemars(regex(pattern = r"^(env|file):"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// Whether a new connection resumes an earlier TLS session, as browsers do. Otherwise each
    /// makes a full handshake, as on a first visit.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "is_false")]
    pub resume: bool,
}

impl TlsOptions {
    fn is_default(&self) -> bool {
        *self == TlsOptions::default()
    }

    fn validate(&self, table: &str, https: bool) -> Result<(), PlanError> {
        let wrong =
            |key: &str, problem: &str| Err(PlanError::field(&format!("{table}.tls{key}"), problem));
        if !https && !self.is_default() {
            return wrong("", "is for https:// URLs; the plan's is an http:// one");
        }
        match (&self.client_cert, &self.client_key) {
            (Some(_), None) => wrong(
                ".client_key",
                "is missing; a client certificate needs its private key",
            ),
            (None, Some(_)) => wrong(
                ".client_cert",
                "is missing; a client key needs its certificate",
            ),
            (_, Some(key)) if !is_reference(key) => wrong(
                ".client_key",
                "must be a reference, env:NAME or file:PATH: private keys are not sent with a plan",
            ),
            _ => Ok(()),
        }
    }
}

/// Whether a value is a reference that each worker resolves itself: `env:NAME` or `file:PATH`.
pub fn is_reference(value: &str) -> bool {
    value.starts_with("env:") || value.starts_with("file:")
}

/// Why a request can't be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// The method is not an HTTP token, or is `CONNECT`.
    #[error("{0:?} is not a request method such as GET or POST")]
    Method(String),
    /// Too many headers.
    #[error(transparent)]
    HeaderCount(OutOfRange),
    /// The name of a header is not an HTTP token.
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    /// The engine sets this header.
    #[error("{0:?} is set by the engine itself")]
    EngineHeader(String),
    /// The value of this header contains a control character.
    #[error("the value of {0:?} contains a control character")]
    HeaderValue(String),
}

impl RequestError {
    /// The key that is wrong: `method` or `headers`.
    pub fn key(&self) -> &'static str {
        match self {
            RequestError::Method(_) => "method",
            _ => "headers",
        }
    }

    /// The path of the value that is wrong, below its table.
    pub fn path(&self) -> Path {
        let key = Path::dotted(self.key());
        match self {
            RequestError::Method(_) | RequestError::HeaderCount(_) => key,
            RequestError::HeaderName(name)
            | RequestError::EngineHeader(name)
            | RequestError::HeaderValue(name) => key.then(name.as_str()),
        }
    }

    fn in_table(&self, table: &str) -> PlanError {
        let path = Path::dotted(table).join(&self.path());
        PlanError::at(path, self).labelled(format!("{table}.{}", self.key()))
    }
}

/// Checks a request's method and headers.
///
/// # Errors
/// The first of them that can't be sent.
pub fn validate_request(method: &str, headers: &[(String, String)]) -> Result<(), RequestError> {
    if !is_token(method) || method.len() > 32 || method == "CONNECT" {
        return Err(RequestError::Method(method.to_owned()));
    }
    number(headers.len() as u64, 0, MAX_HEADERS as u64).map_err(RequestError::HeaderCount)?;
    for (name, value) in headers {
        if !is_token(name) {
            return Err(RequestError::HeaderName(name.clone()));
        }
        if ENGINE_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(RequestError::EngineHeader(name.clone()));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(RequestError::HeaderValue(name.clone()));
        }
    }
    Ok(())
}

fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

fn is_false(b: &bool) -> bool {
    !b
}

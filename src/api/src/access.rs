//! Access control: the checks before every handler.
//!
//! A web page in a visitor's browser can send requests to loopback. It cannot choose their Host (after
//! DNS rebinding that is the page's own name), omit their origin (`Origin` if it reads the response,
//! else `Sec-Fetch-Site`), or send `application/json` (or anything by `PUT`) without a CORS preflight
//! request, which fails. So these are checked.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq as _;

use super::dashboard;
use super::paths::{HEALTH, OPENAPI_DOCUMENT, OPENAPI_PAGE};
use super::problem::Problem;
use super::state::Shared;

/// Paths that need no token.
const PUBLIC: [&str; 3] = [HEALTH, OPENAPI_DOCUMENT, OPENAPI_PAGE];

/// Relation between the site that sends a request and the target (Fetch Metadata, W3C).
const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// Middleware that rejects requests without access.
pub(super) async fn check_access(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    match check(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = single(headers, header::HOST)?
        .or(request.uri().authority().map(|a| a.as_str()))
        .ok_or_else(|| Problem::bad_request("the request has no Host header"))?;
    if shared.token.is_none() && !is_local(host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("Host {host:?} is not this machine's loopback; use 127.0.0.1, or set a token"),
        ));
    }
    if let Some(origin) = single(headers, header::ORIGIN)? {
        let site = origin.strip_prefix("http://");
        let site = site.or(origin.strip_prefix("https://"));
        if !site.is_some_and(|site| site.eq_ignore_ascii_case(host)) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("web pages of {origin:?} may not use this API"),
            ));
        }
    }
    // A page of another site could not read the response, but its requests could keep the node busy.
    let site = single(headers, SEC_FETCH_SITE)?;
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) && !is_public(request) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "web pages of other sites may not use this API",
        ));
    }
    if let Some(token) = &shared.token
        && !is_public(request)
    {
        let sent = single(headers, header::AUTHORIZATION)?.and_then(bearer);
        if !sent.is_some_and(|sent| is_same_token(sent, token)) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this API needs `Authorization: Bearer TOKEN`; the command line takes it from VAJRA_API_TOKEN",
            ));
        }
    }
    let has_body = single(headers, header::CONTENT_LENGTH)?.is_some_and(|n| n != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    let media_type = single(headers, header::CONTENT_TYPE)?.and_then(|t| t.split(';').next());
    // A page of another site can send neither type without a CORS preflight request.
    let expected = match *request.method() == Method::PUT {
        true => "application/octet-stream",
        false => "application/json",
    };
    let is_expected = media_type.is_some_and(|t| t.trim().eq_ignore_ascii_case(expected));
    if (request.method() == Method::POST || has_body) && !is_expected {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send the body as `Content-Type: {expected}`"),
        ));
    }
    Ok(())
}

/// Whether a request needs no token: reads of [`PUBLIC`] and of the dashboard's files. The files
/// contain no secrets, and the page must be loaded before it can ask for the token.
fn is_public(request: &Request) -> bool {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && (PUBLIC.contains(&path) || dashboard::is_file(path))
}

/// The value of a header. A repeated header or a value that is not text is an error.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => Err(Problem::bad_request(format!(
            "the header {name} is repeated or is not plain text"
        ))),
    }
}

/// The token of a bearer authorization. Names of schemes are case-insensitive (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Whether a Host header is a loopback address or `localhost`, with or without a port.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.contains(':') => (v6, rest),
        Some(_) => return false,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    port && (name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

/// Compares in a time that does not depend on the position of the first difference.
fn is_same_token(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_local() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:7401",
            "127.8.8.8:1",
            "localhost",
            "LocalHost:7401",
            "[::1]",
            "[::1]:7401",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7401",
            "127.0.0.1.evil.example",
            "127.0.0.1:7401@evil.example",
            "[::1]evil.example",
            "[127.0.0.1]",
            "[::1",
            "10.0.0.1:7401",
            "0.0.0.0",
            "localhost.evil.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn the_scheme_of_a_bearer_token_is_case_insensitive() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn tokens_must_match_completely() {
        assert!(is_same_token("secret", "secret"));
        for (a, b) in [("secret", "secreT"), ("secret", "secre"), ("", "s")] {
            assert!(!is_same_token(a, b), "{a} {b}");
        }
    }
}

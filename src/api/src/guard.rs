//! Who may ask: the checks before every route.
//!
//! A page in a visitor's browser can send requests to loopback. It cannot choose their Host
//! (after DNS rebinding that is the page's own name), nor leave out where they come from (Origin
//! where it wants the answer, else `Sec-Fetch-Site`), nor send `application/json` (or anything by
//! `PUT`) without asking first. So these are what is checked.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::openapi::{DOCUMENT, PAGE};
use super::problem::Problem;
use super::routes::HEALTH;
use super::{Shared, dashboard};

/// What needs no token: nothing in it is about this node or its swarm, but whether it is well.
const OPEN: [&str; 3] = [HEALTH, DOCUMENT, PAGE];

/// Where a browser says that a request comes from.
const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match check(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = one(headers, header::HOST)?
        .or(request.uri().authority().map(|a| a.as_str()))
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the request has no Host header"))?;
    if shared.token.is_none() && !is_local(host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("Host {host:?} is not this machine's loopback; use 127.0.0.1, or set a token"),
        ));
    }
    if let Some(origin) = one(headers, header::ORIGIN)? {
        let site = origin.strip_prefix("http://");
        let site = site.or(origin.strip_prefix("https://"));
        if !site.is_some_and(|site| site.eq_ignore_ascii_case(host)) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("pages of {origin:?} may not use this API"),
            ));
        }
    }
    // Without being able to read the answer, another site's page can still ask, and keep the
    // node busy: a browser says so (Fetch Metadata, W3C).
    let from = one(headers, SITE)?;
    if from.is_some_and(|from| !matches!(from, "same-origin" | "none")) && !is_open(request) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of other sites may not use this API",
        ));
    }
    if let Some(token) = &shared.token
        && !is_open(request)
    {
        let shown = one(headers, header::AUTHORIZATION)?.and_then(bearer);
        if !shown.is_some_and(|shown| same(shown.as_bytes(), token.as_bytes())) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this API needs `Authorization: Bearer TOKEN`; the command line takes it from VAJRA_API_TOKEN",
            ));
        }
    }
    let has_body = one(headers, header::CONTENT_LENGTH)?.is_some_and(|n| n != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    let kind = one(headers, header::CONTENT_TYPE)?.and_then(|kind| kind.split(';').next());
    // Neither kind can be sent by a page of another site without asking first.
    let wanted = match *request.method() == Method::PUT {
        true => "application/octet-stream",
        false => "application/json",
    };
    let is_wanted = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted));
    if (request.method() == Method::POST || has_body) && !is_wanted {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send the body as `Content-Type: {wanted}`"),
        ));
    }
    Ok(())
}

/// What is answered without the token: [`OPEN`], and the dashboard's files. They hold no
/// secret, and a page that is to ask for the token must be there first.
fn is_open(request: &Request) -> bool {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && (OPEN.contains(&path) || dashboard::is_file(path))
}

/// A header's value; one that is there twice, or is no plain text, is not taken for absent.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the header {name} is there twice, or is no plain text"),
        )),
    }
}

/// The token shown; a scheme's name may be written in either case (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Whether a Host header names loopback, by address or as `localhost`, with or without a
/// port, and is nothing else.
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

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
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
    fn a_bearer_token_is_shown_under_its_scheme_in_either_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn tokens_are_the_same_only_as_a_whole() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secreT") && !same(b"secret", b"secre") && !same(b"", b"s"));
    }
}

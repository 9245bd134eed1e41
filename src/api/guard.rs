//! Who may ask: the checks before every route.
//!
//! A page in a visitor's browser can send requests to loopback. It cannot choose their Host
//! (after DNS rebinding that is the page's own name) nor leave out their Origin, nor send
//! `application/json` without asking first. So these three are what is checked.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::Problem;

pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match check(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = text(headers, header::HOST).or(request.uri().authority().map(|a| a.as_str()));
    let Some(host) = host else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the request has no Host header",
        ));
    };
    if shared.token.is_none() && !is_local(host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("Host {host:?} is not this machine's loopback; use 127.0.0.1, or set a token"),
        ));
    }
    if let Some(origin) = text(headers, header::ORIGIN)
        && origin
            .strip_prefix("http://")
            .or(origin.strip_prefix("https://"))
            != Some(host)
    {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("pages of {origin:?} may not use this API"),
        ));
    }
    if let Some(token) = &shared.token {
        let shown = text(headers, header::AUTHORIZATION).and_then(|a| a.strip_prefix("Bearer "));
        if !shown.is_some_and(|shown| same(shown.as_bytes(), token.as_bytes())) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this API needs `Authorization: Bearer TOKEN`; the command line takes it from VAJRA_API_TOKEN",
            ));
        }
    }
    let has_body = text(headers, header::CONTENT_LENGTH).is_some_and(|n| n != "0")
        || headers.contains_key(header::TRANSFER_ENCODING);
    let is_json = text(headers, header::CONTENT_TYPE).is_some_and(|t| {
        t.split(';')
            .next()
            .is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json"))
    });
    if (request.method() == Method::POST || has_body) && !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as `Content-Type: application/json`",
        ));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a Host header names loopback, by address or as `localhost`.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

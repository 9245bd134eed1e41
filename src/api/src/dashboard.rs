//! The dashboard's files: a page and what it loads, kept in the binary, so that they work
//! without the internet and always fit the node that serves them.
//!
//! They hold no secret and are served without a token; what they show they ask the API for,
//! like any other client. Nothing is loaded from elsewhere, and the policy sent along forbids
//! it.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Shared;
use super::problem::Problem;
use vajra_plan::Sha256;
use vajra_report::{assets, html};

/// Below this path lie the files that the page loads.
const BELOW: &str = "/assets/";
/// The page itself.
const INDEX: &str = "index.html";

/// Scripts and data from here alone, nobody frames the page, nothing is sent elsewhere. Styles
/// in attributes are what the charts' tooltips are made with.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A file of the dashboard.
struct Asset {
    /// Below [`BELOW`].
    path: &'static str,
    bytes: &'static [u8],
    /// The bytes are compressed.
    gzip: bool,
    /// Changes with the bytes.
    tag: String,
}

impl Asset {
    fn new(path: &'static str, bytes: &'static [u8], gzip: bool) -> Asset {
        let digest = Sha256::of(bytes).to_string();
        Asset {
            path,
            bytes,
            gzip,
            tag: format!("\"{}\"", &digest[..16]),
        }
    }

    fn kind(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        vec![$(Asset::new($path, include_bytes!(concat!("dashboard/", $path)), false)),*]
    };
}

/// Every file, its tag worked out once.
static FILES: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let mut files = files![
        "css/base.css",
        "css/pages.css",
        "css/parts.css",
        "icon.svg",
        "index.html",
        "js/api.js",
        "js/dom.js",
        "js/format.js",
        "js/live.js",
        "js/main.js",
        "js/panel.js",
        "js/theme.js",
        "js/timeline.js",
        "js/ui.js",
        "pages/compare.js",
        "pages/graph.js",
        "pages/history.js",
        "pages/start.js",
        "pages/start/fields.js",
        "pages/start/form.js",
        "pages/start/outline.js",
        "pages/start/preflight.js",
        "pages/start/schema.js",
        "pages/swarm.js",
        "pages/test.js",
        "pages/test/actions.js",
        "pages/test/charts.js",
        "pages/test/head.js",
        "pages/test/tables.js",
        "pages/test/tiles.js",
    ];
    files.push(Asset::new("charts.js", html::CHARTS.as_bytes(), false));
    // Everything that a browser runs today takes gzip; what does not can still have the API.
    files.push(Asset::new("echarts.js", assets::ECHARTS_GZ, true));
    files
});

/// The page at the root, and its files.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(
            "/",
            get(|headers: HeaderMap| async move { file(INDEX, &headers) }),
        )
        .route(
            "/assets/{*path}",
            get(
                |Path(path): Path<String>, headers: HeaderMap| async move { file(&path, &headers) },
            ),
        )
}

/// Whether this path is one of the dashboard's own files, which need no token.
pub(super) fn is_file(path: &str) -> bool {
    path == "/" || path.starts_with(BELOW)
}

/// A file, or the word that the caller's copy is still the same.
fn file(path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = FILES.iter().find(|asset| asset.path == path) else {
        return Problem::new(StatusCode::NOT_FOUND, "the dashboard has no such file")
            .into_response();
    };
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    let same = known.is_some_and(|tags| tags.split(',').any(|tag| matches(tag, &asset.tag)));
    let mut response = match same {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(asset.bytes).into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        // Tags are hexadecimal digits, the rest is written above: all are visible ASCII.
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &asset.tag);
    // Kept, but asked for each time: after an upgrade no page runs with old files.
    set(header::CACHE_CONTROL, "no-cache");
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if !same {
        set(header::CONTENT_TYPE, asset.kind());
        if asset.gzip {
            set(header::CONTENT_ENCODING, "gzip");
        }
    }
    response
}

/// Weak comparison (RFC 9110, section 8.8.3.2), which is the one for `If-None-Match`.
fn matches(asked: &str, tag: &str) -> bool {
    let asked = asked.trim();
    asked == "*" || asked.strip_prefix("W/").unwrap_or(asked) == tag
}

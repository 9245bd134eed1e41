//! The files of the dashboard, embedded in the binary, so that they work without internet access and
//! always match the node that serves them.
//!
//! They contain no secrets and need no token; the page gets its data from the API like any other
//! client. Nothing is loaded from elsewhere, and the content security policy forbids it.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::problem::Problem;
use super::state::Shared;
use vajra_plan::Sha256;
use vajra_report::{assets, html};

/// Path of the files that the page loads.
const ASSETS: &str = "/assets/";
/// The page itself.
const INDEX: &str = "index.html";

/// Scripts and data only from this node; no frames, and nothing is sent elsewhere. The tooltips of the
/// charts use style attributes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "src/dashboard/"]
struct Files;

/// A file as it is sent.
#[derive(Clone)]
struct Asset {
    bytes: Bytes,
    /// Whether the bytes are compressed with gzip.
    gzip: bool,
    /// Entity tag: a hash of the bytes, in quotes.
    etag: String,
}

impl Asset {
    /// The file at this path below [`ASSETS`].
    fn at(path: &str) -> Option<Asset> {
        // Files that reports also contain.
        static CHARTS: LazyLock<Asset> =
            LazyLock::new(|| Asset::new(html::CHARTS.as_bytes(), false));
        // All current browsers accept gzip; other clients can use the API.
        static ECHARTS: LazyLock<Asset> = LazyLock::new(|| Asset::new(assets::ECHARTS_GZ, true));
        match path {
            "charts.js" => Some(CHARTS.clone()),
            "echarts.js" => Some(ECHARTS.clone()),
            _ => Files::get(path).map(|file| Asset {
                etag: etag(Sha256(file.metadata.sha256_hash())),
                bytes: match file.data {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => bytes.into(),
                },
                gzip: false,
            }),
        }
    }

    fn new(bytes: &'static [u8], gzip: bool) -> Asset {
        Asset {
            etag: etag(Sha256::of(bytes)),
            bytes: Bytes::from_static(bytes),
            gzip,
        }
    }
}

fn etag(digest: Sha256) -> String {
    format!("\"{}\"", &digest.to_string()[..16])
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

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

/// Whether this is the path of a dashboard file, which needs no token.
pub(super) fn is_file(path: &str) -> bool {
    path == "/" || path.starts_with(ASSETS)
}

/// A file, or 304 if the client has its current version.
fn file(path: &str, request: &HeaderMap) -> Response {
    let Some(asset) = Asset::at(path) else {
        return Problem::new(StatusCode::NOT_FOUND, "the dashboard has no such file")
            .into_response();
    };
    let known = request
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| matches(tag, &asset.etag)));
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(asset.bytes).into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        // Entity tags are hexadecimal and all other values are constants, so all are valid.
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &asset.etag);
    // Browsers revalidate files on every load, so that no page uses old files after an upgrade.
    set(header::CACHE_CONTROL, "no-cache");
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if !unchanged {
        set(header::CONTENT_TYPE, media_type(path));
        if asset.gzip {
            set(header::CONTENT_ENCODING, "gzip");
        }
    }
    response
}

/// Weak comparison (RFC 9110, section 8.8.3.2), as required for `If-None-Match`.
fn matches(candidate: &str, etag: &str) -> bool {
    let candidate = candidate.trim();
    candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
}

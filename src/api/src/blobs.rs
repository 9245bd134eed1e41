//! Data files, by their SHA-256: whoever starts a test whose plan names some puts them here
//! first.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

use super::Shared;
use super::answers::Stored;
use super::extract::Segment;
use super::openapi::{BodyProblems, Problems};
use super::problem::Problem;
use vajra_plan::{MAX_DATA_FILE, Sha256};
use vajra_runtime::blobs::{BlobError, Blobs, Writer};

/// Bytes written or read at a time.
const PIECE: usize = 1 << 20;
/// How long the next bytes of a body may take.
const PIECE_WAIT: Duration = Duration::from_secs(30);

fn digest(text: &str) -> Result<Sha256, Problem> {
    let parsed = text.parse::<Sha256>();
    parsed.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.to_string()))
}

/// A data file; `HEAD` only asks whether it is there.
#[utoipa::path(
    get, path = "/blobs/{digest}", tag = "data", operation_id = "get_blob", params(("digest" = String, Path, description = "The file's SHA-256 in hexadecimal")),
    responses(
        (status = 200, description = "Its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "It is not here", body = Problem,
            content_type = "application/problem+json"),
        Problems,
    )
)]
pub(super) async fn get(
    State(s): State<Shared>,
    Segment(name): Segment,
) -> Result<Response, Problem> {
    let digest = digest(&name)?;
    let blobs = s.node.blobs().await?;
    let total = blobs.has(digest).ok_or_else(|| {
        let text = format!("no data file {digest} is on this node; PUT it here first");
        Problem::new(StatusCode::NOT_FOUND, text)
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, total.to_string()),
    ];
    // Kept while somebody reads it.
    let hold = Arc::new(blobs.hold([digest]));
    let parts = futures::stream::unfold(0, move |offset| {
        let (blobs, hold) = (blobs.clone(), hold.clone());
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let _hold = hold;
                blobs.part(digest, offset, PIECE)
            });
            let part = match read.await {
                Ok(Ok(Some((_, part)))) if part.is_empty() => return None,
                Ok(Ok(Some((_, part)))) => Ok(Bytes::from(part)),
                Ok(Ok(None)) => return None,
                Ok(Err(e)) => Err(e),
                Err(e) => Err(std::io::Error::other(e)),
            };
            let next = offset + part.as_ref().map_or(MAX_DATA_FILE, |p| p.len() as u64);
            Some((part, next))
        }
    });
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// Hands over a data file.
#[utoipa::path(
    put, path = "/blobs/{digest}", tag = "data", operation_id = "put_blob", params(("digest" = String, Path, description = "The file's SHA-256 in hexadecimal")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It was there", body = Stored),
        (status = 201, description = "It is here now", body = Stored),
        (status = 507, description = "There is no room for it", body = Problem,
            content_type = "application/problem+json"),
        Problems, BodyProblems,
    )
)]
pub(super) async fn put(
    State(s): State<Shared>,
    Segment(name): Segment,
    body: Body,
) -> Result<Response, Problem> {
    let digest = digest(&name)?;
    let blobs = s.node.blobs().await?;
    let there = blobs.has(digest);
    let bytes = match there {
        // What comes is read all the same: many clients ask for the answer only then.
        Some(bytes) => {
            receive(body, None).await?;
            bytes
        }
        None => take(&blobs, digest, body).await?,
    };
    let status = match there {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let stored = Stored {
        digest: digest.to_string(),
        bytes,
    };
    Ok((status, Json(stored)).into_response())
}

async fn take(blobs: &Blobs, digest: Sha256, body: Body) -> Result<u64, Problem> {
    let writer = blobs.writer(digest).map_err(BlobError::from)?;
    let writer = receive(body, Some(writer)).await?;
    let Some(writer) = writer else {
        return Ok(0);
    };
    let bytes = writer.written();
    in_background(move || writer.commit()).await?;
    Ok(bytes)
}

/// Reads a body to its end, in pieces.
async fn receive(body: Body, mut writer: Option<Writer>) -> Result<Option<Writer>, Problem> {
    let mut stream = body.into_data_stream();
    let (mut piece, mut length) = (Vec::new(), 0);
    loop {
        let next = tokio::time::timeout(PIECE_WAIT, stream.next()).await;
        let next = next.map_err(|_| {
            let text = format!("the body stopped coming for {} s", PIECE_WAIT.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, text)
        })?;
        let next = next.transpose().map_err(|e| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {e}"))
        })?;
        let ended = next.is_none();
        let bytes = next.unwrap_or_default();
        length += bytes.len() as u64;
        if length > MAX_DATA_FILE {
            return Err(BlobError::TooLarge.into());
        }
        let Some(mut taking) = writer.take() else {
            match ended {
                true => return Ok(None),
                false => continue,
            }
        };
        piece.extend_from_slice(&bytes);
        if ended || piece.len() >= PIECE {
            let full = std::mem::take(&mut piece);
            taking = in_background(move || taking.write(&full).map(|()| taking)).await?;
        }
        writer = Some(taking);
        if ended {
            return Ok(writer);
        }
    }
}

/// Does what may block.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(e) => Err(BlobError::Io(std::io::Error::other(e)).into()),
    }
}

//! Data files, addressed by their SHA-256. A client uploads the files of a plan before it starts the
//! test.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

use super::extract::PathParams;
use super::openapi::{BodyProblems, Problems};
use super::problem::Problem;
use super::state::Shared;
use super::types::{BlobPath, StoredBlob};
use vajra_plan::{MAX_DATA_FILE, Sha256};
use vajra_runtime::blobs::{BlobError, Blobs, Writer};

/// Bytes that are written or read at once.
const CHUNK: usize = 1 << 20;
/// Time limit for the next bytes of a body.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);

fn digest(text: &str) -> Result<Sha256, Problem> {
    let parsed = text.parse::<Sha256>();
    parsed.map_err(|e| Problem::bad_request(e.to_string()))
}

/// Get a data file. `HEAD` checks whether the node has it.
#[utoipa::path(
    get, path = "/blobs/{digest}", tag = "data", operation_id = "get_blob", params(BlobPath),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "The node does not have the file", body = Problem,
            content_type = "application/problem+json"),
        Problems,
    )
)]
pub(super) async fn get(
    State(s): State<Shared>,
    PathParams(path): PathParams<BlobPath>,
) -> Result<Response, Problem> {
    let digest = digest(&path.digest)?;
    let blobs = s.node.blobs().await?;
    let total = blobs.has(digest).ok_or_else(|| {
        let text = format!("no data file {digest} on this node; PUT it here first");
        Problem::new(StatusCode::NOT_FOUND, text)
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, total.to_string()),
    ];
    // The file is not evicted while it is being read.
    let hold = Arc::new(blobs.hold([digest]));
    let chunks = futures::stream::unfold(0, move |offset| {
        let (blobs, hold) = (blobs.clone(), hold.clone());
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let _hold = hold;
                blobs.part(digest, offset, CHUNK)
            });
            let chunk = match read.await {
                Ok(Ok(Some((_, chunk)))) if chunk.is_empty() => return None,
                Ok(Ok(Some((_, chunk)))) => Ok(Bytes::from(chunk)),
                Ok(Ok(None)) => return None,
                Ok(Err(e)) => Err(e),
                Err(e) => Err(std::io::Error::other(e)),
            };
            let next = offset + chunk.as_ref().map_or(MAX_DATA_FILE, |c| c.len() as u64);
            Some((chunk, next))
        }
    });
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Upload a data file.
#[utoipa::path(
    put, path = "/blobs/{digest}", tag = "data", operation_id = "put_blob", params(BlobPath),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The node already had the file", body = StoredBlob),
        (status = 201, description = "The file was stored", body = StoredBlob),
        (status = 507, description = "No space: the files of running tests use all of it",
            body = Problem, content_type = "application/problem+json"),
        Problems, BodyProblems,
    )
)]
pub(super) async fn put(
    State(s): State<Shared>,
    PathParams(path): PathParams<BlobPath>,
    body: Body,
) -> Result<Response, Problem> {
    let digest = digest(&path.digest)?;
    let blobs = s.node.blobs().await?;
    let (status, bytes) = match blobs.has(digest) {
        Some(bytes) => {
            // The body is read anyway: many clients read the response only after sending it.
            receive(body, None).await?;
            (StatusCode::OK, bytes)
        }
        None => (StatusCode::CREATED, store(&blobs, digest, body).await?),
    };
    let stored = StoredBlob {
        digest: digest.to_string(),
        bytes,
    };
    Ok((status, Json(stored)).into_response())
}

async fn store(blobs: &Blobs, digest: Sha256, body: Body) -> Result<u64, Problem> {
    let writer = blobs.writer(digest).map_err(BlobError::from)?;
    let writer = receive(body, Some(writer)).await?;
    let Some(writer) = writer else {
        return Ok(0);
    };
    let bytes = writer.written();
    blocking(move || writer.commit()).await?;
    Ok(bytes)
}

/// Reads a body to its end and writes it in chunks, or discards it without a writer.
async fn receive(body: Body, mut writer: Option<Writer>) -> Result<Option<Writer>, Problem> {
    let mut stream = body.into_data_stream();
    let (mut chunk, mut length) = (Vec::new(), 0);
    loop {
        let next = tokio::time::timeout(CHUNK_TIMEOUT, stream.next()).await;
        let next = next.map_err(|_| {
            let text = format!(
                "no bytes of the body were received for {} s",
                CHUNK_TIMEOUT.as_secs()
            );
            Problem::new(StatusCode::REQUEST_TIMEOUT, text)
        })?;
        let next = next
            .transpose()
            .map_err(|e| Problem::bad_request(format!("the body is incomplete: {e}")))?;
        let ended = next.is_none();
        let bytes = next.unwrap_or_default();
        length += bytes.len() as u64;
        if length > MAX_DATA_FILE {
            return Err(BlobError::TooLarge.into());
        }
        let Some(mut current) = writer.take() else {
            match ended {
                true => return Ok(None),
                false => continue,
            }
        };
        chunk.extend_from_slice(&bytes);
        if ended || chunk.len() >= CHUNK {
            let full = std::mem::take(&mut chunk);
            current = blocking(move || current.write(&full).map(|()| current)).await?;
        }
        writer = Some(current);
        if ended {
            return Ok(writer);
        }
    }
}

/// Runs file operations on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(e) => Err(BlobError::Io(std::io::Error::other(e)).into()),
    }
}

//! Errors as problem JSON, RFC 9457.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use vajra_plan::PlanError;
use vajra_runtime::blobs::BlobError;
use vajra_runtime::handle::CommandError;

/// A problem, as it travels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says which kind it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do.
    pub detail: String,
    /// The field of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
        }
    }

    /// A problem with a field of the request.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1: a 401 names the scheme.
            let scheme = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<CommandError> for Problem {
    fn from(e: CommandError) -> Problem {
        let status = match &e {
            CommandError::Data { field, why } => return Problem::field(field, why),
            CommandError::Gone => StatusCode::SERVICE_UNAVAILABLE,
            CommandError::NotFound(_) => StatusCode::NOT_FOUND,
            CommandError::Ambiguous(_) | CommandError::Refused(_) => StatusCode::CONFLICT,
        };
        Problem::new(status, e.to_string())
    }
}

impl From<BlobError> for Problem {
    fn from(e: BlobError) -> Problem {
        let status = match e {
            BlobError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BlobError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            BlobError::DigestMismatch(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BlobError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, e.to_string())
    }
}

impl From<PlanError> for Problem {
    /// Names the field also where the plan could not be read at all. Line and column are left
    /// out: they are those of the plan within the body, which nobody has before their eyes.
    fn from(e: PlanError) -> Problem {
        match &e {
            PlanError::Field { field, .. } => Problem::field(field.clone(), e.to_string()),
            PlanError::Syntax {
                field,
                problem,
                help,
                ..
            } => {
                let told = [std::slice::from_ref(problem), help].concat().join("; ");
                match field.as_str() {
                    "" => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, told),
                    field => Problem::field(field, told),
                }
            }
            PlanError::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, e.to_string()),
        }
    }
}

//! Errors as problem details (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use vajra_plan::PlanError;
use vajra_report::export::ExportError;
use vajra_runtime::blobs::BlobError;
use vajra_runtime::handle::CommandError;

/// Problem details of an error response.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// Type of the problem
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// Name of the HTTP status
    pub title: String,
    /// HTTP status
    pub status: u16,
    /// Description of the problem and how to solve it
    pub detail: String,
    /// Field of the request or of the plan that is invalid
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

/// Type of a problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ProblemType {
    /// The HTTP status identifies the problem (RFC 9457, section 4.2.1).
    #[default]
    #[serde(rename = "about:blank")]
    AboutBlank,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            kind: ProblemType::AboutBlank,
            title: status.canonical_reason().unwrap_or("error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
        }
    }

    /// An invalid field of the request.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// A malformed request.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A fault of the node.
    pub fn internal(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let media_type = header::HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
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

impl From<ExportError> for Problem {
    fn from(e: ExportError) -> Problem {
        let status = match e {
            ExportError::NoTimeline(_) | ExportError::NoTimes => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Problem::new(status, e.to_string())
    }
}

impl From<PlanError> for Problem {
    /// Names the field, also for syntax errors. Line and column are left out: they refer to the plan
    /// within the body, which the caller usually does not see as text.
    fn from(e: PlanError) -> Problem {
        match &e {
            PlanError::Field { path, label, .. } => {
                let field = label.clone().unwrap_or_else(|| path.to_string());
                Problem::field(field, e.to_string())
            }
            PlanError::Syntax {
                path,
                problem,
                help,
                ..
            } => {
                let detail = [std::slice::from_ref(problem), help].concat().join("; ");
                match path.is_empty() {
                    true => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
                    false => Problem::field(path.to_string(), detail),
                }
            }
            PlanError::TooLarge(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, e.to_string()),
        }
    }
}

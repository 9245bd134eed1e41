//! What a plan may say, and what one amounts to: for forms and for people who paste one.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::openapi::{BodyProblems, Problems};
use super::problem::Problem;
use super::routes::{plan_of, read};
use vajra_plan::{self as plan, FileError, PlanInputs, Plan, PlanError, parse_plan_with, show_plan_error};
use vajra_results::PlanPreview;

/// The JSON Schema of plan files.
#[utoipa::path(
    get, path = "/plan-schema", tag = "tests",
    responses((status = 200, description = "A JSON Schema, draft 2020-12", body = Object), Problems)
)]
pub(super) async fn schema() -> Json<Value> {
    Json(plan::schema())
}

/// A plan in one of three forms: as the text of a plan file, in either language, or as JSON
/// within the body, as a start takes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// The text of a plan file
    toml: Option<String>,
    /// The same, written in JSON
    json: Option<String>,
    /// A plan
    #[schema(value_type = Option<Object>)]
    plan: Option<Value>,
}

/// What a plan amounts to.
#[derive(Serialize)]
struct Read<'a> {
    #[serde(flatten)]
    outline: PlanPreview<'a>,
    /// The same for people, as `start-test --dry-run` says it.
    summary: String,
}

/// Reads a plan and starts nothing.
///
/// The body has one of `toml`, `json` and `plan`.
#[utoipa::path(
    post, path = "/plan", tag = "tests", request_body = Written,
    responses((status = 200, description = "What it amounts to", body = Object), Problems, BodyProblems)
)]
pub(super) async fn look(body: Body) -> Result<Json<Value>, Problem> {
    let written: Written = read(body).await?;
    let plan = match (written.toml, written.json, written.plan) {
        (Some(text), None, None) => of_text(&text, false)?,
        (None, Some(text), None) => of_text(&text, true)?,
        (None, None, Some(value)) => plan_of(&value)?,
        _ => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the body has one of `toml`, `json` and `plan`",
            ));
        }
    };
    let outline = PlanPreview::of(&plan);
    let summary = outline.summary();
    serde_json::to_value(Read { outline, summary })
        .map(Json)
        .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

/// The plan of a text. What is wrong is shown in the text itself, which its writer has before
/// their eyes, as the command line shows it.
fn of_text(text: &str, json: bool) -> Result<Plan, Problem> {
    let name = if json { "plan.json" } else { "plan.toml" };
    let wrong = |e: PlanError| Problem {
        detail: show_plan_error(&e, name, text),
        ..Problem::from(e)
    };
    let no_files = |file: &str| {
        Err(FileError(format!(
            "{file} is beside the plan, where a node can't read it: start this plan with \
             `vajra-node start-test`"
        )))
    };
    let file = parse_plan_with(text, json, &no_files, &PlanInputs::default()).map_err(wrong)?;
    if file.local().is_some() {
        return Err(Problem::field("local", super::routes::NO_LOCAL));
    }
    file.into_plan().map_err(wrong)
}

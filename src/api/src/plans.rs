//! Plans: their schema, and a preview of one plan.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;

use super::blocking::{admit, blocking};
use super::extract::{parse_body, read_body};
use super::openapi::{BodyProblems, Problems};
use super::problem::Problem;
use super::state::Shared;
use super::types::PlanSource;
use vajra_plan::{
    self as plan, FileError, Plan, PlanError, PlanInputs, parse_plan_with, show_plan_error,
};
use vajra_results::PlanPreview;

/// Why a plan that starts processes is refused.
const NO_LOCAL: &str = "[local] starts processes and works from the command line only; remove it";

/// Get the JSON Schema of plan files.
#[utoipa::path(
    get, path = "/plan-schema", tag = "tests", operation_id = "plan_schema",
    responses((status = 200, description = "A JSON Schema, draft 2020-12", body = Object), Problems)
)]
pub(super) async fn schema() -> Json<Value> {
    Json(plan::schema())
}

/// A preview of a plan.
#[derive(Serialize)]
struct Preview<'a> {
    #[serde(flatten)]
    outline: PlanPreview<'a>,
    /// Text for display, as printed by `start-test --dry-run`.
    summary: String,
}

/// Validate a plan and preview its load. Nothing is started.
///
/// The body has exactly one of `toml`, `json` and `plan`.
#[utoipa::path(
    post, path = "/plan", tag = "tests", operation_id = "preview_plan", request_body = PlanSource,
    responses(
        (status = 200, description = "The plan in its canonical form, its stages, and a summary", body = Object),
        Problems, BodyProblems,
    )
)]
pub(super) async fn preview(State(s): State<Shared>, body: Body) -> Result<Json<Value>, Problem> {
    let body = read_body(body).await?;
    let permit = admit(&s.plans).await?;
    blocking(permit, move || preview_of(&body)).await?.map(Json)
}

fn preview_of(body: &[u8]) -> Result<Value, Problem> {
    let source: PlanSource = parse_body(body, "{\"toml\": …}, {\"json\": …} or {\"plan\": …}")?;
    let plan = match (source.toml, source.json, source.plan) {
        (Some(text), None, None) => plan_of_text(&text, false)?,
        (None, Some(text), None) => plan_of_text(&text, true)?,
        (None, None, Some(value)) => plan_of_json(&value)?,
        _ => {
            return Err(Problem::bad_request(
                "the body must have exactly one of `toml`, `json` and `plan`",
            ));
        }
    };
    let outline = PlanPreview::of(&plan);
    let summary = outline.summary();
    serde_json::to_value(Preview { outline, summary }).map_err(Problem::internal)
}

/// Parses a plan within a request body.
///
/// # Errors
/// The plan is invalid, or has a `[local]` table.
pub(super) fn plan_of_json(value: &Value) -> Result<Plan, Problem> {
    if value.get("local").is_some() {
        return Err(Problem::field("local", NO_LOCAL));
    }
    let bytes = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(plan::parse_json(&bytes)?)
}

/// Parses the text of a plan file. Errors show the line, as the command line does.
fn plan_of_text(text: &str, json: bool) -> Result<Plan, Problem> {
    let name = if json { "plan.json" } else { "plan.toml" };
    let problem = |e: PlanError| Problem {
        detail: show_plan_error(&e, name, text),
        ..Problem::from(e)
    };
    let no_files = |_: &str| {
        Err(FileError(
            "its path is relative to the plan file, which the node has no access to: start this \
             plan with `vajra-node start-test`"
                .to_owned(),
        ))
    };
    let file = parse_plan_with(text, json, &no_files, &PlanInputs::default()).map_err(problem)?;
    if file.local().is_some() {
        return Err(Problem::field("local", NO_LOCAL));
    }
    file.into_plan().map_err(problem)
}

//! Results in forms for people and other tools, and results held against each other.

use std::fmt::Display;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::extract::{Params, Segment};
use super::openapi::{NamedProblems, Problems};
use super::problem::Problem;
use super::{Shared, find};
use vajra_core::protocol::TestId;
use vajra_report::export::{ExportError, Format, Needs, export};
use vajra_results::TestResult;
use vajra_results::compare::{Comparison, compare};
use vajra_results::result_file::ResultFile;
use vajra_results::timeline::MAX_POINTS;

/// Reports made at once; more wait. Making one keeps a core busy for up to a second, which the
/// engine might need.
pub(super) const AT_ONCE: usize = 1;

/// Longest part of a download's name that comes from the test's.
const MAX_NAME: usize = 40;

/// What form.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// `html` unless given, `json`, `csv`, `hlog`, `hgrm` or `junit`
    format: Option<String>,
}

/// A report of a test, as a file.
#[utoipa::path(
    get, path = "/tests/{id}/report", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`"), ReportQuery),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/html"), (String = "application/json"), (String = "text/csv"),
            (String = "text/plain"), (String = "application/xml"),
        )),
        Problems, NamedProblems,
    )
)]
pub(super) async fn report(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<ReportQuery>,
) -> Result<Response, Problem> {
    let name = q.format.as_deref().unwrap_or("html");
    let format = Format::named(name).ok_or_else(|| {
        let known = Format::ALL.map(Format::name).join(", ");
        let what = format!("format {name:?} is not known; it is one of {known}");
        Problem::new(StatusCode::BAD_REQUEST, what)
    })?;
    let id = find::test(&s, &id).await?;
    let recorded = recorded(&s, id, format.needs()).await?;
    let file = file_name(&recorded.result, format);
    let text = in_turn(&s.reports, move || export(format, &recorded)).await??;
    // A page is for looking at; all else is for other programs.
    let how = match format {
        Format::Html => "inline",
        _ => "attachment",
    };
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("{how}; filename=\"{file}\""),
        ),
        // The page's scripts are no part of this node's pages: they may ask it nothing.
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox allow-scripts allow-downloads allow-modals".to_owned(),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, text).into_response())
}

/// With which.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareQuery {
    /// The baseline: a test's id, a unique prefix, or `latest`
    with: String,
}

/// A test held against another, which is its baseline.
#[utoipa::path(
    get, path = "/tests/{id}/compare", tag = "tests", params(("id" = String, Path, description = "A whole id, a unique prefix of at least four digits, or `latest`"), CompareQuery),
    responses((status = 200, description = "The comparison", body = Comparison), Problems, NamedProblems)
)]
pub(super) async fn compared(
    State(s): State<Shared>,
    Segment(id): Segment,
    Params(q): Params<CompareQuery>,
) -> Result<Json<Comparison>, Problem> {
    let (id, with) = (find::test(&s, &id).await?, find::test(&s, &q.with).await?);
    let test = recorded(&s, id, Needs::Histograms).await?;
    let baseline = recorded(&s, with, Needs::Histograms).await?;
    let compared = in_turn(&s.reports, move || compare(&baseline, &test)).await?;
    Ok(Json(compared))
}

/// A result with as much of its timeline as is needed.
async fn recorded(s: &Shared, id: TestId, needs: Needs) -> Result<ResultFile, Problem> {
    let result = TestResult::clone(&*s.node.status(id).await?);
    let timeline = match needs {
        Needs::Result => None,
        Needs::Points(points) => Some(s.node.timeline(id, points, false).await?),
        Needs::Histograms => Some(s.node.timeline(id, MAX_POINTS, true).await?),
    };
    Ok(ResultFile {
        timeline: timeline.filter(|t| !t.points.is_empty()),
        ..ResultFile::of(result)
    })
}

/// Away from the thread that keeps the node's leases, when it is this one's turn. The turn
/// lasts as long as the work, which goes on if whoever asked hangs up.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let wrong = |e: &dyn Display| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    let turn = turns.clone().acquire_owned().await.map_err(|e| wrong(&e))?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.map_err(|e| wrong(&e))
}

/// `vajra-checkout-0199a2b3.csv`: letters, digits and dashes, whatever a test is called.
fn file_name(result: &TestResult, format: Format) -> String {
    let name = result.name.as_deref().unwrap_or_default();
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let name: String = name.chars().take(MAX_NAME).map(plain).collect();
    let words = name.split('-').filter(|w| !w.is_empty());
    let short = result.test_id.get(..8).unwrap_or(&result.test_id);
    let parts: Vec<&str> = ["vajra"].into_iter().chain(words).chain([short]).collect();
    format!("{}.{}", parts.join("-"), format.extension())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_taken_until_the_work_is_done_although_nobody_waits_for_it() {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let work = in_turn(&turns, move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
        });
        tokio::select! {
            _ = work => unreachable!("it waits to be told to go on"),
            _ = begins.recv() => {}
        }
        // The future is gone.
        assert_eq!(turns.available_permits(), 0);
        go_on.send(()).unwrap();
        assert!(turns.acquire().await.is_ok());
    }

    #[test]
    fn a_download_has_a_harmless_name() {
        let kept = vajra_fixtures::EMPTY_RESULT;
        let mut result: TestResult = serde_json::from_str(kept).unwrap();
        result.test_id = "0199a2b3-0000-7000-8000-000000000000".into();
        assert_eq!(file_name(&result, Format::Csv), "vajra-0199a2b3.csv");
        result.name = Some("../Check out: \"A\"\r\nX: y".into());
        assert_eq!(
            file_name(&result, Format::Junit),
            "vajra-check-out-a-x-y-0199a2b3.xml"
        );
    }
}

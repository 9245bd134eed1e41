//! Reports of a test in several forms, and comparisons.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::blocking::{admit, blocking};
use super::extract::{PathParams, QueryParams};
use super::find;
use super::openapi::{LookupProblems, Problems};
use super::problem::Problem;
use super::state::Shared;
use super::types::{CompareQuery, ReportQuery, TestPath};
use vajra_core::protocol::TestId;
use vajra_report::export::{Format, Needs, export};
use vajra_results::TestResult;
use vajra_results::compare::{self, Comparison};
use vajra_results::result_file::ResultFile;
use vajra_results::timeline::MAX_POINTS;

/// Maximum number of characters of the test's name in a file name.
const MAX_NAME: usize = 40;

/// Get a report of a test as a file.
#[utoipa::path(
    get, path = "/tests/{id}/report", tag = "tests", params(TestPath, ReportQuery),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/html"), (String = "application/json"), (String = "text/csv"),
            (String = "text/plain"), (String = "application/xml"),
        )),
        Problems, LookupProblems,
    )
)]
pub(super) async fn report(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    QueryParams(q): QueryParams<ReportQuery>,
) -> Result<Response, Problem> {
    let name = q.format.as_deref().unwrap_or("html");
    let format = Format::named(name).ok_or_else(|| {
        let known = Format::ALL.map(Format::name).join(", ");
        Problem::bad_request(format!("unknown format {name:?}; expected one of {known}"))
    })?;
    let id = find::test(&s, &id).await?;
    let recorded = recorded(&s, id, format.needs()).await?;
    let file = file_name(&recorded.result, format);
    let text = blocking(admit(&s.reports).await?, move || export(format, &recorded)).await??;
    // Browsers show HTML and save the other formats.
    let disposition = match format {
        Format::Html => "inline",
        _ => "attachment",
    };
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("{disposition}; filename=\"{file}\""),
        ),
        // In a sandbox, the scripts of the report have no access to the API.
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox allow-scripts allow-downloads allow-modals".to_owned(),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, text).into_response())
}

/// Compare a test with a baseline.
#[utoipa::path(
    get, path = "/tests/{id}/compare", tag = "tests", params(TestPath, CompareQuery),
    responses((status = 200, description = "The comparison", body = Comparison), Problems, LookupProblems)
)]
pub(super) async fn compare(
    State(s): State<Shared>,
    PathParams(TestPath { id }): PathParams<TestPath>,
    QueryParams(q): QueryParams<CompareQuery>,
) -> Result<Json<Comparison>, Problem> {
    let test = find::test(&s, &id).await?;
    let baseline = find::test(&s, &q.with).await?;
    let test = recorded(&s, test, Needs::Histograms).await?;
    let baseline = recorded(&s, baseline, Needs::Histograms).await?;
    let permit = admit(&s.reports).await?;
    let comparison = blocking(permit, move || compare::compare(&baseline, &test)).await?;
    Ok(Json(comparison))
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

/// File name of a report, of letters, digits and dashes: `vajra-checkout-0199a2b3.csv`.
fn file_name(result: &TestResult, format: Format) -> String {
    let name = result.name.as_deref().unwrap_or_default();
    let sanitized = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let name: String = name.chars().take(MAX_NAME).map(sanitized).collect();
    let words = name.split('-').filter(|w| !w.is_empty());
    let prefix = result.test_id.get(..8).unwrap_or(&result.test_id);
    let parts: Vec<&str> = ["vajra"].into_iter().chain(words).chain([prefix]).collect();
    format!("{}.{}", parts.join("-"), format.extension())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_only_letters_digits_and_dashes() {
        let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
        result.test_id = "0199a2b3-0000-7000-8000-000000000000".into();
        assert_eq!(file_name(&result, Format::Csv), "vajra-0199a2b3.csv");
        result.name = Some("../Check out: \"A\"\r\nX: y".into());
        assert_eq!(
            file_name(&result, Format::Junit),
            "vajra-check-out-a-x-y-0199a2b3.xml"
        );
    }
}

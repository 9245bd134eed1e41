//! The formats of a result, as written by the commands `report` and `start-test` and by the API.

use super::csv::{CsvError, csv};
use super::hlog::{HlogError, hlog};
use super::html::{self, HtmlError};
use super::junit::junit;
use super::percentiles::hgrm;
use vajra_results::compare::Comparison;
use vajra_results::decode;
use vajra_results::result_file::ResultFile;
use vajra_results::timeline::MAX_POINTS;

/// A format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Format {
    /// An HTML page with charts and tables.
    Html,
    /// The result as JSON.
    Json,
    /// The timeline, with a row for each interval.
    Csv,
    /// HdrHistogram's interval log.
    Hlog,
    /// HdrHistogram's percentile distribution of the response times.
    Hgrm,
    /// Thresholds and verdict, for CI systems.
    Junit,
}

/// The part of the timeline that a format needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Needs {
    /// None.
    Result,
    /// At most this many points, without histograms; the timeline may be missing.
    Points(usize),
    /// All points, with histograms.
    Histograms,
}

/// Error of [`export`].
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The format needs the timeline, which is missing.
    #[error(
        "{0} needs the timeline of the test, which is missing: the node no longer has it, or the \
         file was written without --timeline"
    )]
    NoTimeline(&'static str),
    /// There are no response times.
    #[error("hgrm needs response times, and this test has none")]
    NoTimes,
    /// See [`HlogError`].
    #[error(transparent)]
    Hlog(#[from] HlogError),
    /// See [`HtmlError`].
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// The CSV cannot be written.
    #[error("the CSV cannot be written: {0}")]
    Csv(#[from] CsvError),
    /// The JUnit XML cannot be written.
    #[error("the JUnit XML cannot be written: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The JSON cannot be written.
    #[error("the JSON cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 6] = [
        Format::Html,
        Format::Json,
        Format::Csv,
        Format::Hlog,
        Format::Hgrm,
        Format::Junit,
    ];

    /// The name: the option, and the value of `?format=`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Hlog => "hlog",
            Format::Hgrm => "hgrm",
            Format::Junit => "junit",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|f| f.name() == name)
    }

    /// The media type in HTTP.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Hlog | Format::Hgrm => "text/plain; charset=utf-8",
            Format::Junit => "application/xml; charset=utf-8",
        }
    }

    /// The extension of a file, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Junit => "xml",
            other => other.name(),
        }
    }

    /// The part of the timeline that it needs.
    pub fn needs(self) -> Needs {
        match self {
            Format::Json | Format::Hgrm | Format::Junit => Needs::Result,
            Format::Html => Needs::Points(html::POINTS),
            Format::Csv => Needs::Points(MAX_POINTS),
            Format::Hlog => Needs::Histograms,
        }
    }
}

/// Writes a result in a format. The timeline may have more than the format needs.
///
/// # Errors
/// [`ExportError`].
pub fn export(format: Format, of: &ResultFile) -> Result<String, ExportError> {
    let compared: Option<&Comparison> = of.comparison.as_ref();
    let timeline = || {
        let missing = ExportError::NoTimeline(format.name());
        of.timeline.as_ref().ok_or(missing)
    };
    match format {
        Format::Html => Ok(html::html(&of.result, of.timeline.as_ref(), compared)?),
        Format::Json => Ok(serde_json::to_string_pretty(of)? + "\n"),
        Format::Csv => Ok(csv(timeline()?)?),
        Format::Hlog => Ok(hlog(&of.result, timeline()?)?),
        Format::Hgrm => {
            let text = of.result.histograms.response.as_deref();
            let times = text.and_then(decode).filter(|h| !h.is_empty());
            Ok(hgrm(&times.ok_or(ExportError::NoTimes)?))
        }
        Format::Junit => Ok(junit(&of.result, compared)?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::results as fixture;

    #[test]
    fn every_format_can_be_written_and_found_by_its_name() {
        let whole = ResultFile {
            timeline: Some(fixture::timeline()),
            ..ResultFile::of(fixture::result())
        };
        for format in Format::ALL {
            assert_eq!(Format::named(format.name()), Some(format));
            assert!(!export(format, &whole).unwrap().is_empty(), "{format:?}");
        }
        assert_eq!(Format::named("pdf"), None);
    }

    #[test]
    fn formats_over_time_need_a_timeline_and_html_does_not() {
        let alone = ResultFile::of(fixture::result());
        for format in [Format::Csv, Format::Hlog] {
            let error = export(format, &alone).unwrap_err().to_string();
            assert!(
                error.starts_with(format.name()) && error.contains("--timeline"),
                "{error}"
            );
        }
        let page = export(Format::Html, &alone).unwrap();
        assert!(page.contains("The timeline of this test is missing"));
    }

    #[test]
    fn a_test_without_responses_has_no_percentile_distribution() {
        let mut alone = ResultFile::of(fixture::result());
        alone.result.histograms.response = None;
        let error = export(Format::Hgrm, &alone).unwrap_err().to_string();
        assert!(error.contains("this test has none"), "{error}");
    }
}

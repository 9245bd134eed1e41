//! The forms that a result is handed out in: by the command `report`, by `start-test`, and by
//! the API.

use super::csv::csv;
use super::hlog::{HlogError, hlog};
use super::html::{self, HtmlError};
use super::junit::junit;
use super::percentiles::hgrm;
use vajra_results::compare::Comparison;
use vajra_results::decode;
use vajra_results::result_file::Recorded;
use vajra_results::timeline::MAX_POINTS;

/// A form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Format {
    /// A page with charts and tables.
    Html,
    /// The result.
    Json,
    /// The timeline, a row an interval.
    Csv,
    /// HdrHistogram's interval log.
    Hlog,
    /// HdrHistogram's percentile spectrum of the response times.
    Hgrm,
    /// Thresholds and verdict for CI systems.
    Junit,
}

/// How much of a timeline a form is made from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Needs {
    /// Nothing of it.
    Result,
    /// At most so many points, without histograms. It can do without any.
    Points(usize),
    /// All of it, with histograms.
    Histograms,
}

/// Why a form cannot be had of a result.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is about the test over time, and that is not here.
    #[error(
        "{0} is made from the test over time, and that is not here: the node has it no longer, or \
         the file was written without --timeline"
    )]
    NoTimeline(&'static str),
    /// Nothing was answered.
    #[error("hgrm is made from response times, and this test has none")]
    NoTimes,
    /// The log could not be written.
    #[error(transparent)]
    Hlog(#[from] HlogError),
    /// See [`HtmlError`].
    #[error(transparent)]
    Html(#[from] HtmlError),
    /// The CSV can't be written.
    #[error("the CSV cannot be written: {0}")]
    Csv(String),
    /// The JSON can't be written.
    #[error("the JSON cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] = [
        Format::Html,
        Format::Json,
        Format::Csv,
        Format::Hlog,
        Format::Hgrm,
        Format::Junit,
    ];

    /// Its name: the option, and the value of `?format=`.
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

    /// The form of that name.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|f| f.name() == name)
    }

    /// What HTTP calls it.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Hlog | Format::Hgrm => "text/plain; charset=utf-8",
            Format::Junit => "application/xml; charset=utf-8",
        }
    }

    /// What a file of it is called, in the end.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Junit => "xml",
            other => other.name(),
        }
    }

    /// What it is made from.
    pub fn needs(self) -> Needs {
        match self {
            Format::Json | Format::Hgrm | Format::Junit => Needs::Result,
            Format::Html => Needs::Points(html::POINTS),
            Format::Csv => Needs::Points(MAX_POINTS),
            Format::Hlog => Needs::Histograms,
        }
    }
}

/// Makes a form of a result. A timeline that has more than is needed does no harm.
///
/// # Errors
/// [`ExportError`].
pub fn export(format: Format, of: &Recorded) -> Result<String, ExportError> {
    let compared: Option<&Comparison> = of.comparison.as_ref();
    let timeline = || {
        let missing = ExportError::NoTimeline(format.name());
        of.timeline.as_ref().ok_or(missing)
    };
    match format {
        Format::Html => Ok(html::html(&of.result, of.timeline.as_ref(), compared)?),
        Format::Json => Ok(serde_json::to_string_pretty(of)? + "\n"),
        Format::Csv => csv(timeline()?).map_err(|e| ExportError::Csv(e.to_string())),
        Format::Hlog => Ok(hlog(&of.result, timeline()?)?),
        Format::Hgrm => {
            let text = of.result.histograms.response.as_deref();
            let times = text.and_then(decode).filter(|h| !h.is_empty());
            Ok(hgrm(&times.ok_or(ExportError::NoTimes)?))
        }
        Format::Junit => Ok(junit(&of.result, compared)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_fixtures::results as fixture;

    #[test]
    fn every_form_is_made_and_found_by_its_name() {
        let whole = Recorded {
            timeline: Some(fixture::timeline()),
            ..Recorded::of(fixture::result())
        };
        for format in Format::ALL {
            assert_eq!(Format::named(format.name()), Some(format));
            assert!(!export(format, &whole).unwrap().is_empty(), "{format:?}");
        }
        assert_eq!(Format::named("pdf"), None);
    }

    #[test]
    fn a_form_of_the_time_says_what_is_missing_and_a_page_does_without() {
        let alone = Recorded::of(fixture::result());
        for format in [Format::Csv, Format::Hlog] {
            let told = export(format, &alone).unwrap_err().to_string();
            assert!(
                told.starts_with(format.name()) && told.contains("--timeline"),
                "{told}"
            );
        }
        let page = export(Format::Html, &alone).unwrap();
        assert!(page.contains("There is no timeline of this test here"));
    }

    #[test]
    fn a_test_that_nobody_answered_has_no_spectrum() {
        let mut alone = Recorded::of(fixture::result());
        alone.result.histograms.response = None;
        let told = export(Format::Hgrm, &alone).unwrap_err().to_string();
        assert!(told.contains("this test has none"), "{told}");
    }
}

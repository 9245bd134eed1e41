//! Reports of a result: the files they are written to, and the data they need.

use std::collections::BTreeSet;
use std::path::Path;

use super::args::ExportArgs;
use super::backend::Backend;
use super::exit::Failure;
use super::out_file::OutFile;
use super::output::note;
use vajra_report::export::{Format, Needs, export};
use vajra_results::result_file::ResultFile;
use vajra_results::timeline::MAX_POINTS;
use vajra_results::{TestResult, Timeline};

/// The requested formats, in the order in which they are written.
fn requested(args: &ExportArgs) -> impl Iterator<Item = (Format, &Path)> {
    let all = [
        (Format::Html, &args.html),
        (Format::Csv, &args.csv),
        (Format::Hlog, &args.hlog),
        (Format::Hgrm, &args.hgrm),
        (Format::Junit, &args.junit),
    ];
    all.into_iter()
        .filter_map(|(f, path)| Some((f, path.as_deref()?)))
}

/// The data that the requested formats need.
pub fn needs(args: &ExportArgs) -> Needs {
    let all = requested(args).map(|(format, _)| format.needs());
    let all: BTreeSet<Needs> = all.collect();
    let points = all.iter().filter(|n| matches!(n, Needs::Points(_))).count();
    match all.last() {
        // With different resolutions, one is reduced from the other; percentiles need histograms.
        Some(_) if points > 1 => Needs::Histograms,
        Some(most) => *most,
        None => Needs::Result,
    }
}

/// Reports, and the open files that they are written to.
#[derive(Debug, Default)]
pub struct Exports(Vec<(Format, OutFile)>);

impl Exports {
    /// Opens the files. `json` is the path of the JSON file, which is opened elsewhere.
    ///
    /// # Errors
    /// A file cannot be written, or two formats have the same path.
    pub fn open(args: &ExportArgs, json: Option<&Path>) -> Result<Exports, Failure> {
        let mut seen: BTreeSet<&Path> = json.into_iter().collect();
        let mut all = Vec::new();
        for (format, path) in requested(args) {
            if !seen.insert(path) {
                return Err(Failure::usage(format_args!(
                    "--{} {}: another format is written there; give each format its own file",
                    format.name(),
                    path.display()
                )));
            }
            all.push((format, OutFile::open(format.name(), path)?));
        }
        Ok(Exports(all))
    }

    /// Whether a report is written to stdout, where nothing else is then printed.
    pub fn on_stdout(&self) -> bool {
        self.0.iter().any(|(_, file)| file.is_stdout())
    }

    /// Whether no format was requested.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes all reports, even if one fails.
    ///
    /// # Errors
    /// The first failure.
    pub fn write(self, recorded: &ResultFile) -> Result<(), Failure> {
        let each = self.0.into_iter().map(|(format, file)| {
            let text = export(format, recorded).map_err(Failure::run)?;
            file.write(&text)
        });
        let failed: Vec<Failure> = each.filter_map(Result::err).collect();
        match failed.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }
}

/// A result with the part of its timeline that is needed. A missing timeline is not an error here:
/// formats that require one report it.
pub async fn with_timeline(backend: &Backend, result: TestResult, needs: Needs) -> ResultFile {
    let id = &result.test_id;
    let timeline = match needs {
        Needs::Result => None,
        Needs::Points(points) => Some(backend.timeline(id, points, false).await),
        Needs::Histograms => Some(backend.timeline(id, MAX_POINTS, true).await),
    };
    let timeline: Option<Timeline> = match timeline {
        Some(Ok(timeline)) => Some(timeline).filter(|t| !t.points.is_empty()),
        Some(Err(why)) => {
            note(&format!("cannot get the test over time: {why}"));
            None
        }
        None => None,
    };
    ResultFile {
        timeline,
        ..ResultFile::of(result)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn args(dir: &Path) -> ExportArgs {
        ExportArgs {
            html: Some(dir.join("r.html")),
            hgrm: Some(PathBuf::from("-")),
            ..ExportArgs::default()
        }
    }

    #[test]
    fn files_are_opened_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let exports = Exports::open(&args(dir.path()), None).unwrap();
        assert!(dir.path().join("r.html").exists() && exports.on_stdout());
        assert_eq!(needs(&args(dir.path())), Format::Html.needs());

        let both = ExportArgs {
            csv: Some(dir.path().join("r.csv")),
            ..args(dir.path())
        };
        assert_eq!(needs(&both), Needs::Histograms);

        let nowhere = args(&dir.path().join("missing"));
        let error = Exports::open(&nowhere, None).unwrap_err().message;
        assert!(error.starts_with("cannot write --html "), "{error}");
    }

    #[test]
    fn two_formats_with_one_path_are_refused() {
        let both = ExportArgs {
            csv: Some(PathBuf::from("-")),
            ..args(Path::new("/nowhere"))
        };
        let both = ExportArgs { html: None, ..both };
        let error = Exports::open(&both, None).unwrap_err();
        assert_eq!(error.exit, super::super::exit::Exit::Usage);
        assert!(error.message.starts_with("--hgrm -: "), "{}", error.message);
    }

    #[test]
    fn a_format_that_fails_does_not_prevent_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let files = ExportArgs {
            csv: Some(dir.path().join("r.csv")),
            junit: Some(dir.path().join("r.xml")),
            ..ExportArgs::default()
        };
        let empty = vajra_fixtures::EMPTY_RESULT;
        let alone = ResultFile::read(empty.as_bytes()).unwrap();
        let error = Exports::open(&files, None)
            .unwrap()
            .write(&alone)
            .unwrap_err();
        assert!(error.message.starts_with("csv needs"), "{}", error.message);
        let xml = std::fs::read_to_string(dir.path().join("r.xml")).unwrap();
        assert!(xml.starts_with("<?xml"));
    }
}

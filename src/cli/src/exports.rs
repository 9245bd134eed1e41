//! Files that the forms of a result are written to, and what those are made from.

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

/// What was asked for, in the order in which it is written.
fn asked(args: &ExportArgs) -> impl Iterator<Item = (Format, &Path)> {
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

/// How much of a timeline the forms are made from that were asked for.
pub fn needs(args: &ExportArgs) -> Needs {
    let all = asked(args).map(|(format, _)| format.needs());
    let all: BTreeSet<Needs> = all.collect();
    let points = all.iter().filter(|n| matches!(n, Needs::Points(_))).count();
    match all.last() {
        // One is thinned for the other, and percentiles come from histograms only.
        Some(_) if points > 1 => Needs::Histograms,
        Some(most) => *most,
        None => Needs::Result,
    }
}

/// What a command writes, and where.
#[derive(Debug, Default)]
pub struct Exports(Vec<(Format, OutFile)>);

impl Exports {
    /// Opens the files. `json` is where the JSON goes, which others open.
    ///
    /// # Errors
    /// A file can't be written, or two forms are to go to one place.
    pub fn open(args: &ExportArgs, json: Option<&Path>) -> Result<Exports, Failure> {
        let mut seen: BTreeSet<&Path> = json.into_iter().collect();
        let mut all = Vec::new();
        for (format, path) in asked(args) {
            if !seen.insert(path) {
                return Err(Failure::usage(format_args!(
                    "--{} {}: another form goes there already; give each a file of its own",
                    format.name(),
                    path.display()
                )));
            }
            all.push((format, OutFile::open(format.name(), path)?));
        }
        Ok(Exports(all))
    }

    /// Whether one of them is stdout, which then carries nothing else.
    pub fn on_stdout(&self) -> bool {
        self.0.iter().any(|(_, file)| file.is_stdout())
    }

    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes all of them, also if one fails.
    ///
    /// # Errors
    /// The first that failed.
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

/// A result with as much of its timeline as is needed. A node that has none is no failure
/// here: a form that cannot do without one says so.
pub async fn recorded(backend: &Backend, result: TestResult, needs: Needs) -> ResultFile {
    let id = &result.test_id;
    let timeline = match needs {
        Needs::Result => None,
        Needs::Points(points) => Some(backend.timeline(id, points, false).await),
        Needs::Histograms => Some(backend.timeline(id, MAX_POINTS, true).await),
    };
    let timeline: Option<Timeline> = match timeline {
        Some(Ok(timeline)) => Some(timeline).filter(|t| !t.points.is_empty()),
        Some(Err(why)) => {
            note(&format!("the test over time is not to be had: {why}"));
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
        let told = Exports::open(&nowhere, None).unwrap_err().message;
        assert!(told.starts_with("cannot write --html "), "{told}");
    }

    #[test]
    fn two_forms_in_one_place_are_refused() {
        let both = ExportArgs {
            csv: Some(PathBuf::from("-")),
            ..args(Path::new("/nowhere"))
        };
        let both = ExportArgs { html: None, ..both };
        let told = Exports::open(&both, None).unwrap_err();
        assert_eq!(told.exit, super::super::exit::Exit::Usage);
        assert!(told.message.starts_with("--hgrm -: "), "{}", told.message);
    }

    #[test]
    fn a_form_that_cannot_be_made_does_not_keep_the_others_away() {
        let dir = tempfile::tempdir().unwrap();
        let files = ExportArgs {
            csv: Some(dir.path().join("r.csv")),
            junit: Some(dir.path().join("r.xml")),
            ..ExportArgs::default()
        };
        let kept = vajra_fixtures::EMPTY_RESULT;
        let alone = ResultFile::read(kept.as_bytes()).unwrap();
        let told = Exports::open(&files, None)
            .unwrap()
            .write(&alone)
            .unwrap_err();
        assert!(
            told.message.starts_with("csv needs"),
            "{}",
            told.message
        );
        let xml = std::fs::read_to_string(dir.path().join("r.xml")).unwrap();
        assert!(xml.starts_with("<?xml"));
    }
}

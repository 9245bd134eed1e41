//! `report`: a result, from a node or a file, in any format.

use std::path::Path;

use super::args::{ApiArgs, ReportArgs};
use super::backend::Backend;
use super::baseline;
use super::commands::test_id;
use super::exit::{Exit, Failure};
use super::exports::{self, Exports, with_timeline};
use super::out_file::OutFile;
use super::output::out;
use vajra_report::export::Needs;
use vajra_report::text;
use vajra_results::compare::{Comparison, compare};
use vajra_results::result_file::ResultFile;

/// Runs the command.
///
/// # Errors
/// The test or the file does not exist, or an output cannot be written.
pub async fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    // Inputs are read before outputs are opened: both may be the same file.
    let mut source = Source {
        api: &args.api,
        backend: None,
    };
    let needs = match args.timeline || args.compare.is_some() {
        true => Needs::Histograms,
        false => exports::needs(&args.exports),
    };
    let mut recorded = source.get(&args.id, "report", needs).await?;
    let other = match &args.compare {
        Some(other) => Some(source.get(other, "--compare", Needs::Histograms).await?),
        None => None,
    };
    let json = args.json.as_deref();
    let json = json.map(|path| OutFile::open("json", path)).transpose()?;
    let exports = Exports::open(&args.exports, args.json.as_deref())?;
    recorded.comparison = other.map(|other| Comparison {
        limit: args.fail_on_regression,
        ..compare(&other, &recorded)
    });
    let quiet = json.as_ref().is_some_and(OutFile::is_stdout) || exports.on_stdout();
    let only_text = json.is_none() && exports.is_empty();
    exports.write(&recorded)?;
    let comparison = recorded.comparison.clone();
    if only_text && comparison.is_none() {
        out(&text::summary(&recorded.result))?;
    }
    if let Some(json) = json {
        if !args.timeline {
            recorded.timeline = None;
        }
        json.write_json(&recorded)?;
    }
    match comparison {
        Some(comparison) => baseline::show(&comparison, quiet),
        None => Ok(Exit::Success),
    }
}

/// Where results are read from: files, and a node, to which it connects for the first id.
struct Source<'a> {
    api: &'a ApiArgs,
    backend: Option<Backend>,
}

impl Source<'_> {
    async fn get(
        &mut self,
        source: &str,
        option: &str,
        needs: Needs,
    ) -> Result<ResultFile, Failure> {
        let path = Path::new(source);
        // None of these can be an id.
        if source.ends_with(".json") || source.contains('/') || path.is_file() {
            let hint = "give the id of a test, `latest`, or a file written by --json";
            return baseline::read(option, path, hint);
        }
        let backend = match &mut self.backend {
            Some(backend) => backend,
            none => none.insert(Backend::connect(self.api).await?),
        };
        let id = test_id(&backend.tests().await?, source)?;
        let result = backend.status(&id).await?;
        Ok(with_timeline(backend, result, needs).await)
    }
}

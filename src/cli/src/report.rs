//! The command `report`: a result that a node knows, or that a file has, in any form.

use std::path::Path;

use super::args::{ApiArgs, ReportArgs};
use super::backend::Backend;
use super::baseline;
use super::commands::test_id;
use super::exit::{Exit, Failure};
use super::exports::{self, Exports, recorded};
use super::out_file::OutFile;
use super::output::out;
use vajra_report::export::Needs;
use vajra_report::text;
use vajra_results::compare::{Comparison, compare};
use vajra_results::result_file::ResultFile;

/// Runs it.
///
/// # Errors
/// There is no such test or file, or something can't be written.
pub async fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    // Sources are read before files are opened: one may be the other.
    let mut node = Node(&args.api, None);
    let needs = match args.timeline || args.compare.is_some() {
        true => Needs::Histograms,
        false => exports::needs(&args.exports),
    };
    let mut of = node.get(&args.id, "report", needs).await?;
    let other = match &args.compare {
        Some(other) => Some(node.get(other, "--compare", Needs::Histograms).await?),
        None => None,
    };
    let json = args.json.as_deref();
    let json = json.map(|path| OutFile::open("json", path)).transpose()?;
    let exports = Exports::open(&args.exports, args.json.as_deref())?;
    of.comparison = other.map(|other| Comparison {
        limit: args.fail_on_regression,
        ..compare(&other, &of)
    });
    let quiet = json.as_ref().is_some_and(OutFile::is_stdout) || exports.on_stdout();
    let only_text = json.is_none() && exports.is_empty();
    exports.write(&of)?;
    let compared = of.comparison.clone();
    if only_text && compared.is_none() {
        out(&text::summary(&of.result))?;
    }
    if let Some(json) = json {
        if !args.timeline {
            of.timeline = None;
        }
        json.write_json(&of)?;
    }
    match compared {
        Some(compared) => baseline::show(&compared, quiet),
        None => Ok(Exit::Success),
    }
}

/// The node that ids are looked up on; nobody is asked if all results are files.
struct Node<'a>(&'a ApiArgs, Option<Backend>);

impl Node<'_> {
    async fn get(&mut self, what: &str, option: &str, needs: Needs) -> Result<ResultFile, Failure> {
        let path = Path::new(what);
        // No id looks like one of these.
        if what.ends_with(".json") || what.contains('/') || path.is_file() {
            return baseline::read(option, path);
        }
        let backend = match &mut self.1 {
            Some(backend) => backend,
            none => none.insert(Backend::connect(self.0).await?),
        };
        let id = test_id(&backend.tests().await?, what)?;
        let result = backend.status(&id).await?;
        Ok(recorded(backend, result, needs).await)
    }
}

//! The exit code of a result, and its summary.

use super::exit::{Exit, Failure};
use super::out_file::OutFile;
use super::output::out;
use vajra_report::text;
use vajra_results::result_file::ResultFile;
use vajra_results::{EndKind, TestResult, Verdict};

/// The exit code of a result. With `strict`, a verdict other than `valid` changes it.
///
/// # Errors
/// The test could not run.
pub fn outcome(result: &TestResult, strict: bool) -> Result<Exit, Failure> {
    match result.end {
        // The first reason is the cause; the summary lists all of them.
        Some(EndKind::Failed) => match result.reasons.first() {
            Some(why) => Err(Failure::run(why)),
            None => Err(Failure::run("the test ended early")),
        },
        Some(EndKind::Stopped) if !result.events.iter().any(|e| e.kind == "threshold") => {
            Ok(Exit::Stopped)
        }
        _ if result.thresholds.iter().any(|t| !t.passed) => Ok(Exit::Thresholds),
        Some(EndKind::Stopped) => Ok(Exit::Thresholds),
        _ if strict && result.verdict != Some(Verdict::Valid) => Ok(Exit::NotValid),
        _ => Ok(Exit::Success),
    }
}

/// Writes a result as JSON, prints its summary unless `quiet` (stdout has other contents), and
/// returns its exit code.
///
/// # Errors
/// The test could not run, or the result cannot be written.
pub fn show(
    recorded: &ResultFile,
    json: Option<OutFile>,
    strict: bool,
    quiet: bool,
) -> Result<Exit, Failure> {
    let result = &recorded.result;
    let exit = outcome(result, strict);
    let written = json.map_or(Ok(()), |json| json.write_json(recorded));
    if !quiet && (exit.is_ok() || result.totals.sent > 0) {
        out(&text::summary(result))?;
    }
    // The summary is printed even if the file could not be written.
    written?;
    exit
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn exit(end: &str, verdict: &str, strict: bool) -> Exit {
        let json = format!(
            r#"{{"schema":1,"test_id":"","name":null,"tags":{{}},"target":"",
            "load":{{"model":"open","rate":1,"duration":"1s"}},"state":"ended",
            "end":"{end}","complete":true,"verdict":"{verdict}","reasons":["why"],
            "started_at":null,"duration_s":1,"start_skew_ms":null,"start_skew_within_ms":null,"coordinators":[],"nodes":[],
            "totals":{{"planned":0,"sent":0,"ok":0,"failed":0,"abandoned":0,"dropped":0,"unsent":0,
            "warm_up":0,"bytes_sent":0,"bytes_received":0}},"rate":{{"planned":0,"achieved":0}},
            "status_codes":{{}},"response_time_ms":null,"service_time_ms":null,"lag_ms":null,
            "histograms":{{"response":null,"service":null,"lag":null}},"errors":[],"events":[]}}"#
        );
        let result: TestResult = serde_json::from_str(&json).unwrap();
        outcome(&result, strict).unwrap_or_else(|failure| failure.exit)
    }

    #[test]
    fn the_first_applicable_exit_code_is_used() {
        assert_eq!(exit("completed", "valid", true), Exit::Success);
        assert_eq!(exit("completed", "invalid", false), Exit::Success);
        assert_eq!(exit("completed", "degraded", true), Exit::NotValid);
        assert_eq!(exit("completed", "invalid", true), Exit::NotValid);
        assert_eq!(exit("stopped", "degraded", true), Exit::Stopped);
        assert_eq!(exit("failed", "invalid", true), Exit::CouldNotRun);
    }
}

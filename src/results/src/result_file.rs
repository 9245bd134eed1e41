//! A result in a file, with the test over time and a comparison if they were requested. Reports
//! are made from such files without a node, and comparisons use them as baselines.

use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::result::TestResult;
use super::timeline::Timeline;

/// The content of a file written by `--json`: the keys of the result, and up to two more.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ResultFile {
    /// The result.
    #[serde(flatten)]
    pub result: TestResult,
    /// The test over time, with its histograms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// The comparison with a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Error of [`ResultFile::read`].
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not JSON, or not a result.
    #[error("it is not a result as written by --json: {0}")]
    NotAResult(#[from] serde_json::Error),
    /// The file has a newer format.
    #[error("it has schema {0}, and this program reads schema 1: use a newer vajra-node")]
    Newer(u32),
}

impl ResultFile {
    /// A result without a timeline or comparison.
    pub fn of(result: TestResult) -> ResultFile {
        ResultFile {
            result,
            timeline: None,
            comparison: None,
        }
    }

    /// Parses the content of a file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(text: &[u8]) -> Result<ResultFile, ReadError> {
        let file: ResultFile = serde_json::from_slice(text)?;
        match file.result.schema {
            1 => Ok(file),
            newer => Err(ReadError::Newer(newer)),
        }
    }
}

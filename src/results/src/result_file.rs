//! A result with what goes along with it in a file: the test over time, and a comparison. Of
//! such files reports are made without a node, and they serve as baselines.

use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::result::TestResult;
use super::timeline::Timeline;

/// What `--json` writes: the result's own keys, and two more where they were asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// The result.
    #[serde(flatten)]
    pub result: TestResult,
    /// The test over time, with its histograms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// The result held against another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Why a file is no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON, or not that of a result.
    #[error("it is not a result as --json writes it: {0}")]
    Strange(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("it has schema {0}, and this program reads schema 1: use a newer vajra-node")]
    Newer(u32),
}

impl Recorded {
    /// A result alone.
    pub fn of(result: TestResult) -> Recorded {
        Recorded {
            result,
            timeline: None,
            comparison: None,
        }
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(text: &[u8]) -> Result<Recorded, ReadError> {
        let recorded: Recorded = serde_json::from_slice(text)?;
        match recorded.result.schema {
            1 => Ok(recorded),
            newer => Err(ReadError::Newer(newer)),
        }
    }
}

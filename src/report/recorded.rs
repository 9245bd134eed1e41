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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_result_reads_back_with_its_timeline_and_without() {
        let alone = Recorded::of(fixture::result());
        let text = serde_json::to_vec(&alone).unwrap();
        assert_eq!(Recorded::read(&text).unwrap(), alone);
        // Without more it is the result, as the API tells it.
        let plain = serde_json::to_value(fixture::result()).unwrap();
        assert_eq!(serde_json::to_value(&alone).unwrap(), plain);

        let whole = Recorded {
            timeline: Some(fixture::timeline()),
            ..alone
        };
        let text = serde_json::to_vec(&whole).unwrap();
        assert_eq!(Recorded::read(&text).unwrap(), whole);
    }

    #[test]
    fn a_newer_schema_and_another_file_are_told_apart() {
        let mut json = serde_json::to_value(fixture::result()).unwrap();
        json["schema"] = 2.into();
        let told = Recorded::read(json.to_string().as_bytes()).unwrap_err();
        assert!(told.to_string().contains("schema 2"), "{told}");
        let told = Recorded::read(b"{\"suite\": null}").unwrap_err();
        assert!(told.to_string().starts_with("it is not a result"), "{told}");
    }
}

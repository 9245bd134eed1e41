//! Data of iterations: a file that the plan names by its SHA-256, and the selection of its rows. The
//! file itself is transferred separately from the plan.

use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blob::{Blob, Sha256};
use super::data_error::DataError;
use super::table::{Format, Table, check_columns};
use crate::limits::{MAX_FILE, MAX_ROWS};

/// A file of rows with named columns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Selection of the row of an iteration.
    pub pick: Pick,
    /// File format.
    pub format: Format,
    /// Column names.
    pub columns: Vec<String>,
    /// Number of rows (1 to 1,000,000).
    pub rows: u64,
    /// Length in bytes (1 byte to 64 MiB).
    pub bytes: u64,
    /// SHA-256 of the file.
    pub digest: Sha256,
}

/// Selection of the row of an iteration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// Rows in order over the whole swarm, repeating from the first.
    #[default]
    Sequential,
    /// A random row.
    Random,
    /// Rows in order over the whole swarm, each at most once; open model only. A plan with fewer
    /// rows than iterations is rejected. The rows of iterations that are lost with their worker
    /// stay unused.
    Unique,
    /// Row *n* for user *n* in all its iterations; closed model only.
    User,
}

impl Pick {
    /// Its name in a plan file.
    pub fn as_str(self) -> &'static str {
        match self {
            Pick::Sequential => "sequential",
            Pick::Random => "random",
            Pick::Unique => "unique",
            Pick::User => "user",
        }
    }
}

impl Data {
    /// The description of a file for a plan, and the file for transfer.
    ///
    /// # Errors
    /// The file is malformed or beyond a limit.
    pub fn of(text: String, format: Format, pick: Pick) -> Result<(Data, Blob), DataError> {
        let bytes = text.len() as u64;
        let table = Table::read(format, bytes, text.as_bytes())?;
        let digest = Sha256::of(text.as_bytes());
        let data = Data {
            pick,
            format,
            columns: table.columns().to_vec(),
            rows: table.rows(),
            bytes,
            digest,
        };
        data.validate()?;
        let bytes = text.into_bytes().into();
        Ok((data, Blob { digest, bytes }))
    }

    /// Reads the rows of the file.
    ///
    /// # Errors
    /// It can't be read, or differs from this description.
    pub fn read(&self, from: impl Read) -> Result<Table, DataError> {
        let table = Table::read(self.format, self.bytes, from)?;
        if table.columns() != self.columns {
            return Err(DataError::OtherColumns {
                found: table.columns().join(", "),
                planned: self.columns.join(", "),
            });
        }
        match table.rows() == self.rows {
            true => Ok(table),
            false => Err(DataError::OtherRows {
                found: table.rows(),
                planned: self.rows,
            }),
        }
    }

    /// Checks sizes and column names.
    ///
    /// # Errors
    /// The first that is not allowed.
    pub fn validate(&self) -> Result<(), DataError> {
        check_columns(&self.columns)?;
        for (what, given, most) in [
            ("rows", self.rows, MAX_ROWS),
            ("bytes", self.bytes, MAX_FILE),
        ] {
            if !(1..=most).contains(&given) {
                return Err(DataError::OutOfRange { what, given, most });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CSV: &str = "name,pass\nann,1\nbob,2\n";

    fn data() -> Data {
        Data::of(CSV.to_owned(), Format::Csv, Pick::Unique)
            .unwrap()
            .0
    }

    #[test]
    fn a_file_is_described_and_read_by_its_description() {
        let (data, blob) = Data::of(CSV.to_owned(), Format::Csv, Pick::Unique).unwrap();
        assert_eq!((data.rows, data.bytes), (2, CSV.len() as u64));
        assert_eq!(data.columns, ["name", "pass"]);
        assert_eq!(data.digest, Sha256::of(CSV.as_bytes()));
        assert_eq!((blob.digest, &*blob.bytes), (data.digest, CSV.as_bytes()));
        assert_eq!(data.read(&*blob.bytes).unwrap().get(1, 0), Some("bob"));
    }

    #[test]
    fn a_file_that_differs_from_its_description_is_rejected() {
        for (text, expected) in [
            ("name,pass\nann,1\n", "has 1 rows; the plan has 2"),
            ("name,word\nann,1\nbob,2\n", "has the columns name, word"),
            ("name,pass\nann\n", "line 2 has 1 values"),
        ] {
            let error = data().read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn descriptions_have_limits() {
        for (data, expected) in [
            (Data { rows: 0, ..data() }, "has 0 rows"),
            (
                Data {
                    rows: MAX_ROWS + 1,
                    ..data()
                },
                "1 to 1000000",
            ),
            (
                Data {
                    bytes: MAX_FILE + 1,
                    ..data()
                },
                "1 to 67108864",
            ),
            (
                Data {
                    columns: vec!["a b".into()],
                    ..data()
                },
                "\"a b\"",
            ),
        ] {
            let error = data.validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

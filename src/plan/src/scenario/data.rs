//! Data that iterations bring: a file that the plan names by its SHA-256, and which of its
//! rows an iteration takes. The file itself travels apart from the plan.

use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blob::{Blob, Sha256};
use super::table::{Format, MAX_ROWS, Table, check_columns};

/// Largest data file in bytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Most bytes of all data files of a plan.
pub const MAX_ALL_FILES: u64 = 256 << 20;
/// Most data files of a plan.
pub const MAX_FILES: usize = 16;

/// A file of rows with named columns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which row an iteration takes.
    pub pick: Pick,
    /// How the file is written.
    pub format: Format,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// How many rows it has (1 to 1,000,000).
    pub rows: u64,
    /// Its length (1 byte to 64 MiB).
    pub bytes: u64,
    /// Names its bytes.
    pub digest: Sha256,
}

/// Which row an iteration takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// One after the other over the whole swarm, and again from the first.
    #[default]
    Sequential,
    /// Any.
    Random,
    /// One after the other over the whole swarm, none twice; open model. A plan with fewer rows
    /// than iterations is refused. A row whose iteration is not carried out, because its worker
    /// died, is not used at all.
    Unique,
    /// User *n* has row *n*, in all its iterations; closed model.
    User,
}

impl Pick {
    /// The word that a plan has for it.
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
    /// What a plan says of a file, and the file for handing over.
    ///
    /// # Errors
    /// One line that says where and what.
    pub fn of(text: String, format: Format, pick: Pick) -> Result<(Data, Blob), String> {
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

    /// The rows of the file, held against what the plan says of it.
    ///
    /// # Errors
    /// They can't be read, or are others.
    pub fn read(&self, from: impl Read) -> Result<Table, String> {
        let table = Table::read(self.format, self.bytes, from)?;
        if table.columns() != self.columns {
            return Err(format!(
                "has the columns {}, and the plan says {}",
                table.columns().join(", "),
                self.columns.join(", ")
            ));
        }
        match table.rows() == self.rows {
            true => Ok(table),
            false => Err(format!(
                "has {} rows, and the plan says {}",
                table.rows(),
                self.rows
            )),
        }
    }

    /// Whether such a file may be: sizes, and names of columns.
    ///
    /// # Errors
    /// What is wrong.
    pub fn validate(&self) -> Result<(), String> {
        check_columns(&self.columns)?;
        for (what, given, most) in [
            ("rows", self.rows, MAX_ROWS),
            ("bytes", self.bytes, MAX_FILE),
        ] {
            if !(1..=most).contains(&given) {
                return Err(format!("has {given} {what}; 1 to {most} are allowed"));
            }
        }
        Ok(())
    }
}

/// A name that templates can use.
pub fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(legal) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
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
    fn a_file_is_described_and_reads_back_by_its_description() {
        let (data, blob) = Data::of(CSV.to_owned(), Format::Csv, Pick::Unique).unwrap();
        assert_eq!((data.rows, data.bytes), (2, CSV.len() as u64));
        assert_eq!(data.columns, ["name", "pass"]);
        assert_eq!(data.digest, Sha256::of(CSV.as_bytes()));
        assert_eq!((blob.digest, &*blob.bytes), (data.digest, CSV.as_bytes()));
        assert_eq!(data.read(&*blob.bytes).unwrap().get(1, 0), Some("bob"));
    }

    #[test]
    fn a_file_that_is_not_as_described_is_refused() {
        for (text, expected) in [
            ("name,pass\nann,1\n", "has 1 rows, and the plan says 2"),
            ("name,word\nann,1\nbob,2\n", "has the columns name, word"),
            ("name,pass\nann\n", "line 2 has 1 values"),
        ] {
            let told = data().read(text.as_bytes()).unwrap_err();
            assert!(told.contains(expected), "{told}");
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
            let told = data.validate().unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }
}

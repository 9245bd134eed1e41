//! Why a data file is rejected.

use crate::limits::{MAX_CELLS, MAX_COLUMNS, MAX_ROWS};

/// Why a data file is rejected. The text follows the name of the data or of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DataError {
    /// No row, or no column.
    #[error("has no row")]
    NoRow,
    /// More columns than allowed.
    #[error("has {0} columns; at most {MAX_COLUMNS} are allowed")]
    Columns(usize),
    /// A column name that placeholders can't use.
    #[error("has a column {0:?}; names consist of letters, digits and _")]
    ColumnName(String),
    /// Two columns of the same name.
    #[error("has two columns named {0:?}")]
    DuplicateColumn(String),
    /// More rows than allowed.
    #[error("has more than {MAX_ROWS} rows")]
    Rows,
    /// More values than allowed.
    #[error("has more than {MAX_CELLS} values")]
    Cells,
    /// The values have more than 4 GiB together.
    #[error("is too large")]
    TooLarge,
    /// A row with another number of values than the first.
    #[error("line {line} has {count} values where the first has {expected}")]
    RowLength {
        /// Line, from 1.
        line: u64,
        /// Number of values.
        count: u64,
        /// Number of values of the first line.
        expected: u64,
    },
    /// A line of JSON lines that is not an object.
    #[error("line {line} is not a JSON object: {reason}")]
    Json {
        /// Line, from 1.
        line: u64,
        /// The problem in one line.
        reason: String,
    },
    /// An object without one of the columns.
    #[error("line {line} has no {column:?}")]
    MissingColumn {
        /// Line, from 1.
        line: u64,
        /// The column.
        column: String,
    },
    /// The file can't be read, or is not CSV.
    #[error("{0}")]
    Read(String),
    /// A size outside of its range.
    #[error("has {given} {what}; 1 to {most} are allowed")]
    OutOfRange {
        /// `rows` or `bytes`.
        what: &'static str,
        /// The size.
        given: u64,
        /// Largest allowed size.
        most: u64,
    },
    /// Other columns than in the plan.
    #[error("has the columns {found}; the plan has {planned}")]
    OtherColumns {
        /// Columns of the file.
        found: String,
        /// Columns of the plan.
        planned: String,
    },
    /// Another number of rows than in the plan.
    #[error("has {found} rows; the plan has {planned}")]
    OtherRows {
        /// Rows of the file.
        found: u64,
        /// Rows of the plan.
        planned: u64,
    },
}

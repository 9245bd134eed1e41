//! The rows of a data file in little memory: all values in one text, and the end of each. A file of
//! a million rows takes two allocations, not a million.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use super::data_error::DataError;
use super::response::plain;
use crate::limits::{MAX_CELLS, MAX_COLUMNS, MAX_FILE, MAX_ROWS};
use crate::names::is_name;

/// Format of a data file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with the column names in the first line.
    Csv,
    /// JSON objects, one per line; the keys of the first are the columns.
    Jsonl,
}

impl Format {
    /// The format by a file's name: JSON lines for `.jsonl` and `.ndjson`, otherwise CSV.
    pub fn of(name: &str) -> Format {
        match [".jsonl", ".ndjson"].iter().any(|e| name.ends_with(e)) {
            true => Format::Jsonl,
            false => Format::Csv,
        }
    }
}

/// Rows with named columns; at least one of each.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    /// All values, row by row.
    text: String,
    /// End of each value in `text`.
    ends: Vec<u32>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:?}, {} rows)", self.columns, self.rows())
    }
}

impl Table {
    /// Reads a file of about `size` bytes.
    ///
    /// # Errors
    /// The file is malformed or beyond a limit.
    pub fn read(format: Format, size: u64, from: impl Read) -> Result<Table, DataError> {
        let mut table = Table {
            columns: Vec::new(),
            // Limited, since the size comes from a plan; untouched memory costs nothing.
            text: String::with_capacity(size.min(MAX_FILE) as usize),
            ends: Vec::new(),
        };
        match format {
            Format::Csv => table.read_csv(from)?,
            Format::Jsonl => table.read_json_lines(BufReader::new(from))?,
        }
        if table.ends.is_empty() {
            return Err(DataError::NoRow);
        }
        table.text.shrink_to_fit();
        table.ends.shrink_to_fit();
        Ok(table)
    }

    /// Column names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        (self.ends.len() / self.columns.len().max(1)) as u64
    }

    /// The value in a row and a column, both from 0.
    pub fn get(&self, row: u64, column: usize) -> Option<&str> {
        if row >= self.rows() || column >= self.columns.len() {
            return None;
        }
        let place = row as usize * self.columns.len() + column;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..self.ends[place] as usize)
    }

    fn read_csv(&mut self, from: impl Read) -> Result<(), DataError> {
        let mut reader = csv::ReaderBuilder::new().from_reader(from);
        let head = reader.headers().map_err(csv_error)?;
        self.set_columns(head.iter().map(|c| c.trim().to_owned()).collect())?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(csv_error)? {
            self.start_row()?;
            record.iter().try_for_each(|value| self.push(value))?;
        }
        Ok(())
    }

    fn read_json_lines(&mut self, mut from: impl BufRead) -> Result<(), DataError> {
        let mut line = String::new();
        for number in 1u64.. {
            line.clear();
            let read = from.read_line(&mut line);
            if read.map_err(|e| DataError::Read(format!("line {number}: {e}")))? == 0 {
                break;
            }
            // Some editors write a byte order mark first.
            let text = line.trim_start_matches('\u{feff}').trim();
            if text.is_empty() {
                continue;
            }
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
                .map_err(|e| DataError::Json {
                    line: number,
                    reason: e.to_string(),
                })?;
            if self.columns.is_empty() {
                self.set_columns(object.keys().cloned().collect())?;
            }
            self.start_row()?;
            for i in 0..self.columns.len() {
                let column = &self.columns[i];
                let value = object.get(column).map(plain);
                let value = value.ok_or_else(|| DataError::MissingColumn {
                    line: number,
                    column: column.clone(),
                })?;
                self.push(&value)?;
            }
        }
        Ok(())
    }

    fn set_columns(&mut self, columns: Vec<String>) -> Result<(), DataError> {
        check_columns(&columns)?;
        self.columns = columns;
        Ok(())
    }

    fn start_row(&self) -> Result<(), DataError> {
        if self.rows() >= MAX_ROWS {
            return Err(DataError::Rows);
        }
        match self.ends.len() + self.columns.len() > MAX_CELLS {
            true => Err(DataError::Cells),
            false => Ok(()),
        }
    }

    fn push(&mut self, value: &str) -> Result<(), DataError> {
        self.text.push_str(value);
        let end = u32::try_from(self.text.len()).map_err(|_| DataError::TooLarge)?;
        self.ends.push(end);
        Ok(())
    }
}

/// Checks column names: at least one, each unique and usable in placeholders.
pub fn check_columns(columns: &[String]) -> Result<(), DataError> {
    if columns.is_empty() {
        return Err(DataError::NoRow);
    }
    if columns.len() > MAX_COLUMNS {
        return Err(DataError::Columns(columns.len()));
    }
    for (i, column) in columns.iter().enumerate() {
        if !is_name(column) {
            return Err(DataError::ColumnName(column.clone()));
        }
        if columns[..i].contains(column) {
            return Err(DataError::DuplicateColumn(column.clone()));
        }
    }
    Ok(())
}

fn csv_error(e: csv::Error) -> DataError {
    match e.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => DataError::RowLength {
            line: pos.as_ref().map_or(0, csv::Position::line),
            count: *len,
            expected: *expected_len,
        },
        _ => DataError::Read(e.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(format: Format, text: &str) -> Result<Table, DataError> {
        Table::read(format, text.len() as u64, text.as_bytes())
    }

    fn rows(table: &Table) -> Vec<Vec<&str>> {
        let row = |r| (0..table.columns().len()).map(move |c| table.get(r, c).unwrap());
        (0..table.rows()).map(|r| row(r).collect()).collect()
    }

    #[test]
    fn csv_and_json_lines_give_the_same_rows() {
        let csv = "name,pass\nann,\"a,\"\"b\"\n,\nbob,ü\n";
        let lines = "{\"name\":\"ann\",\"pass\":\"a,\\\"b\"}\n\n{\"pass\":\"\",\"name\":\"\"}\n\
                     {\"pass\":\"ü\",\"name\":\"bob\"}";
        let table = read(Format::Csv, csv).unwrap();
        assert_eq!(table.columns(), ["name", "pass"]);
        assert_eq!(rows(&table), [["ann", "a,\"b"], ["", ""], ["bob", "ü"]]);
        assert_eq!(read(Format::Jsonl, lines).unwrap(), table);
        assert_eq!((table.get(3, 0), table.get(0, 2)), (None, None));
    }

    #[test]
    fn numbers_and_objects_of_json_lines_are_their_text() {
        let table = read(Format::Jsonl, "{\"n\":1.5,\"o\":{\"a\":[true,null]}}").unwrap();
        assert_eq!(rows(&table), [["1.5", "{\"a\":[true,null]}"]]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_name() {
        for (format, text) in [
            (Format::Csv, "\u{feff}name\nann\n"),
            (Format::Jsonl, "\u{feff}{\"name\":\"ann\"}\n"),
        ] {
            assert_eq!(read(format, text).unwrap().columns(), ["name"]);
        }
    }

    #[test]
    fn broken_rows_are_reported_with_their_line() {
        let wide = (0..=MAX_COLUMNS).map(|i| format!("c{i}"));
        let wide = wide.collect::<Vec<_>>().join(",");
        for (format, text, expected) in [
            (
                Format::Csv,
                "a,b\n1,2\n3\n",
                "line 3 has 1 values where the first has 2",
            ),
            (Format::Csv, "a,b\n", "has no row"),
            (Format::Csv, "", "has no row"),
            (Format::Csv, "a b\n1\n", "has a column \"a b\""),
            (Format::Csv, "a,a\n1,2\n", "has two columns named \"a\""),
            (Format::Csv, &wide, "has 101 columns; at most 100"),
            (Format::Jsonl, "{\"a\":1}\nx", "line 2 is not a JSON object"),
            (
                Format::Jsonl,
                "{\"a\":1}\n\n{\"b\":1}",
                "line 3 has no \"a\"",
            ),
            (Format::Jsonl, "{}", "has no row"),
        ] {
            let error = read(format, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let latin: &[u8] = b"name\n\xe9mile\n";
        let error = Table::read(Format::Csv, 0, latin).unwrap_err().to_string();
        assert!(error.to_lowercase().contains("utf-8"), "{error}");
    }

    #[test]
    fn rows_beyond_the_limit_are_rejected() {
        let text = format!("a\n{}", "1\n".repeat(MAX_ROWS as usize));
        assert_eq!(read(Format::Csv, &text).unwrap().rows(), MAX_ROWS);
        let error = read(Format::Csv, &format!("{text}1\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("more than 1000000 rows"), "{error}");
    }

    /// A table takes its text and four bytes per value.
    #[test]
    fn a_table_is_not_much_larger_than_its_file() {
        let row = |i| format!("user{i},secret{i},{i}@example.com,2000-01-01,street {i}\n");
        let text: String = (0..20_000).map(row).collect();
        let table = read(Format::Csv, &format!("a,b,c,d,e\n{text}")).unwrap();
        let size = table.text.capacity() + 4 * table.ends.capacity();
        assert!(size < 3 * text.len() / 2, "{size} for {}", text.len());
    }
}

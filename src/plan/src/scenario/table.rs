//! The rows of a data file, in little memory: all values in one text, and where each ends.
//! A file of a million rows is no million allocations.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use super::data::is_name;
use super::response::plain;

/// Most rows of a data file.
pub const MAX_ROWS: u64 = 1_000_000;
/// Most columns of a data file.
pub const MAX_COLUMNS: usize = 100;
/// Most values of a data file, rows times columns. Each takes four bytes besides its text.
pub const MAX_VALUES: usize = 16_000_000;

/// How a data file is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values, with the columns' names in the first line.
    Csv,
    /// JSON objects, one a line; the first one's keys are the columns.
    Jsonl,
}

impl Format {
    /// By a file's name: JSON lines if it ends in `.jsonl` or `.ndjson`, else CSV.
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
    /// Where each of them ends.
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
    /// One line that says where and what.
    pub fn read(format: Format, size: u64, from: impl Read) -> Result<Table, String> {
        let mut table = Table {
            columns: Vec::new(),
            // No larger than what a plan may name; untouched memory costs nothing.
            text: String::with_capacity(size.min(super::data::MAX_FILE) as usize),
            ends: Vec::new(),
        };
        match format {
            Format::Csv => table.read_csv(from)?,
            Format::Jsonl => table.read_json_lines(BufReader::new(from))?,
        }
        if table.ends.is_empty() {
            return Err("has no row".into());
        }
        table.text.shrink_to_fit();
        table.ends.shrink_to_fit();
        Ok(table)
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        (self.ends.len() / self.columns.len().max(1)) as u64
    }

    /// The value in a row and a column, both counted from 0.
    pub fn get(&self, row: u64, column: usize) -> Option<&str> {
        if row >= self.rows() || column >= self.columns.len() {
            return None;
        }
        let place = row as usize * self.columns.len() + column;
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(begin as usize..self.ends[place] as usize)
    }

    fn read_csv(&mut self, from: impl Read) -> Result<(), String> {
        let mut reader = csv::ReaderBuilder::new().from_reader(from);
        let head = reader.headers().map_err(explain)?;
        self.set_columns(head.iter().map(|c| c.trim().to_owned()).collect())?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(explain)? {
            self.begin_row()?;
            record.iter().try_for_each(|value| self.push(value))?;
        }
        Ok(())
    }

    fn read_json_lines(&mut self, mut from: impl BufRead) -> Result<(), String> {
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = from.read_line(&mut line);
            if read.map_err(|e| format!("line {number}: {e}"))? == 0 {
                break;
            }
            // A mark of the byte order, which some editors put first, is no part of it.
            let text = line.trim_start_matches('\u{feff}').trim();
            if text.is_empty() {
                continue;
            }
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
                .map_err(|e| format!("line {number} is no JSON object: {e}"))?;
            if self.columns.is_empty() {
                self.set_columns(object.keys().cloned().collect())?;
            }
            self.begin_row()?;
            for i in 0..self.columns.len() {
                let column = &self.columns[i];
                let value = object.get(column).map(plain);
                let value = value.ok_or_else(|| format!("line {number} has no {column:?}"))?;
                self.push(&value)?;
            }
        }
        Ok(())
    }

    fn set_columns(&mut self, columns: Vec<String>) -> Result<(), String> {
        check_columns(&columns)?;
        self.columns = columns;
        Ok(())
    }

    fn begin_row(&self) -> Result<(), String> {
        if self.rows() >= MAX_ROWS {
            return Err(format!("has more than {MAX_ROWS} rows"));
        }
        match self.ends.len() + self.columns.len() > MAX_VALUES {
            true => Err(format!("has more than {MAX_VALUES} values")),
            false => Ok(()),
        }
    }

    fn push(&mut self, value: &str) -> Result<(), String> {
        self.text.push_str(value);
        let end = u32::try_from(self.text.len()).map_err(|_| "is too large".to_owned())?;
        self.ends.push(end);
        Ok(())
    }
}

/// Names that templates can use, each once, and at least one.
pub fn check_columns(columns: &[String]) -> Result<(), String> {
    if columns.is_empty() {
        return Err("has no row".into());
    }
    if columns.len() > MAX_COLUMNS {
        let given = columns.len();
        return Err(format!(
            "has {given} columns; at most {MAX_COLUMNS} are allowed"
        ));
    }
    for (i, column) in columns.iter().enumerate() {
        if !is_name(column) {
            return Err(format!(
                "has a column {column:?}; names are letters, digits and _"
            ));
        }
        if columns[..i].contains(column) {
            return Err(format!("has two columns named {column:?}"));
        }
    }
    Ok(())
}

fn explain(e: csv::Error) -> String {
    match e.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => format!(
            "line {} has {len} values where the first has {expected_len}",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        _ => e.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(format: Format, text: &str) -> Result<Table, String> {
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
    fn a_mark_of_the_byte_order_is_no_part_of_the_first_name() {
        for (format, text) in [
            (Format::Csv, "\u{feff}name\nann\n"),
            (Format::Jsonl, "\u{feff}{\"name\":\"ann\"}\n"),
        ] {
            assert_eq!(read(format, text).unwrap().columns(), ["name"]);
        }
    }

    #[test]
    fn broken_rows_are_named() {
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
            (Format::Jsonl, "{\"a\":1}\nx", "line 2 is no JSON object"),
            (
                Format::Jsonl,
                "{\"a\":1}\n\n{\"b\":1}",
                "line 3 has no \"a\"",
            ),
            (Format::Jsonl, "{}", "has no row"),
        ] {
            let told = read(format, text).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
            assert!(!told.contains('\n'), "{told}");
        }
        let latin: &[u8] = b"name\n\xe9mile\n";
        let told = Table::read(Format::Csv, 0, latin).unwrap_err();
        assert!(told.to_lowercase().contains("utf-8"), "{told}");
    }

    #[test]
    fn rows_beyond_the_limit_are_refused() {
        let text = format!("a\n{}", "1\n".repeat(MAX_ROWS as usize));
        assert_eq!(read(Format::Csv, &text).unwrap().rows(), MAX_ROWS);
        let told = read(Format::Csv, &format!("{text}1\n")).unwrap_err();
        assert!(told.contains("more than 1000000 rows"), "{told}");
    }

    /// What a table holds is its text and four bytes a value.
    #[test]
    fn a_table_is_hardly_larger_than_its_file() {
        let row = |i| format!("user{i},secret{i},{i}@example.com,2000-01-01,street {i}\n");
        let text: String = (0..20_000).map(row).collect();
        let table = read(Format::Csv, &format!("a,b,c,d,e\n{text}")).unwrap();
        let held = table.text.capacity() + 4 * table.ends.capacity();
        assert!(held < 3 * text.len() / 2, "{held} for {}", text.len());
    }
}

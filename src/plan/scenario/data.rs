//! Rows of data, and which of them an iteration takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows with named columns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which row an iteration takes.
    pub pick: Pick,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows; each has a value for each column.
    pub rows: Vec<Vec<String>>,
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

impl Data {
    /// Reads comma-separated values, with the columns' names in the first line.
    ///
    /// # Errors
    /// One line that says where and what.
    pub fn from_csv(text: &str, pick: Pick) -> Result<Data, String> {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let explain = |e: csv::Error| match e.kind() {
            csv::ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => format!(
                "line {} has {len} values where the first has {expected_len}",
                pos.as_ref().map_or(0, csv::Position::line)
            ),
            _ => e.to_string(),
        };
        let head = reader.headers().map_err(explain)?;
        let columns = head.iter().map(|c| c.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            rows.push(record.map_err(explain)?.iter().map(str::to_owned).collect());
        }
        Ok(Data {
            pick,
            columns,
            rows,
        })
    }

    /// Reads JSON objects, one a line; the first one's keys are the columns.
    ///
    /// # Errors
    /// One line that says where and what.
    pub fn from_json_lines(text: &str, pick: Pick) -> Result<Data, String> {
        let mut columns: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        for (i, line) in text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
        {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
                .map_err(|e| format!("line {} is no JSON object: {e}", i + 1))?;
            if columns.is_empty() {
                columns = object.keys().cloned().collect();
            }
            let row = columns.iter().map(|column| {
                let value = object.get(column).map(super::received::plain);
                value.ok_or_else(|| format!("line {} has no {column:?}", i + 1))
            });
            rows.push(row.collect::<Result<_, _>>()?);
        }
        Ok(Data {
            pick,
            columns,
            rows,
        })
    }

    /// Rows that fit their columns, and at least one.
    ///
    /// # Errors
    /// What is wrong.
    pub fn validate(&self) -> Result<(), String> {
        if self.rows.is_empty() {
            return Err("has no row".into());
        }
        let bad = |c: &&String| !is_name(c);
        if let Some(column) = self.columns.iter().find(bad) {
            return Err(format!(
                "has a column {column:?}; names are letters, digits and _"
            ));
        }
        match self.rows.iter().position(|r| r.len() != self.columns.len()) {
            Some(i) => Err(format!("has another number of values in row {}", i + 1)),
            None => Ok(()),
        }
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

    #[test]
    fn csv_and_json_lines_give_the_same_rows() {
        let csv = "name,pass\nann,\"a,b\"\nbob,c\n";
        let lines = "{\"name\":\"ann\",\"pass\":\"a,b\"}\n\n{\"pass\":\"c\",\"name\":\"bob\"}\n";
        let data = Data::from_csv(csv, Pick::Unique).unwrap();
        assert_eq!(data.columns, ["name", "pass"]);
        assert_eq!(data.rows, [["ann", "a,b"], ["bob", "c"]]);
        assert_eq!(Data::from_json_lines(lines, Pick::Unique).unwrap(), data);
        assert!(data.validate().is_ok());
    }

    #[test]
    fn broken_rows_are_named() {
        let csv = |text| Data::from_csv(text, Pick::Random).unwrap_err();
        assert!(
            csv("a,b\n1\n").contains("line 2 has 1 values"),
            "{}",
            csv("a,b\n1\n")
        );
        let lines = |text| Data::from_json_lines(text, Pick::Random).unwrap_err();
        assert!(lines("{\"a\":1}\nx").contains("line 2 is no JSON object"));
        assert!(lines("{\"a\":1}\n{\"b\":1}").contains("line 2 has no \"a\""));
        let empty = Data::from_csv("a,b\n", Pick::Random).unwrap();
        assert_eq!(empty.validate().unwrap_err(), "has no row");
        let odd = Data::from_csv("a b\n1\n", Pick::Random).unwrap();
        assert!(odd.validate().unwrap_err().contains("\"a b\""));
    }
}

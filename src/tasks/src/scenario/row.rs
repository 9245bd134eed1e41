//! A row of data as a template value. Only the fields that a template reads are copied.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use vajra_plan::Table;

/// A row of a table.
#[derive(Debug)]
pub struct Row {
    /// The table.
    pub table: Arc<Table>,
    /// Index of a row that exists.
    pub row: u64,
}

impl Object for Row {
    fn get_value(self: &Arc<Row>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let column = self.table.columns().iter().position(|c| c == name)?;
        self.table.get(self.row, column).map(Value::from)
    }

    fn enumerate(self: &Arc<Row>) -> Enumerator {
        let names = self.table.columns().iter();
        Enumerator::Values(names.map(Value::from).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_plan::{Format, environment};

    #[test]
    fn a_row_is_a_map_in_templates() {
        let text = "name,pass\nann,1\nbob,2\n";
        let table = Table::read(Format::Csv, 0, text.as_bytes()).unwrap();
        let table = Arc::new(table);
        let row = Value::from_object(Row { table, row: 1 });
        let context = Value::from_pairs([("users", row)]);
        let filled = |text| environment().render_str(text, context.clone());
        assert_eq!(
            filled("{{ users.name }}/{{ users['pass'] }}").unwrap(),
            "bob/2"
        );
        let all = "{% for c in users %}{{ c }}={{ users[c] }};{% endfor %}";
        assert_eq!(filled(all).unwrap(), "name=bob;pass=2;");
        assert!(filled("{{ users.unknown }}").is_err());
    }
}

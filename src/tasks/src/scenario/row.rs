//! A row of data, as templates see it: nothing of it is copied but the values they ask for.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use vajra_plan::Table;

/// A row of a table.
#[derive(Debug)]
pub struct Row {
    /// The table.
    pub table: Arc<Table>,
    /// Which row of it; there is such a one.
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
    fn templates_see_a_row_as_a_map() {
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
        assert!(filled("{{ users.nobody }}").is_err());
    }
}

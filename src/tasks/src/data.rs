//! Rows of data files, read once for all tests and threads of a node that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use vajra_plan::{Data, Format, Sha256, Table};

/// A file, and how it is read.
type Key = (Sha256, u64, Format);

fn key(data: &Data) -> Key {
    (data.digest, data.bytes, data.format)
}

/// The tables at hand. They are there for as long as somebody else holds them.
#[derive(Debug, Default)]
pub struct Tables(Mutex<HashMap<Key, Weak<Table>>>);

impl Tables {
    /// The rows of a data file, if they are at hand.
    pub fn get(&self, data: &Data) -> Option<Arc<Table>> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.get(&key(data))?.upgrade();
        table.filter(|t| t.rows() == data.rows && t.columns() == data.columns)
    }

    /// Hands over the rows of a data file. If somebody else has done so meanwhile, theirs stay.
    pub fn put(&self, data: &Data, table: Table) -> Arc<Table> {
        if let Some(there) = self.get(data) {
            return there;
        }
        let table = Arc::new(table);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|_, table| table.strong_count() > 0);
        tables.insert(key(data), Arc::downgrade(&table));
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_plan::Pick;

    #[test]
    fn a_table_is_there_for_as_long_as_it_is_used_and_for_whom_it_fits() {
        let text = "name\nann\nbob\n";
        let (data, blob) = Data::of(text.into(), Format::Csv, Pick::Random).unwrap();
        let tables = Tables::default();
        assert!(tables.get(&data).is_none());
        let held = tables.put(&data, data.read(&*blob.bytes).unwrap());
        let again = tables.put(&data, data.read(&*blob.bytes).unwrap());
        assert!(Arc::ptr_eq(&held, &again));
        assert!(Arc::ptr_eq(&held, &tables.get(&data).unwrap()));
        let lie = Data {
            rows: 3,
            ..data.clone()
        };
        assert!(tables.get(&lie).is_none());
        drop((held, again));
        assert!(tables.get(&data).is_none());
    }
}

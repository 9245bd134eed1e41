//! Rows of data files, loaded once for all tests and threads of a node that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use vajra_core::sync::lock;
use vajra_plan::{Data, Format, Sha256, Table};

/// A file and the format in which it was read.
type Key = (Sha256, u64, Format);

fn key(data: &Data) -> Key {
    (data.digest, data.bytes, data.format)
}

/// The tables that are loaded on a node. A table stays as long as a caller of [`Self::get`] or
/// [`Self::put`] keeps it.
#[derive(Debug, Default)]
pub struct Tables(Mutex<HashMap<Key, Weak<Table>>>);

impl Tables {
    /// The rows of a data file, if they are loaded.
    pub fn get(&self, data: &Data) -> Option<Arc<Table>> {
        let tables = lock(&self.0);
        let table = tables.get(&key(data))?.upgrade();
        table.filter(|t| t.rows() == data.rows && t.columns() == data.columns)
    }

    /// Adds the rows of a data file. If they have been loaded already, returns the existing table.
    pub fn put(&self, data: &Data, table: Table) -> Arc<Table> {
        if let Some(existing) = self.get(data) {
            return existing;
        }
        let table = Arc::new(table);
        let mut tables = lock(&self.0);
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
    fn a_table_stays_while_it_is_used_and_is_found_only_if_its_shape_matches() {
        let text = "name\nann\nbob\n";
        let (data, blob) = Data::of(text.into(), Format::Csv, Pick::Random).unwrap();
        let tables = Tables::default();
        assert!(tables.get(&data).is_none());
        let first = tables.put(&data, data.read(&*blob.bytes).unwrap());
        let second = tables.put(&data, data.read(&*blob.bytes).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &tables.get(&data).unwrap()));
        let other_shape = Data {
            rows: 3,
            ..data.clone()
        };
        assert!(tables.get(&other_shape).is_none());
        drop((first, second));
        assert!(tables.get(&data).is_none());
    }
}

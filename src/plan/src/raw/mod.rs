//! A plan file as it is written, before its values are checked: flat tables, so that an unknown
//! field is reported at its place. The doc comments of the fields are the texts of the schema and
//! of the reference page.

mod file;
mod headers;
mod load;
mod scenario;
mod task;

pub use file::RawFile;

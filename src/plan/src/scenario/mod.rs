//! Scenarios: steps of a virtual user with extracted values, checks and data.

mod blob;
mod check;
mod data;
mod data_error;
mod extract;
mod hooks;
mod mix;
mod model;
mod patterns;
mod response;
mod step_url;
mod table;
mod text;
mod text_serde;
mod validate;
mod values;

#[cfg(test)]
mod hook_tests;
#[cfg(test)]
mod tests;

pub use blob::{Blob, DigestError, Sha256};
pub use check::{Check, CheckError};
pub use data::{Data, Pick};
pub use data_error::DataError;
pub use extract::{Extract, ExtractError};
pub use hooks::pause;
pub use mix::Mix;
pub use model::{Body, Scenario, Scenarios, Step};
pub use response::Received;
pub use step_url::StepUrlError;
pub use table::{Format, Table};
pub use text::{
    Draws, TemplateError, environment, explain, has_placeholders, is_only_placeholders, variables,
};
pub use values::{Scalar, Values, ValuesError, decode_values, encode_values, value_of};

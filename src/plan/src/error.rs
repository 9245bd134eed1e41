//! Why a plan is rejected.
//!
//! The text of an error is one line. It names the field, repeats the given value and lists what
//! is allowed; errors of a file's syntax also name line and column.

use std::ops::Range;

use super::limits::MAX_PLAN_BYTES;
use super::path::Path;

/// Why a plan is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// Not TOML or JSON, or an unknown field or one of the wrong type.
    #[error("{}: {problem}{}", place(*.line_column, .path), help.iter().map(|h| format!("; {h}")).collect::<String>())]
    Syntax {
        /// The field; empty where it is unknown.
        path: Path,
        /// Line and column, counted from 1; none if the error concerns the whole plan.
        line_column: Option<(usize, usize)>,
        /// Bytes of the text.
        at: Range<usize>,
        /// What is wrong there.
        problem: String,
        /// Hints, one each.
        help: Vec<String>,
    },
    /// A value that is not allowed.
    #[error("{}: {problem}", shown(.label, .path))]
    Field {
        /// Where the value is in a plan file.
        path: Path,
        /// Name of the place in messages, where it differs from the path:
        /// `scenario "buy", step "list"`.
        label: Option<String>,
        /// The given value and what is allowed.
        problem: String,
        /// Content of the placeholder that the error is about, within the text at `path`.
        placeholder: Option<String>,
    },
    /// Larger than [`MAX_PLAN_BYTES`].
    #[error("the plan has {0} bytes; at most {MAX_PLAN_BYTES} are allowed")]
    TooLarge(usize),
}

fn place(line_column: Option<(usize, usize)>, path: &Path) -> String {
    match (line_column, path.is_empty()) {
        (None, true) => "the plan".to_owned(),
        (None, false) => path.to_string(),
        (Some((line, column)), true) => format!("line {line}, column {column}"),
        (Some((line, column)), false) => format!("line {line}, column {column} ({path})"),
    }
}

fn shown(label: &Option<String>, path: &Path) -> String {
    label.clone().unwrap_or_else(|| path.to_string())
}

impl PlanError {
    /// A value that is not allowed, by its path with dots: `load.rate`.
    pub fn field(field: &str, problem: impl ToString) -> PlanError {
        PlanError::at(Path::dotted(field), problem)
    }

    /// A value that is not allowed.
    pub fn at(path: Path, problem: impl ToString) -> PlanError {
        PlanError::Field {
            path,
            label: None,
            problem: problem.to_string(),
            placeholder: None,
        }
    }

    /// The same with another name of the place in messages.
    pub fn labelled(mut self, name: impl Into<String>) -> PlanError {
        if let PlanError::Field { label, .. } = &mut self {
            *label = Some(name.into());
        }
        self
    }

    /// The same about one placeholder of the text.
    pub fn about_placeholder(mut self, content: Option<String>) -> PlanError {
        if let PlanError::Field { placeholder, .. } = &mut self {
            *placeholder = content;
        }
        self
    }

    /// The same for a plan whose keys are below this path of a file. Its text stays.
    pub fn below(mut self, parent: &Path) -> PlanError {
        if let PlanError::Field { path, label, .. } = &mut self {
            label.get_or_insert_with(|| path.to_string());
            *path = parent.join(path);
        }
        self
    }

    /// An error at these bytes of `text`, in this field if it is known.
    pub fn syntax(text: &str, at: Range<usize>, path: Path, problem: &str) -> PlanError {
        let whole = at.is_empty() && at.start == 0;
        PlanError::Syntax {
            path,
            line_column: (!whole).then(|| line_and_column(text, at.start)),
            at,
            problem: problem.split_whitespace().collect::<Vec<_>>().join(" "),
            help: Vec::new(),
        }
    }
}

/// Line and column, counted from 1, of a byte of a text.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}

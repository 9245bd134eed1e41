//! Paths of values in a plan file: `scenario[0].step[1].url`.

use std::fmt;

/// A step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// A key of a table.
    Key(String),
    /// An index of a list, from 0.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Segment {
        Segment::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Segment {
        Segment::Index(index)
    }
}

/// Where a value is in a plan file; empty for the whole file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Path(pub Vec<Segment>);

impl Path {
    /// The path of a field that is written with dots: `load.rate`.
    pub fn dotted(field: &str) -> Path {
        Path(field.split('.').map(Segment::from).collect())
    }

    /// This path and one more step.
    pub fn then(&self, next: impl Into<Segment>) -> Path {
        let mut path = self.clone();
        path.0.push(next.into());
        path
    }

    /// This path followed by another one.
    pub fn join(&self, rest: &Path) -> Path {
        Path([self.0.as_slice(), &rest.0].concat())
    }

    /// Whether it is the path of the whole file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if i == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_with_dots_and_brackets() {
        let step = Path::dotted("scenario").then(0).then("step").then(1);
        let header = step.join(&Path::dotted("headers.x-api-key"));
        assert_eq!(header.to_string(), "scenario[0].step[1].headers.x-api-key");
        assert_eq!(Path::default().to_string(), "");
    }
}

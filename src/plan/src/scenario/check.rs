//! Checks, the conditions on a response: `status == 200`, `time < 500ms`, `body contains welcome`,
//! `header content-type contains json`, `$.ok == true`.

use std::str::FromStr;
use std::time::Duration;

use regex::Regex;
use serde_json_path::JsonPath;

use super::patterns::{self, PatternError, json_path};
use super::response::{Received, plain};
use super::text_serde::serde_by_text;
use crate::text_schema::schema_of_text;
use crate::units::{UnitError, parse_duration, show_duration};

/// Most characters of a value that are shown for a failed check.
const LONGEST_SHOWN: usize = 100;

/// Subjects of a check.
const SUBJECTS: &str = "status, time, body, header NAME or a JSONPath such as $.ok";

/// A condition on a response.
#[derive(Clone, Debug)]
pub struct Check {
    text: String,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    Status(Order, Vec<u16>),
    Time(Order, Duration),
    Body(Test),
    Header(String, Test),
    Json(JsonPath, Test),
}

/// Comparison of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Equal to one of several.
    In,
}

impl Order {
    fn compare<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Order::Equal | Order::In => value == bound,
            Order::NotEqual => value != bound,
            Order::Less => value < bound,
            Order::LessOrEqual => value <= bound,
            Order::Greater => value > bound,
            Order::GreaterOrEqual => value >= bound,
        }
    }
}

/// Condition on a text.
#[derive(Clone, Debug)]
enum Test {
    Exists,
    Equal(String),
    NotEqual(String),
    Contains(String),
    Matches(Regex),
    /// The text as a number, compared with a number.
    Number(Order, f64),
}

impl Test {
    fn passes(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Test::Exists, value) => value.is_some(),
            (Test::NotEqual(other), value) => value != Some(other),
            (_, None) => false,
            (Test::Equal(other), Some(value)) => value == other,
            (Test::Contains(part), Some(value)) => value.contains(part),
            (Test::Matches(regex), Some(value)) => regex.is_match(value),
            (Test::Number(order, bound), Some(value)) => {
                let number = value.trim().parse::<f64>();
                number.is_ok_and(|number| order.compare(&number, bound))
            }
        }
    }
}

serde_by_text!(Check);

schema_of_text!(Check, "Check", {
    "title": "check",
    "description": format!(
        "Condition on a response: `SUBJECT OPERATOR VALUE`. Subjects: {SUBJECTS}. Operators: `==`, `!=`, \
         `<`, `<=`, `>`, `>=`, `contains`, `matches`, `in`, `exists`."
    ),
    "type": "string",
    "pattern": r"^\s*(status|time|body|header\s+\S.*|\$.*)\s*(==|!=|<|>| contains | matches | in | exists)",
    "examples": ["status == 200", "time < 500ms", "header etag exists", "$.items[0].id > 3"],
});

/// Why a check is rejected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the check {check:?}: {problem}")]
pub struct CheckError {
    check: String,
    problem: CheckProblem,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum CheckProblem {
    #[error("has no operator; available: ==, !=, <, <=, >, >=, contains, matches, in, exists")]
    NoOperator,
    #[error("{0:?} can't be checked; available: {SUBJECTS}")]
    Subject(String),
    #[error("{subject} can't be {operator:?}")]
    Operator {
        subject: &'static str,
        operator: String,
    },
    #[error("{0:?} is not for texts")]
    NotForText(String),
    #[error("{0:?} is not a status code")]
    StatusCode(String),
    #[error("several status codes need \"in\": status in 200, 201")]
    SeveralCodes,
    #[error("{0:?} is not a number")]
    Number(String),
    #[error(transparent)]
    Duration(#[from] UnitError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl CheckProblem {
    fn operator(subject: &'static str, operator: &str) -> CheckProblem {
        CheckProblem::Operator {
            subject,
            operator: operator.to_owned(),
        }
    }
}

impl FromStr for Check {
    type Err = CheckError;

    fn from_str(text: &str) -> Result<Check, CheckError> {
        let wrong = |problem: CheckProblem| CheckError {
            check: text.to_owned(),
            problem,
        };
        let (subject, operator, value) = parts(text).map_err(wrong)?;
        let condition = match subject.split_once(' ').unwrap_or((subject, "")) {
            ("status", "") => status(operator, value).map_err(wrong)?,
            ("time", "") => {
                let bound = parse_duration(value).map_err(|e| wrong(e.into()))?;
                match order(operator) {
                    Some(order) => Condition::Time(order, bound),
                    None => return Err(wrong(CheckProblem::operator("time", operator))),
                }
            }
            ("body", "") => Condition::Body(test(operator, value).map_err(wrong)?),
            ("header", name) if !name.trim().is_empty() => Condition::Header(
                name.trim().to_ascii_lowercase(),
                test(operator, value).map_err(wrong)?,
            ),
            _ if subject.starts_with('$') => Condition::Json(
                json_path(subject).map_err(|e| wrong(e.into()))?,
                test(operator, value).map_err(wrong)?,
            ),
            _ => {
                return Err(wrong(CheckProblem::Subject(subject.to_owned())));
            }
        };
        Ok(Check {
            text: text.trim().to_owned(),
            condition,
        })
    }
}

const OPERATORS: [&str; 10] = [
    "==",
    "!=",
    "<=",
    ">=",
    "<",
    ">",
    " contains ",
    " matches ",
    " in ",
    " exists",
];

/// Subject, operator and value. Operators within the brackets of a JSONPath don't count.
fn parts(text: &str) -> Result<(&str, &str, &str), CheckProblem> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                let found = OPERATORS.iter().find(|o| text[at..].starts_with(**o));
                if let Some(operator) = found {
                    let value = text[at + operator.len()..].trim();
                    return Ok((text[..at].trim(), operator.trim(), unquoted(value)));
                }
            }
            _ => {}
        }
    }
    Err(CheckProblem::NoOperator)
}

fn unquoted(value: &str) -> &str {
    let inner = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    inner('"').or(inner('\'')).unwrap_or(value)
}

fn order(operator: &str) -> Option<Order> {
    Some(match operator {
        "==" => Order::Equal,
        "!=" => Order::NotEqual,
        "<" => Order::Less,
        "<=" => Order::LessOrEqual,
        ">" => Order::Greater,
        ">=" => Order::GreaterOrEqual,
        _ => return None,
    })
}

fn status(operator: &str, value: &str) -> Result<Condition, CheckProblem> {
    let order = match operator {
        "in" => Order::In,
        other => order(other).ok_or_else(|| CheckProblem::operator("status", other))?,
    };
    let codes = value.split(',').map(|code| {
        let code = code.trim();
        match code.parse::<u16>() {
            Ok(n @ 100..=999) => Ok(n),
            _ => Err(CheckProblem::StatusCode(code.to_owned())),
        }
    });
    let codes: Vec<u16> = codes.collect::<Result<_, _>>()?;
    match codes.len() > 1 && order != Order::In {
        true => Err(CheckProblem::SeveralCodes),
        false => Ok(Condition::Status(order, codes)),
    }
}

fn test(operator: &str, value: &str) -> Result<Test, CheckProblem> {
    let text = value.to_owned();
    Ok(match operator {
        "exists" if value.is_empty() => Test::Exists,
        "==" => Test::Equal(text),
        "!=" => Test::NotEqual(text),
        "contains" => Test::Contains(text),
        "matches" => Test::Matches(patterns::regex(value)?),
        "in" | "exists" => return Err(CheckProblem::NotForText(operator.to_owned())),
        other => {
            let bound = value
                .parse()
                .map_err(|_| CheckProblem::Number(value.to_owned()))?;
            Test::Number(order(other).unwrap_or(Order::Equal), bound)
        }
    })
}

impl Check {
    /// Whether the response passes.
    pub fn passes(&self, received: &Received) -> bool {
        match &self.condition {
            Condition::Status(order, codes) => codes
                .iter()
                .any(|code| order.compare(&received.status, code)),
            Condition::Time(order, bound) => order.compare(&received.time, bound),
            Condition::Body(test) => test.passes(Some(&received.text())),
            Condition::Header(name, test) => test.passes(received.header(name)),
            Condition::Json(path, test) => {
                let value = received.json().and_then(|json| path.query(json).first());
                test.passes(value.map(plain).as_deref())
            }
        }
    }

    /// The checked part of the response as text; long ones are cut.
    pub fn found(&self, received: &Received) -> String {
        let shown = |value: Option<&str>| match value {
            Some(value) if value.chars().count() > LONGEST_SHOWN => {
                let cut: String = value.chars().take(LONGEST_SHOWN).collect();
                format!("it is {cut:?} and more")
            }
            Some(value) => format!("it is {value:?}"),
            None => "it is missing".to_owned(),
        };
        match &self.condition {
            Condition::Status(..) => format!("the status is {}", received.status),
            Condition::Time(..) => format!("it took {}", show_duration(received.time)),
            Condition::Body(_) => shown(Some(&received.text())),
            Condition::Header(name, _) => shown(received.header(name)),
            Condition::Json(path, _) => {
                let value = received.json().and_then(|json| path.query(json).first());
                shown(value.map(plain).as_deref())
            }
        }
    }

    /// Whether it is a check of the status, which replaces the default rule that 400 and above fail.
    pub fn checks_status(&self) -> bool {
        matches!(self.condition, Condition::Status(..))
    }

    /// Whether it is a check of the body.
    pub fn needs_body(&self) -> bool {
        matches!(self.condition, Condition::Body(_) | Condition::Json(..))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn response() -> Received {
        let mut received = Received::default();
        (received.status, received.time) = (201, Duration::from_millis(40));
        received.headers = vec![("content-type".into(), "application/json".into())];
        received.body =
            br#"{"ok": true, "n": 12, "items": [{"id": 5}], "name": "a == b"}"#.to_vec();
        received
    }

    #[test]
    fn checks_pass_or_fail() {
        for (text, expected) in [
            ("status == 201", true),
            ("status != 201", false),
            ("status < 400", true),
            ("status in 200, 201", true),
            ("status in 200,204", false),
            ("time < 50ms", true),
            ("time<=39ms", false),
            ("body contains \"ok\"", true),
            ("body contains missing", false),
            (r#"body matches "n": \d+"#, true),
            ("header Content-Type contains json", true),
            ("header Content-Type == text/html", false),
            ("header etag exists", false),
            ("$.ok == true", true),
            ("$.n > 11", true),
            ("$.n >= 12.5", false),
            ("$.items[?@.id == 5].id == 5", true),
            ("$.items[0] exists", true),
            ("$.items[1] exists", false),
            ("$.name == \"a == b\"", true),
            ("$.missing != x", true),
            ("$.missing == x", false),
        ] {
            let check: Check = text.parse().unwrap();
            assert_eq!(check.passes(&response()), expected, "{text}");
        }
    }

    #[test]
    fn the_checked_value_is_shown() {
        for (text, expected) in [
            ("status == 200", "the status is 201"),
            ("time < 1ms", "it took 40ms"),
            ("header etag exists", "it is missing"),
            ("header content-type == x", "it is \"application/json\""),
            ("$.n == 5", "it is \"12\""),
            ("$.no == 5", "it is missing"),
            ("body == x", "it is \"{\\\"ok\\\": true"),
        ] {
            let check: Check = text.parse().unwrap();
            let found = check.found(&response());
            assert!(found.starts_with(expected), "{text}: {found}");
        }
        let mut long = response();
        long.body = vec![b'x'; 500];
        let found = "body == y".parse::<Check>().unwrap().found(&long);
        assert!(
            found.ends_with("xx\" and more") && found.len() < 130,
            "{found}"
        );
    }

    #[test]
    fn malformed_checks_are_rejected() {
        for (text, expected) in [
            ("status", "has no operator"),
            ("colour == red", "status, time, body, header NAME"),
            ("status == ok", "not a status code"),
            ("status == 200, 201", "need \"in\""),
            ("status contains 2", "can't be \"contains\""),
            ("time < 50", "has no unit"),
            ("body matches (", "not a regular expression"),
            ("$[ == 1", "no operator"),
            ("$.a[ ] == 1", "not a JSONPath"),
            ("$.n > many", "is not a number"),
            ("header  == x", "can't be checked"),
        ] {
            let refused = text.parse::<Check>().unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}

//! What a response must be: `status == 200`, `time < 500ms`, `body contains welcome`,
//! `header content-type contains json`, `$.ok == true`.

use std::str::FromStr;
use std::time::Duration;

use regex::Regex;
use serde_json_path::JsonPath;

use super::extract::{path_of, pattern_of};
use super::response::{Received, plain};
use super::text_serde::written;
use crate::schema::schema_of_text;
use crate::units::{parse_duration, show_duration};

/// Most characters of a text that are shown where a check does not hold.
const LONGEST_SHOWN: usize = 100;

/// What a check may be about.
const SUBJECTS: &str = "status, time, body, header NAME or a JSONPath such as $.ok";

/// Something that holds of a response or does not.
#[derive(Clone, Debug)]
pub struct Check {
    text: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Status(Order, Vec<u16>),
    Time(Order, Duration),
    Body(Test),
    Header(String, Test),
    Json(JsonPath, Test),
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Is one of several.
    In,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
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

/// What is asked of a text.
#[derive(Clone, Debug)]
enum Test {
    Exists,
    Equal(String),
    NotEqual(String),
    Contains(String),
    Matches(Regex),
    /// A number against a number.
    Number(Order, f64),
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Test::Exists, value) => value.is_some(),
            (Test::NotEqual(other), value) => value != Some(other),
            (_, None) => false,
            (Test::Equal(other), Some(value)) => value == other,
            (Test::Contains(part), Some(value)) => value.contains(part),
            (Test::Matches(regex), Some(value)) => regex.is_match(value),
            (Test::Number(order, bound), Some(value)) => {
                let number = value.trim().parse::<f64>();
                number.is_ok_and(|number| order.holds(&number, bound))
            }
        }
    }
}

written!(Check);

schema_of_text!(Check, "Check", {
    "title": "check",
    "description": format!(
        "What a response must be: `SUBJECT OPERATOR VALUE`. Subjects: {SUBJECTS}. Operators: `==`, `!=`, \
         `<`, `<=`, `>`, `>=`, `contains`, `matches`, `in`, `exists`."
    ),
    "type": "string",
    "pattern": r"^\s*(status|time|body|header\s+\S.*|\$.*)\s*(==|!=|<|>| contains | matches | in | exists)",
    "examples": ["status == 200", "time < 500ms", "header etag exists", "$.items[0].id > 3"],
});

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Check, String> {
        let wrong = |why: String| format!("the check {text:?}: {why}");
        let (subject, operator, value) = parts(text).map_err(wrong)?;
        let what = match subject.split_once(' ').unwrap_or((subject, "")) {
            ("status", "") => status(operator, value).map_err(wrong)?,
            ("time", "") => {
                let bound = parse_duration(value).map_err(wrong)?;
                match order(operator) {
                    Some(order) => What::Time(order, bound),
                    None => return Err(wrong(format!("time can't be {operator:?}"))),
                }
            }
            ("body", "") => What::Body(test(operator, value).map_err(wrong)?),
            ("header", name) if !name.trim().is_empty() => What::Header(
                name.trim().to_ascii_lowercase(),
                test(operator, value).map_err(wrong)?,
            ),
            _ if subject.starts_with('$') => What::Json(
                path_of(subject).map_err(wrong)?,
                test(operator, value).map_err(wrong)?,
            ),
            _ => {
                let why = format!("{subject:?} can't be checked; there are: {SUBJECTS}");
                return Err(wrong(why));
            }
        };
        Ok(Check {
            text: text.trim().to_owned(),
            what,
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

/// Subject, operator and value. A JSONPath may hold operators itself, inside brackets.
fn parts(text: &str) -> Result<(&str, &str, &str), String> {
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
    Err("has no operator; there are ==, !=, <, <=, >, >=, contains, matches, in, exists".into())
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

fn status(operator: &str, value: &str) -> Result<What, String> {
    let order = match operator {
        "in" => Order::In,
        other => order(other).ok_or_else(|| format!("status can't be {other:?}"))?,
    };
    let codes = value.split(',').map(|code| {
        let code = code.trim();
        match code.parse::<u16>() {
            Ok(n @ 100..=999) => Ok(n),
            _ => Err(format!("{code:?} is no status code")),
        }
    });
    let codes: Vec<u16> = codes.collect::<Result<_, _>>()?;
    match codes.len() > 1 && order != Order::In {
        true => Err("several status codes need \"in\": status in 200, 201".into()),
        false => Ok(What::Status(order, codes)),
    }
}

fn test(operator: &str, value: &str) -> Result<Test, String> {
    let text = value.to_owned();
    Ok(match operator {
        "exists" if value.is_empty() => Test::Exists,
        "==" => Test::Equal(text),
        "!=" => Test::NotEqual(text),
        "contains" => Test::Contains(text),
        "matches" => Test::Matches(pattern_of(value)?),
        "in" | "exists" => return Err(format!("{operator:?} is not for this")),
        other => {
            let bound = value
                .parse()
                .map_err(|_| format!("{value:?} is no number"))?;
            Test::Number(order(other).unwrap_or(Order::Equal), bound)
        }
    })
}

impl Check {
    /// Whether it holds.
    pub fn holds(&self, received: &Received) -> bool {
        match &self.what {
            What::Status(order, codes) => {
                codes.iter().any(|code| order.holds(&received.status, code))
            }
            What::Time(order, bound) => order.holds(&received.time, bound),
            What::Body(test) => test.holds(Some(&received.text())),
            What::Header(name, test) => test.holds(received.header(name)),
            What::Json(path, test) => {
                let value = received.json().and_then(|json| path.query(json).first());
                test.holds(value.map(plain).as_deref())
            }
        }
    }

    /// What the response has in the place that it looks at; long texts are cut.
    pub fn found(&self, received: &Received) -> String {
        let told = |value: Option<&str>| match value {
            Some(value) if value.chars().count() > LONGEST_SHOWN => {
                let cut: String = value.chars().take(LONGEST_SHOWN).collect();
                format!("it is {cut:?} and so on")
            }
            Some(value) => format!("it is {value:?}"),
            None => "it is not there".to_owned(),
        };
        match &self.what {
            What::Status(..) => format!("the status is {}", received.status),
            What::Time(..) => format!("it took {}", show_duration(received.time)),
            What::Body(_) => told(Some(&received.text())),
            What::Header(name, _) => told(received.header(name)),
            What::Json(path, _) => {
                let value = received.json().and_then(|json| path.query(json).first());
                told(value.map(plain).as_deref())
            }
        }
    }

    /// It says which status codes are good, in place of the rule that those from 400 on are
    /// not.
    pub fn judges_status(&self) -> bool {
        matches!(self.what, What::Status(..))
    }

    /// It looks at the body.
    pub fn needs_body(&self) -> bool {
        matches!(self.what, What::Body(_) | What::Json(..))
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
    fn checks_hold_or_do_not() {
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
            assert_eq!(check.holds(&response()), expected, "{text}");
        }
    }

    #[test]
    fn what_a_check_looked_at_is_told() {
        for (text, expected) in [
            ("status == 200", "the status is 201"),
            ("time < 1ms", "it took 40ms"),
            ("header etag exists", "it is not there"),
            ("header content-type == x", "it is \"application/json\""),
            ("$.n == 5", "it is \"12\""),
            ("$.no == 5", "it is not there"),
            ("body == x", "it is \"{\\\"ok\\\": true"),
        ] {
            let check: Check = text.parse().unwrap();
            let told = check.found(&response());
            assert!(told.starts_with(expected), "{text}: {told}");
        }
        let mut long = response();
        long.body = vec![b'x'; 500];
        let told = "body == y".parse::<Check>().unwrap().found(&long);
        assert!(
            told.ends_with("xx\" and so on") && told.len() < 130,
            "{told}"
        );
    }

    #[test]
    fn what_can_t_be_checked_is_refused() {
        for (text, expected) in [
            ("status", "has no operator"),
            ("colour == red", "status, time, body, header NAME"),
            ("status == ok", "no status code"),
            ("status == 200, 201", "need \"in\""),
            ("status contains 2", "can't be \"contains\""),
            ("time < 50", "has no unit"),
            ("body matches (", "no regular expression"),
            ("$[ == 1", "no operator"),
            ("$.a[ ] == 1", "no JSONPath"),
            ("$.n > many", "is no number"),
            ("header  == x", "can't be checked"),
        ] {
            let refused = text.parse::<Check>().unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}

//! Literal credentials in a plan, and a plan without them.
//!
//! Every node of the swarm gets the plan, so a credential in it should be a reference
//! (`env:NAME`, `file:PATH`) or a placeholder (`{{ env.NAME }}`). A result keeps its plan only in
//! the form of [`Plan::redacted`].

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::http::{HttpTask, TlsOptions, is_reference};
use super::model::{Plan, Task};
use super::path::Path;
use super::scenario::{Body, Scalar, Scenarios, Step, is_only_placeholders};

/// Replaces a literal credential.
pub const REDACTED: &str = "[redacted]";

/// Parts of names of headers, fields and variables whose values are credentials, in lower case and
/// without separators.
const PARTS: [&str; 16] = [
    "password",
    "passphrase",
    "passcode",
    "secret",
    "credential",
    "authorization",
    "authentication",
    "apikey",
    "accesskey",
    "privatekey",
    "subscriptionkey",
    "signature",
    "sessionid",
    "sessionkey",
    "sessid",
    "cookie",
];
/// Whole words in such names, without digits at their end. A word may also contain `token` or
/// `passw`, or end with `auth`.
const WORDS: [&str; 8] = ["pwd", "pass", "auth", "session", "sid", "sig", "jwt", "otp"];
/// Words in names of quantities: numbers with such names are no credentials.
const QUANTITIES: [&str; 14] = [
    "tokens", "sessions", "max", "min", "count", "limit", "total", "ttl", "expires", "expiry",
    "lifetime", "timeout", "length", "size",
];

/// Is called with the path of each credential and its value, which it can change.
type Edit<'a> = dyn FnMut(&Path, &mut String) + 'a;

impl Plan {
    /// Paths of the credentials whose values are written in the plan itself, such as
    /// `task.headers.authorization` or `scenario[0].step[1].headers.x-api-key`.
    pub fn literal_credentials(&self) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        walk(&mut self.clone(), &mut |path, value| {
            let path = path.to_string();
            if is_literal(value) && !paths.contains(&path) {
                paths.push(path);
            }
        });
        paths
    }

    /// A warning for each literal credential, with what to use instead.
    pub fn credential_warnings(&self) -> Vec<String> {
        let warning = |path: String| {
            let is_reference = path.contains(".headers.") || path.contains(".tls.");
            let instead = match (is_reference, &self.task) {
                (true, _) => "use a reference such as env:TOKEN",
                (false, Task::Scenarios(_)) => "use a placeholder such as {{ env.TOKEN }}",
                (false, _) => "use a header with a reference such as env:TOKEN",
            };
            format!(
                "{path} is a literal credential: every node of the swarm can read it; {instead} and \
                 --allow-secret env:TOKEN"
            )
        };
        self.literal_credentials()
            .into_iter()
            .map(warning)
            .collect()
    }

    /// The plan with each literal credential replaced by [`REDACTED`]: for results and reports.
    /// [`Plan::validate`] rejects it, so that it is never run instead of the plan.
    pub fn redacted(&self) -> Plan {
        let mut plan = self.clone();
        walk(&mut plan, &mut |_, value| {
            if is_literal(value) {
                REDACTED.clone_into(value);
            }
        });
        plan
    }
}

/// Path of the first credential that has been redacted.
pub fn redacted_value(plan: &Plan) -> Option<Path> {
    let mut first = None;
    walk(&mut plan.clone(), &mut |path, value| {
        if value == REDACTED {
            first.get_or_insert_with(|| path.clone());
        }
    });
    first
}

fn is_literal(value: &str) -> bool {
    !value.is_empty() && value != REDACTED && !is_reference(value) && !is_only_placeholders(value)
}

/// Whether a header, field, parameter or variable with this name contains a credential: by parts of
/// the name, such as `secret` in `clientSecret`, or words, such as `auth` in `X-Auth`.
pub fn is_credential_name(name: &str) -> bool {
    Secrecy::of(name) > Secrecy::None
}

/// Which values with a name are credentials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Secrecy {
    None,
    /// Texts: the name is also that of a quantity, such as `max_tokens`.
    Texts,
    /// Texts and numbers.
    All,
}

impl Secrecy {
    fn of(name: &str) -> Secrecy {
        let words = words(name);
        let joined = words.concat();
        let is_secret = |word: &String| {
            let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_token =
                word.contains("token") && !["tokenis", "tokeniz"].iter().any(|v| word.contains(v));
            let is_word = WORDS.contains(&word) || word.ends_with("auth");
            is_token || is_word || word.contains("passw")
        };
        let is_quantity = |word: &String| QUANTITIES.contains(&word.as_str());
        match words.iter().any(is_secret) || PARTS.iter().any(|part| joined.contains(part)) {
            false => Secrecy::None,
            true if words.iter().any(is_quantity) => Secrecy::Texts,
            true => Secrecy::All,
        }
    }

    /// Whether this text is a credential. In forms and queries numbers are texts as well.
    fn includes(self, text: &str) -> bool {
        match self {
            Secrecy::None => false,
            Secrecy::Texts => text.parse::<f64>().is_err() && text.parse::<bool>().is_err(),
            Secrecy::All => true,
        }
    }
}

/// The words of a name in lower case. Other characters than letters and digits separate them, and
/// so do percent-encoded ones; an upper-case letter starts one after a lower-case letter or a
/// digit, and before a lower-case letter (`APIKey`).
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1);
        let starts_word = c.is_uppercase()
            && at > 0
            && (!chars[at - 1].is_uppercase() || next.is_some_and(|c| c.is_lowercase()));
        if starts_word || !c.is_alphanumeric() {
            words.push(String::new());
        }
        let is_encoded = |encoded: &[char]| encoded.iter().all(char::is_ascii_hexdigit);
        if c == '%' && chars.get(at + 1..at + 3).is_some_and(is_encoded) {
            at += 2;
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        at += 1;
    }
    words
}

fn walk(plan: &mut Plan, edit: &mut Edit<'_>) {
    match &mut plan.task {
        Task::Http(task) => {
            let path = Path::dotted("task");
            http(task, &path, "url", edit);
            text_body(&path.then("body"), &mut task.body, edit);
        }
        Task::Scenarios(all) => scenarios(all, edit),
        Task::Sleep { .. } | Task::Cpu { .. } => {}
    }
}

fn scenarios(all: &mut Scenarios, edit: &mut Edit<'_>) {
    http(&mut all.http, &Path::dotted("http"), "base_url", edit);
    for (name, value) in &mut all.vars {
        let mut text = value.to_string();
        if !matches!(value, Scalar::Bool(_)) && Secrecy::of(name).includes(&text) {
            edit(&Path::dotted("vars").then(name.as_str()), &mut text);
            if text != value.to_string() {
                *value = Scalar::Text(text);
            }
        }
    }
    let hooks = [("setup", &mut all.setup), ("teardown", &mut all.teardown)];
    for (hook, list) in hooks {
        steps(list, &Path::dotted(hook), edit);
    }
    for (i, scenario) in all.scenarios.iter_mut().enumerate() {
        let path = Path::dotted("scenario").then(i).then("step");
        steps(&mut scenario.steps, &path, edit);
    }
}

fn steps(steps: &mut [Step], list: &Path, edit: &mut Edit<'_>) {
    for (n, step) in steps.iter_mut().enumerate() {
        let path = list.then(n);
        url(&path.then("url"), &mut step.url, edit);
        headers(&path.then("headers"), &mut step.headers, edit);
        match &mut step.body {
            Body::None => {}
            Body::Text(text) => text_body(&path.then("body"), text, edit),
            Body::Json(value) => json(&path.then("json"), value, Secrecy::None, edit),
            Body::Form(fields) => {
                for (name, value) in fields {
                    if Secrecy::of(name).includes(value) {
                        edit(&path.then("form").then(name.as_str()), value);
                    }
                }
            }
        }
    }
}

fn http(http: &mut HttpTask, path: &Path, url_key: &str, edit: &mut Edit<'_>) {
    url(&path.then(url_key), &mut http.url, edit);
    headers(&path.then("headers"), &mut http.headers, edit);
    let TlsOptions { client_key, .. } = &mut http.tls;
    if let Some(key) = client_key {
        edit(&path.then("tls").then("client_key"), key);
    }
}

fn headers(path: &Path, headers: &mut [(String, String)], edit: &mut Edit<'_>) {
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        // The names of cookies are no secrets.
        let only_names = lower == "cookie"
            && value.split(';').all(|pair| {
                let content = pair.split_once('=').map_or(pair, |(_, content)| content);
                is_only_placeholders(content)
            });
        if Secrecy::of(name).includes(value) && !only_names {
            edit(&path.then(name.as_str()), value);
        }
    }
}

/// Texts and numbers of JSON below keys that name credentials.
fn json(path: &Path, value: &mut Value, secrecy: Secrecy, edit: &mut Edit<'_>) {
    match value {
        Value::Array(values) => {
            for (i, value) in values.iter_mut().enumerate() {
                json(&path.then(i), value, secrecy, edit);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let secrecy = secrecy.max(Secrecy::of(name));
                json(&path.then(name.as_str()), value, secrecy, edit);
            }
        }
        Value::String(text) if secrecy.includes(text) => edit(path, text),
        Value::Number(number) if secrecy == Secrecy::All => {
            let mut text = number.to_string();
            edit(path, &mut text);
            if text != number.to_string() {
                *value = Value::String(text);
            }
        }
        _ => {}
    }
}

/// A field of JSON in a text, which need not be valid JSON before its placeholders are replaced.
static JSON_FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let text = r#"(?:[^"\\]|\\.)*"#;
    Regex::new(&format!(
        r#""(?<name>{text})"\s*:\s*(?:"(?<text>{text})"|(?<number>-?[0-9][0-9.eE+-]*)|(?<nested>[\[{{]))"#
    ))
    .ok()
});

/// The name of a field of a form or of a query. A value may contain further fields: those of a URL, or
/// of the next lines.
static FORM_FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?m)(?:^|[&?#])(?<name>[^=&?#\s"]+)(?<form>=)"#).ok());

/// JSON or form fields in a text.
fn text_body(path: &Path, body: &mut String, edit: &mut Edit<'_>) {
    if let Ok(mut value) = serde_json::from_str::<Value>(body) {
        let before = value.clone();
        json(path, &mut value, Secrecy::None, edit);
        if value != before {
            *body = value.to_string();
        }
        return;
    }
    fields(&JSON_FIELD, path, body, edit);
    let start = body.trim_start();
    if start.starts_with("{{") || !start.starts_with(['{', '[']) {
        fields(&FORM_FIELD, path, body, edit);
    }
}

/// Fields that a pattern finds in a text. Its groups are `name`, and the equals sign in a `form`, or
/// the `text`, the `number` or the start of the `nested` array or object in JSON.
fn fields(pattern: &Option<Regex>, path: &Path, text: &mut String, edit: &mut Edit<'_>) {
    let Some(pattern) = pattern else {
        return;
    };
    let mut changes = Vec::new();
    let mut start = 0;
    while let Some(found) = pattern.captures_at(text, start) {
        let range = |group: &str| found.name(group).map(|m| m.range());
        let name = &found["name"];
        // The end of a long value is searched only if it is a credential: otherwise many fields
        // within each other would take quadratic time.
        let (value, rest) = if let Some(equals) = range("form") {
            (form_value(name, text, equals.end), equals.end)
        } else if let Some(value) = range("text") {
            let rest = value.end + 1;
            let is_secret = Secrecy::of(name).includes(&text[value.clone()]);
            (is_secret.then_some(value), rest)
        } else if let Some(value) = range("number") {
            let rest = value.end;
            ((Secrecy::of(name) == Secrecy::All).then_some(value), rest)
        } else if let Some(opening) = range("nested") {
            (nested_value(name, text, opening.start), opening.end)
        } else {
            break;
        };
        start = value.as_ref().map_or(rest, |value| value.end.max(rest));
        let Some(value) = value else {
            continue;
        };
        let mut content = text[value.clone()].to_owned();
        edit(&path.then(name), &mut content);
        if content != text[value.clone()] {
            if found.name("number").or(found.name("nested")).is_some() {
                content = format!("\"{content}\"");
            }
            changes.push((value, content));
        }
    }
    for (range, content) in changes.into_iter().rev() {
        text.replace_range(range, &content);
    }
}

/// Bytes of the value of a form field at `start`, if it is a credential.
fn form_value(name: &str, text: &str, start: usize) -> Option<Range<usize>> {
    let secrecy = Secrecy::of(name);
    if secrecy == Secrecy::None {
        return None;
    }
    let end = text[start..].find(['&', '#']);
    let value = start..end.map_or(text.len(), |length| start + length);
    secrecy.includes(&text[value.clone()]).then_some(value)
}

/// Bytes of the JSON array or object at `start`, if it is a credential: if it contains anything but
/// placeholders. A placeholder starts with a brace, too.
fn nested_value(name: &str, text: &str, start: usize) -> Option<Range<usize>> {
    if !is_credential_name(name) {
        return None;
    }
    let value = start..start + length_of_nested(&text[start..]);
    let is_content = |c: &char| !c.is_whitespace() && !"[],".contains(*c);
    let content: String = text[value.clone()].chars().filter(is_content).collect();
    // A quoted placeholder is no literal, unlike a quoted text in a placeholder.
    let content = content.replace("\"{{", "{{").replace("}}\"", "}}");
    let has_content = content.contains(|c| !"{}:\"".contains(c));
    (has_content && !is_only_placeholders(&content)).then_some(value)
}

/// Bytes of the JSON array or object at the start of a text; all of it if the end is missing.
fn length_of_nested(text: &str) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '[' | '{' if !in_text => depth += 1,
            ']' | '}' if !in_text => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + c.len_utf8();
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Password and query parameters of a URL.
fn url(path: &Path, url: &mut String, edit: &mut Edit<'_>) {
    if let Some(password) = password_of(url) {
        let mut content = url[password.clone()].to_owned();
        edit(path, &mut content);
        url.replace_range(password, &content);
    }
    if let Some(query) = url.find(['?', '#']) {
        let mut rest = url.split_off(query);
        let mut at_url = |_: &Path, value: &mut String| edit(path, value);
        fields(&FORM_FIELD, path, &mut rest, &mut at_url);
        url.push_str(&rest);
    }
}

/// Bytes of the password in `http://user:password@host/`.
fn password_of(url: &str) -> Option<Range<usize>> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']);
    let end = end.map_or(url.len(), |length| start + length);
    let user_end = start + url[start..end].rfind('@')?;
    let colon = start + url[start..user_end].find(':')?;
    Some(colon + 1..user_end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{FileError, parse_plan, parse_toml};

    const SECRET: &str = "geheim";

    fn http_plan(task: &str) -> Plan {
        let text = format!(
            "[task]\ntype = 'HTTP'\nurl = 'https://h/'\n{task}\n[load]\nrate = 1\nduration = '1s'\n"
        );
        parse_toml(&text).unwrap().into_plan().unwrap()
    }

    fn text_of(plan: &Plan) -> String {
        String::from_utf8(plan.to_bytes()).unwrap()
    }

    #[track_caller]
    fn assert_redacted(plan: &Plan, paths: &[&str]) {
        assert_eq!(plan.literal_credentials(), paths);
        let redacted = plan.redacted();
        let text = text_of(&redacted);
        assert!(!text.contains(SECRET), "{text}");
        assert_eq!(text.contains(REDACTED), !paths.is_empty(), "{text}");
        assert_eq!(redacted.literal_credentials(), [""; 0]);
        assert_eq!(redacted.redacted(), redacted);
    }

    #[test]
    fn literal_headers_are_found_in_any_case() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "api-key",
            "x-auth-token",
            "private-token",
            "x-vault-token",
            "x-amz-security-token",
            "ocp-apim-subscription-key",
            "x-goog-api-key",
        ] {
            let name = name.to_ascii_uppercase();
            let plan = http_plan(&format!("headers = {{ {name} = 'x {SECRET}' }}"));
            assert_redacted(&plan, &[&format!("task.headers.{name}")]);
        }
    }

    #[test]
    fn names_of_credentials() {
        for name in [
            "password",
            "user[password]",
            "userPassword",
            "PASSWD",
            "pwd",
            "passphrase",
            "refresh_token",
            "idToken",
            "csrftoken",
            "X-Auth",
            "auth_token",
            "session",
            "PHPSESSID",
            "private_key",
            "secretKey",
            "api.secret",
            "aws_access_key_id",
            "sig",
            "passw",
            "Passwort",
            "XAuth",
            "OAuth2",
            "oauth",
            "APIKey",
            "X-Authentication",
            "token1",
            "tokenid",
            "access_tokens",
            "user%5Bsid%5D",
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in [
            "author",
            "authority",
            "authored",
            "tokenizer",
            "tokenized_text",
            "bypass_waf",
            "monkey",
            "keyboard",
            "key",
            "passenger",
            "compass",
            "side",
            "design",
            "accept",
            "user",
        ] {
            assert!(!is_credential_name(name), "{name}");
        }
    }

    #[test]
    fn everything_below_a_credential_field_is_redacted() {
        let plan = http_plan(r#"body = '{"auth": {"keys": ["geheim", 5], "on": true}, "n": 1}'"#);
        assert_redacted(&plan, &["task.body.auth.keys[0]", "task.body.auth.keys[1]"]);
        let form = http_plan("body = 'user%5Bpassword%5D=geheim&a=b'");
        assert_redacted(&form, &["task.body.user%5Bpassword%5D"]);
    }

    #[test]
    fn quantities_stay_readable() {
        let json = r#"body = '{"max_tokens": 5, "session_timeout": "30", "use_token": true}'"#;
        for task in [
            json,
            "body = 'max_tokens=5&session_timeout=30&token_ttl=1.5'",
        ] {
            assert_redacted(&http_plan(task), &[]);
        }
        assert_redacted(
            &http_plan(r#"body = '{"tokens": ["geheim", 5], "max_tokens": {{ n }}}'"#),
            &["task.body.tokens"],
        );
        assert_redacted(
            &http_plan(r#"body = '{"tokens": ["geheim", 5], "n": 1}'"#),
            &["task.body.tokens[0]"],
        );
    }

    #[test]
    fn fields_are_found_in_text_that_is_not_yet_json_or_a_form() {
        for (body, path) in [
            (
                r#"{"n": {{ n }}, "credentials": {"user": "a", "pin": "geheim"}}"#,
                "credentials",
            ),
            (
                r#"{"n": {{ n }}, "secrets": [["geheim}"], "geheim"], "m": 1}"#,
                "secrets",
            ),
            (r#"{"n": {{ n }}, "secrets": ["geheim"#, "secrets"),
            (r#"{"n": {{ n }}, "secret": [{{ "geheim" }}]}"#, "secret"),
            (r#"{"n": {{ n }}, "secret": {{ 'geheim' }}}"#, "secret"),
            (
                r#"{"n": {{ n }}, "user": {"api key": "geheim"}}"#,
                "api key",
            ),
            ("{{ field }}=1&token=geheim", "token"),
            ("user:token=geheim", "user:token"),
            ("user=a\ntoken=geheim", "token"),
            ("token=geheim\ngeheim&a=b", "token"),
            ("redirect=/a?token=geheim", "token"),
        ] {
            let mut plan = http_plan("");
            let Task::Http(http) = &mut plan.task else {
                panic!("{plan:?}")
            };
            http.body = body.to_owned();
            assert_redacted(&plan, &[&format!("task.body.{path}")]);
        }
        for body in [
            r#"{"n": {{ n }}, "tokens": ["{{ a }}", "{{ b }}"], "secrets": [], "token": {{ t }}}"#,
            r#"{"n": {{ n }}, "author": "a"}"#,
        ] {
            let plan = http_plan(&format!("body = '{body}'"));
            assert_eq!(plan.literal_credentials(), [""; 0]);
            assert_eq!(plan.redacted(), plan);
        }
    }

    #[test]
    fn references_and_placeholders_are_not_literals() {
        for value in ["env:TOKEN", "file:/run/token"] {
            let plan = http_plan(&format!("headers = {{ authorization = '{value}' }}"));
            assert_redacted(&plan, &[]);
            assert_eq!(plan.redacted(), plan);
        }
        for (value, literal) in [
            ("{{ env.KEY }}", false),
            ("Bearer {{ setup.token }}", false),
            ("bearer {{ a }}{{ b }}", false),
            ("Bearer abc", true),
            ("Bearer abc{{ a }}", true),
            ("{{ 'abc' }}", true),
            ("{{ upper(\"abc\") }}", true),
            ("{{ random_int(1, 9) }}", false),
        ] {
            assert_eq!(is_literal(value), literal, "{value}");
        }
        assert_redacted(&http_plan("headers = { accept = 'token' }"), &[]);
    }

    #[test]
    fn literal_bodies_are_searched_for_fields() {
        for (body, path) in [
            (
                r#"{"user": "a", "password": "geheim"}"#,
                "task.body.password",
            ),
            (r#"{"n": {{ n }}, "apiKey" : "geheim"}"#, "task.body.apiKey"),
            ("user=a&client_secret=geheim&b=c", "task.body.client_secret"),
        ] {
            let plan = http_plan(&format!("body = '{body}'"));
            assert_redacted(&plan, &[path]);
        }
        let number = http_plan(r#"body = '{"token": 123456, "n": 5}'"#).redacted();
        let Task::Http(http) = &number.task else {
            panic!("{number:?}")
        };
        assert_eq!(http.body, r#"{"token":"[redacted]","n":5}"#);
        assert_redacted(&http_plan(r#"body = '{"token": "{{ t }}"}'"#), &[]);
    }

    #[test]
    fn every_part_of_a_scenario_is_searched() {
        let text = r#"
[http]
base_url = "http://h"
headers = [["authorization", "Basic geheim"], ["cookie", "id={{ setup.id }}"]]
[vars]
password = "geheim"
host = "h"
[[setup]]
url = "/login"
form = { user = "a", access_token = "geheim" }
extract = { id = "$.id" }
[[scenario]]
[[scenario.step]]
url = "/a?token=geheim"
headers = { cookie = "sid=geheim" }
[[scenario.step]]
url = "/b"
headers = { x-api-key = "geheim" }
json = { users = [{ passwd = "geheim", name = "n" }], token = "{{ vars.password }}" }
[[teardown]]
url = "/gone"
body = '{"secret":"geheim"}'
[load]
rate = 1
duration = "1s"
"#;
        let no_files = |_: &str| Err(FileError("no file".into()));
        let plan = parse_plan(text, false, &no_files).unwrap();
        let plan = plan.into_plan().unwrap();
        assert_redacted(
            &plan,
            &[
                "http.headers.authorization",
                "vars.password",
                "setup[0].form.access_token",
                "teardown[0].body.secret",
                "scenario[0].step[0].url",
                "scenario[0].step[0].headers.cookie",
                "scenario[0].step[1].headers.x-api-key",
                "scenario[0].step[1].json.users[0].passwd",
            ],
        );
    }

    #[test]
    fn passwords_of_urls_and_private_keys_are_redacted() {
        let mut plan = http_plan("");
        let Task::Http(http) = &mut plan.task else {
            panic!("{plan:?}")
        };
        http.url = format!("https://h/a?b=c#access_token={SECRET}");
        assert_redacted(&plan, &["task.url"]);
        let Task::Http(http) = &mut plan.task else {
            panic!("{plan:?}")
        };
        http.url = format!("https://user:{SECRET}@h/a?b=c");
        http.tls.client_key = Some(format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n"));
        assert_redacted(&plan, &["task.url", "task.tls.client_key"]);
        let Task::Http(http) = plan.redacted().task else {
            panic!("{plan:?}")
        };
        assert_eq!(http.url, "https://user:[redacted]@h/a?b=c");
    }

    #[test]
    fn a_warning_names_the_path_and_what_to_use_instead() {
        let plan = http_plan("headers = { authorization = 'geheim' }");
        assert_eq!(
            plan.credential_warnings(),
            [
                "task.headers.authorization is a literal credential: every node of the swarm can \
                 read it; use a reference such as env:TOKEN and --allow-secret env:TOKEN"
            ]
        );
    }

    #[test]
    fn a_redacted_plan_is_not_valid() {
        let plan = http_plan(&format!("headers = {{ authorization = '{SECRET}' }}"));
        let redacted = plan.redacted();
        let error = redacted.validate().unwrap_err().to_string();
        assert!(
            error.starts_with("task.headers.authorization: was redacted"),
            "{error}"
        );
        assert!(Plan::from_bytes(&redacted.to_bytes()).is_err());
    }
}

//! Literal credentials in a plan, and a plan without them.
//!
//! Every node of the swarm gets the plan, so a credential in it should be a reference
//! (`env:NAME`, `file:PATH`) or a placeholder (`{{ env.NAME }}`). A result keeps its plan only in
//! the form of [`Plan::redacted`].

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
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "credential",
    "authorization",
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
/// Whole words in such names. A word may also end with `token`.
const WORDS: [&str; 8] = ["pwd", "pass", "auth", "session", "sid", "sig", "jwt", "otp"];

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
/// the name, such as `secret` in `clientSecret`, or words, such as `auth` in `X-Auth`. Plural
/// `tokens` is a number in most APIs and counts as no credential.
pub fn is_credential_name(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    let is_word = |w: &String| WORDS.contains(&w.as_str()) || w.ends_with("token");
    words.iter().any(is_word) || PARTS.iter().any(|part| joined.contains(part))
}

/// The words of a name in lower case: separated by other characters than letters and digits, or by
/// an upper-case letter.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
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
        if is_credential_name(name) {
            let mut text = value.to_string();
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
            Body::Json(value) => json(&path.then("json"), value, false, edit),
            Body::Form(fields) => {
                for (name, value) in fields {
                    if is_credential_name(name) {
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
        if is_credential_name(name) && !only_names {
            edit(&path.then(name.as_str()), value);
        }
    }
}

/// Texts and numbers of JSON below a key that names a credential (`inside`).
fn json(path: &Path, value: &mut Value, inside: bool, edit: &mut Edit<'_>) {
    match value {
        Value::Array(values) => {
            for (i, value) in values.iter_mut().enumerate() {
                json(&path.then(i), value, inside, edit);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let inside = inside || is_credential_name(name);
                json(&path.then(name.as_str()), value, inside, edit);
            }
        }
        Value::String(text) if inside => edit(path, text),
        Value::Number(number) if inside => {
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
    Regex::new(r#""(?<name>[\w-]+)"\s*:\s*(?:"(?<text>(?:[^"\\]|\\.)*)"|(?<number>-?[0-9.]+))"#)
        .ok()
});

/// A field of a form or of a query.
static FORM_FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[&?])(?<name>[\w.\[\]%-]+)=(?<text>[^&#]*)").ok());

/// JSON or form fields in a text.
fn text_body(path: &Path, body: &mut String, edit: &mut Edit<'_>) {
    if let Ok(mut value) = serde_json::from_str::<Value>(body) {
        let before = value.clone();
        json(path, &mut value, false, edit);
        if value != before {
            *body = value.to_string();
        }
        return;
    }
    fields(&JSON_FIELD, path, body, edit);
    if !body.contains(['{', '\n']) || body.trim_start().starts_with(|c| c != '{' && c != '[') {
        fields(&FORM_FIELD, path, body, edit);
    }
}

/// Fields that a pattern finds in a text; its groups are `name`, `text` and `number`.
fn fields(pattern: &Option<Regex>, path: &Path, text: &mut String, edit: &mut Edit<'_>) {
    let Some(pattern) = pattern else {
        return;
    };
    let mut changes = Vec::new();
    for found in pattern.captures_iter(text) {
        let name = &found["name"];
        let (quoted, number) = (found.name("text"), found.name("number"));
        let Some(value) = quoted.or(number).filter(|_| is_credential_name(name)) else {
            continue;
        };
        let mut content = value.as_str().to_owned();
        edit(&path.then(name), &mut content);
        if content != value.as_str() {
            let content = match number {
                Some(_) => format!("\"{content}\""),
                None => content,
            };
            changes.push((value.range(), content));
        }
    }
    for (range, content) in changes.into_iter().rev() {
        text.replace_range(range, &content);
    }
}

/// Password and query parameters of a URL.
fn url(path: &Path, url: &mut String, edit: &mut Edit<'_>) {
    if let Some(password) = password_of(url) {
        let mut content = url[password.clone()].to_owned();
        edit(path, &mut content);
        url.replace_range(password, &content);
    }
    if let Some(query) = url.find('?') {
        let mut rest = url.split_off(query);
        let mut at_url = |_: &Path, value: &mut String| edit(path, value);
        fields(&FORM_FIELD, path, &mut rest, &mut at_url);
        url.push_str(&rest);
    }
}

/// Bytes of the password in `http://user:password@host/`.
fn password_of(url: &str) -> Option<std::ops::Range<usize>> {
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
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in [
            "author",
            "authority",
            "max_tokens",
            "tokenizer",
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

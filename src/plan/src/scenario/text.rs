//! Texts with placeholders: `{{ token }}`, `{{ users.email }}`, `{{ random_int(1, 9) }}`, in
//! minijinja's syntax (that of Jinja2).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::{Object, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, escape_formatter,
};

use vajra_core::splitmix::hash;

/// Variables of every step, in addition to data, extracted values and `env`.
pub const BUILT_IN: [&str; 3] = ["iteration", "user", "scenario"];

/// Functions of every step.
pub const FUNCTIONS: [&str; 5] = [
    "random_int",
    "random_string",
    "random_choice",
    "uuid",
    "now_ms",
];

/// Name of the variable with the random numbers of the functions.
const DRAWS: &str = "__draws";

/// A template environment with the functions and no templates.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
        // Lower case, as in JSON, queries and forms; Jinja2 itself writes True.
        Ok(b) if value.kind() == ValueKind::Bool => write!(out, "{b}").map_err(Error::from),
        _ => escape_formatter(out, state, value),
    });
    environment.add_function("random_int", |state: &State, low: i64, high: i64| {
        if low > high {
            let why = format!("random_int({low}, {high}) starts above its end");
            return Err(Error::new(ErrorKind::InvalidOperation, why));
        }
        let width = u128::from(high.abs_diff(low)) + 1;
        let drawn = (u128::from(draw(state)) * width) >> 64;
        Ok((i128::from(low) + drawn as i128) as i64)
    });
    environment.add_function("random_string", |state: &State, length: usize| {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let letter = |_| LETTERS[(draw(state) % LETTERS.len() as u64) as usize] as char;
        (0..length.min(10_000)).map(letter).collect::<String>()
    });
    environment.add_function("random_choice", |state: &State, of: Vec<Value>| {
        let place = draw(state) % of.len().max(1) as u64;
        let chosen = of.into_iter().nth(place as usize);
        chosen.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "nothing to choose from"))
    });
    environment.add_function("uuid", |state: &State| {
        let (high, low) = (draw(state), draw(state));
        let (high, low) = (high & !0xF000 | 0x4000, low >> 2 | 1 << 63);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    });
    environment.add_function("now_ms", || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| d.as_millis() as u64)
    });
    environment
}

/// Random numbers of one iteration, the same on every node and in every run.
#[derive(Debug)]
pub struct Draws {
    seed: u64,
    drawn: AtomicU64,
}

impl Draws {
    /// The random numbers of a seed, which is unique to an iteration.
    pub fn new(seed: u64) -> Draws {
        Draws {
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    /// The variable for a template's context.
    pub fn entry(self) -> (&'static str, Value) {
        (DRAWS, Value::from_object(self))
    }
}

impl Object for Draws {}

fn draw(state: &State) -> u64 {
    let draws = state.lookup(DRAWS);
    let draws = draws
        .as_ref()
        .and_then(|v| v.downcast_object_ref::<Draws>());
    draws.map_or(0, |d| hash(d.seed, d.drawn.fetch_add(1, Ordering::Relaxed)))
}

/// Whether a text has placeholders.
pub fn has_placeholders(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Whether a text consists of placeholders alone, apart from white space and an authentication
/// scheme such as `Bearer`.
pub fn is_only_placeholders(text: &str) -> bool {
    let mut rest = text.trim();
    for scheme in ["Bearer ", "Basic ", "Token "] {
        let start = rest.get(..scheme.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
            rest = rest[scheme.len()..].trim();
        }
    }
    let mut found = false;
    while !rest.is_empty() {
        let Some(end) = rest.find("}}").filter(|_| rest.starts_with("{{")) else {
            return false;
        };
        // A quoted text in a placeholder is a literal.
        if rest[..end].contains(['\'', '"']) {
            return false;
        }
        found = true;
        rest = rest[end + 2..].trim_start();
    }
    found
}

/// Why a text with placeholders is rejected. The messages don't repeat the text, which may contain
/// credentials.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// Malformed syntax.
    #[error("is not a template: {reason}")]
    Syntax {
        /// The problem in one line.
        reason: String,
    },
    /// Rendering would fail in every iteration.
    #[error("can't be rendered: {reason}")]
    Render {
        /// The problem in one line.
        reason: String,
    },
}

/// Objects whose fields are variables of their own: the node's environment, the setup's values, the
/// plan's constants.
pub const PREFIXES: [&str; 3] = ["env", "setup", "vars"];

/// The variables of a text: `token`, `users`; and `env.NAME`, `setup.NAME`, `vars.NAME` in full.
///
/// # Errors
/// Its syntax is malformed.
pub fn variables(text: &str) -> Result<BTreeSet<String>, TemplateError> {
    let names = paths(text)?.into_iter().map(|name| {
        let mut parts = name.split('.');
        match (parts.next(), parts.next()) {
            (Some(first), Some(second)) if PREFIXES.contains(&first) => format!("{first}.{second}"),
            (first, _) => first.unwrap_or_default().to_owned(),
        }
    });
    Ok(names.collect())
}

/// [`variables`] with their fields: `users.name`.
///
/// # Errors
/// Its syntax is malformed.
pub fn paths(text: &str) -> Result<BTreeSet<String>, TemplateError> {
    if !has_placeholders(text) {
        return Ok(BTreeSet::new());
    }
    let environment = environment();
    let template = environment
        .template_from_str(text)
        .map_err(|e| TemplateError::Syntax {
            reason: explain(&e),
        })?;
    let names = template.undeclared_variables(true).into_iter();
    Ok(names.filter(|n| !FUNCTIONS.contains(&n.as_str())).collect())
}

/// Renders a text with stand-in values, to find what would fail in every iteration: unknown functions
/// and filters, and calls without variables.
///
/// # Errors
/// It would fail in every iteration.
pub fn trial(text: &str) -> Result<(), TemplateError> {
    let constant = paths(text)?.is_empty();
    if !has_placeholders(text) {
        return Ok(());
    }
    let context = Value::from_object(StandIn);
    let Err(e) = environment().render_str(text, context) else {
        return Ok(());
    };
    let missing = [
        ErrorKind::UnknownFilter,
        ErrorKind::UnknownTest,
        ErrorKind::UnknownFunction,
        ErrorKind::UnknownMethod,
    ];
    match constant || missing.contains(&e.kind()) {
        true => Err(TemplateError::Render {
            reason: explain(&e),
        }),
        false => Ok(()),
    }
}

/// An object in which every field is such an object.
#[derive(Debug)]
struct StandIn;

impl Object for StandIn {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let (draws, value) = Draws::new(0).entry();
        match key {
            key if key == draws => Some(value),
            key if FUNCTIONS.contains(&key) => None,
            _ => Some(Value::from_object(StandIn)),
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str().unwrap_or_default())
    }
}

/// An error in one line, without the generated name of the template.
pub fn explain(e: &Error) -> String {
    match e.detail() {
        Some(detail) => detail.to_owned(),
        None => e.kind().to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rendered(text: &str, seed: u64) -> String {
        let context = Value::from_pairs([Draws::new(seed).entry()]);
        environment().render_str(text, context).unwrap()
    }

    #[test]
    fn templates_that_always_fail_are_rejected() {
        for fine in [
            "plain",
            "{{ a.b.c | upper }}",
            "{{ random_int(1, vars.n) }}",
            "{{ vars.n + 1 }}",
            "{% for i in users.tags %}{{ i }}{% endfor %}",
        ] {
            assert_eq!(trial(fine), Ok(()));
        }
        for (text, expected) in [
            ("{{ token | nofilter }}", "nofilter"),
            ("{{ random_int(50, 1) }}", "starts above its end"),
        ] {
            let error = trial(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_variables_of_a_text_are_found() {
        let of = |text: &str| variables(text).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(of("/plain"), Vec::<String>::new());
        assert_eq!(
            of("/{{ token }}?{{ users.name | urlencode }}"),
            ["token", "users"]
        );
        assert_eq!(of("{{ env.KEY }}{{ random_int(1, 2) }}"), ["env.KEY"]);
        assert_eq!(
            of("{{ setup.token }}{{ vars.host.x }}{{ setup }}"),
            ["setup", "setup.token", "vars.host"]
        );
        assert_eq!(of("{% if a %}{{ b }}{% endif %}"), ["a", "b"]);
        let error = variables("{{ a").unwrap_err().to_string();
        assert!(error.contains("is not a template"), "{error}");
    }

    #[test]
    fn random_values_depend_on_the_seed_alone() {
        let text = "{{ random_int(1, 6) }} {{ random_string(5) }} {{ uuid() }} \
                    {{ random_choice(['a', 'b']) }}";
        assert_eq!(rendered(text, 1), rendered(text, 1));
        assert_ne!(rendered(text, 1), rendered(text, 2));
        let seen: BTreeSet<String> = (0..200)
            .map(|seed| rendered("{{ random_int(-1, 2) }}", seed))
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["-1", "0", "1", "2"]);
        let id = rendered("{{ uuid() }}", 7);
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }
}

//! Texts with holes: `{{ token }}`, `{{ users.email }}`, `{{ random_int(1, 9) }}`, in
//! minijinja's syntax (that of Jinja2).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::{Object, Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, escape_formatter,
};

use vajra_core::splitmix::hash;

/// Variables that every step has, besides data, extracted values and `env`.
pub const BUILT_IN: [&str; 3] = ["iteration", "user", "scenario"];

/// Functions that every step has.
pub const FUNCTIONS: [&str; 5] = [
    "random_int",
    "random_string",
    "random_choice",
    "uuid",
    "now_ms",
];

/// Where a template finds what its functions draw from.
const DRAWS: &str = "__draws";

/// An environment with our functions and no templates.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, state, value| match bool::try_from(value.clone()) {
        // As JSON, queries and forms write it; Jinja2 itself has True.
        Ok(b) if value.kind() == ValueKind::Bool => write!(out, "{b}").map_err(Error::from),
        _ => escape_formatter(out, state, value),
    });
    environment.add_function("random_int", |state: &State, low: i64, high: i64| {
        if low > high {
            let why = format!("random_int({low}, {high}) begins above its end");
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

/// Random numbers of one iteration: the same whenever and wherever it is carried out.
#[derive(Debug)]
pub struct Draws {
    seed: u64,
    drawn: AtomicU64,
}

impl Draws {
    /// By a number that each iteration has of its own.
    pub fn new(seed: u64) -> Draws {
        Draws {
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    /// As the value that templates find them by.
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

/// Whether a text has holes.
pub fn has_holes(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// What stands before a name that is looked up elsewhere: a node's environment, the setup's
/// values, the plan's constants.
pub const PREFIXES: [&str; 3] = ["env", "setup", "vars"];

/// The variables that a text uses: `token`, `users`, and `env.NAME`, `setup.NAME`, `vars.NAME`
/// in full.
///
/// # Errors
/// One line that says what is wrong with its syntax.
pub fn variables(text: &str) -> Result<BTreeSet<String>, String> {
    let names = paths(text)?.into_iter().map(|name| {
        let mut parts = name.split('.');
        match (parts.next(), parts.next()) {
            (Some(first), Some(second)) if PREFIXES.contains(&first) => format!("{first}.{second}"),
            (first, _) => first.unwrap_or_default().to_owned(),
        }
    });
    Ok(names.collect())
}

/// The same with what is read of them: `users.name`.
///
/// # Errors
/// One line that says what is wrong with its syntax.
pub fn paths(text: &str) -> Result<BTreeSet<String>, String> {
    if !has_holes(text) {
        return Ok(BTreeSet::new());
    }
    let environment = environment();
    let template = environment
        .template_from_str(text)
        .map_err(|e| format!("{text:?} is no template: {}", explain(&e)))?;
    let names = template.undeclared_variables(true).into_iter();
    Ok(names.filter(|n| !FUNCTIONS.contains(&n.as_str())).collect())
}

/// Fills a text in with values that stand for any, as far as that can tell what would fail in
/// every iteration: functions and filters that there are not, and calls that use no variable.
///
/// # Errors
/// What would.
pub fn trial(text: &str) -> Result<(), String> {
    let whole = paths(text)?.is_empty();
    if !has_holes(text) {
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
    match whole || missing.contains(&e.kind()) {
        true => Err(format!("{text:?} can't be filled in: {}", explain(&e))),
        false => Ok(()),
    }
}

/// Has every field, and each is the same again.
#[derive(Debug)]
struct StandIn;

impl Object for StandIn {
    fn get_value_by_str(self: &std::sync::Arc<Self>, key: &str) -> Option<Value> {
        let (draws, value) = Draws::new(0).entry();
        match key {
            key if key == draws => Some(value),
            key if FUNCTIONS.contains(&key) => None,
            _ => Some(Value::from_object(StandIn)),
        }
    }

    fn get_value(self: &std::sync::Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str().unwrap_or_default())
    }
}

/// An error in one line, without the template's made-up name.
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
    fn what_can_never_be_filled_in_is_told() {
        for fine in [
            "plain",
            "{{ a.b.c | upper }}",
            "{{ random_int(1, vars.n) }}",
            "{{ vars.n + 1 }}",
            "{% for i in users.tags %}{{ i }}{% endfor %}",
        ] {
            assert_eq!(trial(fine), Ok(()));
        }
        for (text, told) in [
            ("{{ token | nofilter }}", "nofilter"),
            ("{{ random_int(50, 1) }}", "begins above its end"),
        ] {
            let why = trial(text).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
    }

    #[test]
    fn the_variables_of_a_text_are_known() {
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
        let broken = variables("{{ a").unwrap_err();
        assert!(broken.contains("is no template"), "{broken}");
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

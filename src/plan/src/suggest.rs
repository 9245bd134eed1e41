//! What was probably meant by a name that is none.

/// The name that a mistyped one is nearest to, if any is near: few letters changed, left out,
/// added or swapped, or one begins with the other.
pub fn near<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let close = |name: &str| {
        let begins = given.len() >= 3 && (name.starts_with(&given) || given.starts_with(name));
        let changes = strsim::osa_distance(&given, &name.to_lowercase());
        let most = given.chars().count().max(name.chars().count()) / 3;
        (changes <= most.max(1) || begins).then_some(changes)
    };
    let near = names.into_iter().filter(|name| name.len() > 1);
    let near = near.filter_map(|name| close(name).map(|changes| (changes, name)));
    near.min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = [
            "rate",
            "users",
            "duration",
            "think_time",
            "headers",
            "ramp_up",
        ];
        for (given, meant) in [
            ("rat", Some("rate")),
            ("Rate", Some("rate")),
            ("duraton", Some("duration")),
            ("duratoin", Some("duration")),
            ("think", Some("think_time")),
            ("header", Some("headers")),
            ("rampup", Some("ramp_up")),
            ("body", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(near(given, names), meant, "{given}");
        }
    }
}

//! Suggestions for mistyped names.

/// The name that is most similar to a mistyped one, if any is: a few letters are changed, left
/// out, added or swapped, or one name starts with the other.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let close = |name: &str| {
        let prefix = given.len() >= 3 && (name.starts_with(&given) || given.starts_with(name));
        let changes = strsim::osa_distance(&given, &name.to_lowercase());
        let most = given.chars().count().max(name.chars().count()) / 3;
        (changes <= most.max(1) || prefix).then_some(changes)
    };
    let names = names.into_iter().filter(|name| name.len() > 1);
    let similar = names.filter_map(|name| close(name).map(|changes| (changes, name)));
    similar
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised_and_other_words_are_not() {
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
            assert_eq!(nearest(given, names), meant, "{given}");
        }
    }
}

//! Where in a plan's text an error is, to be shown there.

use super::parse::PlanError;

/// Line and column, counted from 1, that an error is about, as well as that can be told from
/// the text: an error of a value knows its field by name only.
pub fn locate(error: &PlanError, text: &str) -> Option<(usize, usize)> {
    match error {
        PlanError::Syntax { line, column, .. } => Some((*line, *column)),
        PlanError::Field { field, problem } => {
            let names: Vec<&str> = field.split('"').skip(1).step_by(2).collect();
            match names.is_empty() {
                true => of_field(field, text),
                false => {
                    let phase = field.split(' ').next().unwrap_or_default();
                    of_step(phase, &names, problem, text)
                }
            }
        }
        PlanError::TooLarge(_) => None,
    }
}

/// `load.rate` is the key `rate` below `[load]`; or else the table itself.
fn of_field(field: &str, text: &str) -> Option<(usize, usize)> {
    let (table, key) = field.rsplit_once('.').unwrap_or(("", field));
    let mut inside = table.is_empty();
    let mut header = None;
    for (i, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        if bare.starts_with('[') && !bare.contains('=') {
            let name = bare.trim_matches(['[', ']', ' ']);
            inside = name == table;
            if inside || name == field {
                header = header.or(Some((i + 1, 1)));
            }
        } else if inside && is_key(bare, key) {
            return Some((i + 1, line.len() - bare.len() + 1));
        }
    }
    // An inline table: `tls = { … }` for `task.tls.ca`.
    header.or_else(|| (!table.is_empty()).then(|| of_field(table, text))?)
}

/// The step of a scenario (or of `setup`, `teardown`), or the template in it that is wrong.
fn of_step(kind: &str, names: &[&str], problem: &str, text: &str) -> Option<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let header = format!("[[{kind}]]");
    let begins = lines.iter().position(|l| l.trim() == header);
    let mut from = begins.unwrap_or_default();
    for name in names {
        let quoted = format!("\"{name}\"");
        let found = lines[from..]
            .iter()
            .position(|l| is_key(l.trim_start(), "name") && l.contains(&quoted));
        from += found?;
    }
    let wrong = problem
        .split("{{ ")
        .nth(1)
        .and_then(|p| p.split(" }}").next());
    if let Some(wrong) = wrong {
        let within = lines[from..]
            .iter()
            .enumerate()
            .take_while(|(i, l)| *i == 0 || !l.trim_start().starts_with("[["));
        for (i, line) in within {
            let hole = line
                .match_indices("{{")
                .find(|(at, _)| line[at + 2..].trim_start().starts_with(wrong));
            if let Some((at, _)) = hole {
                return Some((from + i + 1, line[..at].chars().count() + 1));
            }
        }
    }
    Some((from + 1, 1))
}

fn is_key(line: &str, key: &str) -> bool {
    let rest = line.strip_prefix(key);
    rest.is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// An error as a compiler shows it: what is wrong, where, and the line itself.
pub fn show(error: &PlanError, name: &str, text: &str) -> String {
    show_at(error, locate(error, text), name, text)
}

/// [`show`] for an error whose line and column are known.
pub fn show_at(
    error: &PlanError,
    located: Option<(usize, usize)>,
    name: &str,
    text: &str,
) -> String {
    let Some((line, column)) = located else {
        return format!("{error}\n  --> {name}");
    };
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let width = line.to_string().len();
    let before: String = shown
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let what = match error {
        PlanError::Syntax { problem, .. } => problem.clone(),
        other => other.to_string(),
    };
    format!(
        "{what}\n{:width$}--> {name}:{line}:{column}\n{:width$} |\n{line} | {shown}\n{:width$} | {before}^",
        "", "", ""
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::parse_toml;

    fn shown(text: &str) -> String {
        show(&parse_toml(text).unwrap_err(), "p.toml", text)
    }

    #[test]
    fn errors_point_at_what_they_are_about() {
        let head =
            "[http]\nbase_url = \"http://h\"\n[[scenario]]\nname = \"a\"\n[[scenario.step]]\n";
        let load = "[load]\nrate = 1\nduration = \"1s\"\n";
        for (text, place) in [
            ("[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 0\nduration = \"1s\"\n".to_owned(), "5:1"),
            ("[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 1\n  max_lateness = \"0s\"\nduration = \"1s\"\n".to_owned(), "6:3"),
            ("[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 1\n".to_owned(), "4:1"),
            (format!("{head}name = \"s\"\nurl = \"/x/{{{{ id }}}}\"\n{load}"), "7:11"),
            (format!("{head}name = \"s\"\nurl = \"x\"\n{load}"), "6:1"),
            (format!("{head}name = \"s\"\nurl = \"/x\"\nchek = []\n{load}"), "8:1"),
            ("[task]\ntype = \n".to_owned(), "2:8"),
            (format!("{head}name = \"s\"\nurl = \"/x\"\n[[setup]]\nname = \"s\"\nurl = \"/{{{{ vars.y }}}}\"\n{load}"), "10:9"),
        ] {
            let told = shown(&text);
            assert!(told.contains(&format!("--> p.toml:{place}\n")), "{told}");
        }
    }

    #[test]
    fn the_line_is_shown_with_a_mark_under_it() {
        let told = shown("[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 0\nduration = \"1s\"\n");
        assert_eq!(
            told,
            "load.rate: 0 is not allowed; it must be between 0.001 and 1000000 a second\n \
             --> p.toml:5:1\n  |\n5 | rate = 0\n  | ^"
        );
    }
}

//! The place of an error in a plan's text, shown like a compiler does.

use std::ops::Range;

use super::error::{PlanError, line_and_column};
use super::source::{Node, tree};

/// Bytes of the text that an error is about; none if it is about the whole plan.
fn locate(error: &PlanError, text: &str) -> Option<Range<usize>> {
    let at = match error {
        PlanError::Syntax { at, .. } => at.clone(),
        PlanError::Field {
            path, placeholder, ..
        } => {
            let tree = tree(text).ok()?;
            let found = tree.last_on(path);
            let within = placeholder.as_deref();
            let within = within.and_then(|content| placeholder_in(found, content, text));
            within.unwrap_or_else(|| found.at.clone())
        }
        PlanError::TooLarge(_) => return None,
    };
    (at != (0..0)).then_some(at)
}

/// Bytes of the first placeholder with this content in the texts below a value.
fn placeholder_in(node: &Node, content: &str, text: &str) -> Option<Range<usize>> {
    node.texts().into_iter().find_map(|node| {
        let written = text.get(node.at.clone())?;
        let mut starts = written.match_indices("{{");
        let (at, _) = starts.find(|(at, _)| {
            let inside = written[at + 2..].trim_start_matches(['-', '+', ' ']);
            let rest = inside.strip_prefix(content);
            rest.is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })?;
        let length = written[at..].find("}}").map_or(2, |end| end + 2);
        let start = node.at.start + at;
        Some(start..start + length)
    })
}

/// Shows an error like a compiler: the problem, its place, the line with a mark below it, and
/// hints.
///
/// Own code instead of `annotate-snippets`: that crate replaces tabs, shortens long lines and
/// needs a span, whereas errors about the whole plan have none; the layout below is 25 lines.
pub fn show(error: &PlanError, name: &str, text: &str) -> String {
    let (what, help) = match error {
        PlanError::Syntax {
            problem,
            help,
            path,
            ..
        } => match path.is_empty() {
            true => (problem.clone(), help.as_slice()),
            // The problem already names the key.
            _ if problem.contains('`') => (problem.clone(), help.as_slice()),
            _ => (format!("{path}: {problem}"), help.as_slice()),
        },
        other => (other.to_string(), [].as_slice()),
    };
    let Some(at) = locate(error, text) else {
        return format!("{what}\n --> {name}");
    };
    let (line, column) = line_and_column(text, at.start);
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let width = line.to_string().len();
    let before: String = shown
        .chars()
        .take(column.saturating_sub(1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    // At most to the end of the line.
    let rest = shown.chars().count().saturating_sub(column - 1);
    let marked = text.get(at).map_or(1, |t| t.chars().count());
    let mark = "^".repeat(marked.min(rest).max(1));
    let mut out = format!(
        "{what}\n{:width$}--> {name}:{line}:{column}\n{:width$} |\n{line} | {shown}\n{:width$} | {before}{mark}",
        "", "", ""
    );
    if !help.is_empty() {
        out.push_str(&format!("\n{:width$} |", ""));
    }
    for help in help {
        out.push_str(&format!("\n{:width$} = {help}", ""));
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{FileError, parse_plan, parse_toml};

    fn shown(text: &str) -> String {
        show(&parse_toml(text).unwrap_err(), "p.toml", text)
    }

    #[test]
    fn errors_point_at_the_value() {
        let head =
            "[http]\nbase_url = \"http://h\"\n[[scenario]]\nname = \"a\"\n[[scenario.step]]\n";
        let load = "[load]\nrate = 1\nduration = \"1s\"\n";
        let sleep = "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\n";
        let twice = "name = \"s\"\nurl = \"/x\"\n[[scenario]]\nname = \"b\"\n[[scenario.step]]\n";
        for (text, place) in [
            (format!("{sleep}rate = 0\nduration = \"1s\"\n"), "5:8"),
            (
                format!("{sleep}rate = 1\n  max_lateness = \"0s\"\nduration = \"1s\"\n"),
                "6:18",
            ),
            (format!("{sleep}rate = 1\n"), "4:1"),
            (
                format!("{head}name = \"s\"\nurl = \"/x/{{{{ id }}}}\"\n{load}"),
                "7:11",
            ),
            (format!("{head}name = \"s\"\nurl = \"x\"\n{load}"), "7:7"),
            (
                format!("{head}name = \"s\"\nurl = \"/x\"\nchek = []\n{load}"),
                "8:1",
            ),
            ("[task]\ntype = \n".to_owned(), "2:8"),
            // A step of the same name in another scenario.
            (
                format!("{head}{twice}name = \"s\"\nurl = \"/{{{{ id }}}}\"\n{load}"),
                "12:9",
            ),
            (
                format!("{head}{twice}url = \"/x\"\nthink = \"2h\"\n{load}"),
                "12:9",
            ),
            // A table of the same name elsewhere.
            (
                format!("tags = {{ rate = \"x\" }}\n{sleep}rate = 0\nduration = \"1s\"\n"),
                "6:8",
            ),
            // Dotted keys and tables in a line.
            (
                format!(
                    "task.type = \"HTTP\"\ntask.url = \"https://h\"\ntask.tls.client_cert = \"x\"\n{load}"
                ),
                "3:6",
            ),
            (
                format!(
                    "[task]\ntype = \"HTTP\"\nurl = \"https://h\"\ntls = {{ client_key = \"secret\" }}\n{load}"
                ),
                "4:7",
            ),
            (
                concat!(
                    "[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nmodel = \"open\"\nstages = [\n",
                    "  { type = \"ramp\", target = 1, length = \"1s\" },\n",
                    "  { type = \"ramp\", target = 9, length = \"0s\" },\n]\n",
                )
                .to_owned(),
                "8:41",
            ),
        ] {
            let output = shown(&text);
            assert!(
                output.contains(&format!("--> p.toml:{place}\n")),
                "{place}\n{text}\n{output}"
            );
        }
    }

    #[test]
    fn json_errors_point_at_the_value() {
        let read = |_: &str| Err(FileError("nothing to read".to_owned()));
        for (text, place) in [
            (
                "{\"task\": {\"type\": \"SLEEP\", \"ms\": 1},\n \"load\": {\"rate\": 0, \"duration\": \"1s\"}}",
                "2:19",
            ),
            (
                "{\"task\": {\"type\": \"SLEEP\", \"ms\": 1},\n \"load\": {\"rat\": 1, \"duration\": \"1s\"}}",
                "2:11",
            ),
            (
                "{\"task\": {\"type\": \"SLEEP\", \"ms\": 1},\n \"load\": {\"rate\": 1, \"duration\": 5}}",
                "2:34",
            ),
            (
                "{\"task\": {\"type\": \"SLEEP\", \"ms\": 1},\n \"load\": {\"rate\": 1}}",
                "2:10",
            ),
        ] {
            let error = parse_plan(text, true, &read).unwrap_err();
            let output = show(&error, "p.json", text);
            assert!(
                output.contains(&format!("--> p.json:{place}\n")),
                "{place}\n{output}"
            );
        }
    }

    #[test]
    fn the_line_is_shown_with_a_mark_under_it() {
        let output =
            shown("[task]\ntype = \"SLEEP\"\nms = 1\n[load]\nrate = 0\nduration = \"1s\"\n");
        assert_eq!(
            output,
            "load.rate: 0 is not allowed; it must be between 0.001 and 1000000 per second\n \
             --> p.toml:5:8\n  |\n5 | rate = 0\n  |        ^"
        );
    }
}

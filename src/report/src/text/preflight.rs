//! The pre-flight report as text.

use super::layout::{fit, pad, wrap};
use unicode_width::UnicodeWidthStr as _;
use vajra_core::protocol::preflight::Finding;
use vajra_results::preflight::{PreflightCheck, PreflightNode, PreflightReport, word};

/// Width of the longest name of a check, in columns.
const NAME: usize = 14;
/// Most nodes named for the same finding.
const NAMED: usize = 3;

/// A line for each check for which `shows` is true; below it the findings of single nodes, and
/// what to do.
pub fn preflight(report: &PreflightReport, shows: impl Fn(Finding) -> bool) -> String {
    let checks = report.checks.iter().filter(|c| shows(c.finding));
    checks.map(|c| check(c, &report.nodes)).collect()
}

fn check(check: &PreflightCheck, nodes: &[PreflightNode]) -> String {
    let name = pad(&check.name, NAME);
    let first = format!("  {}  {name}  ", word(check.finding).to_uppercase());
    let indent = " ".repeat(first.width());
    let mut out = wrap(&first, &check.text);
    let findings = nodes.iter().flat_map(|n| {
        let checks = n.checks.iter();
        checks
            .filter(|c| (&c.name, &c.subject) == (&check.name, &check.subject))
            .map(move |c| (n, c))
    });
    let mut hints: Vec<&str> = check.hint.as_deref().into_iter().collect();
    let mut by_text: Vec<(&str, Vec<&str>)> = Vec::new();
    for (node, found) in findings {
        let listed = found.finding >= Finding::Warn || check.name == "able";
        if !listed || found.finding == Finding::Pass {
            continue;
        }
        hints.extend(found.hint.as_deref());
        match by_text.iter_mut().find(|(text, _)| *text == found.text) {
            Some((_, names)) => names.push(&node.name),
            None => by_text.push((&found.text, vec![&node.name])),
        }
    }
    for (text, names) in by_text {
        let names_of = format!("{}: ", first_names(&names));
        // A finding of all nodes is in the line above, and mostly also that of a single node.
        if names.len() < nodes.len() && check.text != format!("{names_of}{text}") {
            out += &wrap(&format!("{indent}{names_of}"), text);
        }
    }
    // Several nodes often have the same hint.
    let mut shown: Vec<&str> = Vec::new();
    for hint in hints {
        if !shown.contains(&hint) {
            shown.push(hint);
            out += &wrap(&format!("{indent}→ "), hint);
        }
    }
    out
}

/// The first few names.
fn first_names(names: &[&str]) -> String {
    let first: Vec<String> = names.iter().take(NAMED).map(|n| fit(n, 16)).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;
    use vajra_core::protocol::preflight::Check;

    fn node(name: &str, checks: Vec<Check>) -> PreflightNode {
        PreflightNode {
            peer: name.into(),
            name: name.into(),
            is_self: false,
            version: "0.1.0".into(),
            able: true,
            checks: checks.into_iter().map(Into::into).collect(),
        }
    }

    #[test]
    fn nodes_are_named_below_a_failed_check() {
        let bad = |text: &str| {
            Check::new("target", Finding::Fail, text)
                .of("a:1")
                .hint("start it")
        };
        let good = Check::new("target", Finding::Pass, "a:1 is reached").of("a:1");
        let over_all = Check::new("target", Finding::Warn, "1 of 2 nodes can't reach a:1");
        let report = PreflightReport {
            schema: 1,
            verdict: Finding::Warn,
            plan: "00".into(),
            checks: vec![
                Check::new("plan", Finding::Pass, "2 nodes read it alike").into(),
                over_all.of("a:1").hint("start it").into(),
            ],
            nodes: vec![
                node("n0", vec![good]),
                node("n1", vec![bad("refused"), bad("x").of("b:1")]),
            ],
        };
        let expected = "  WARN  target          1 of 2 nodes can't reach a:1
                        n1: refused
                        → start it
";
        assert_eq!(preflight(&report, |f| f >= Finding::Warn), expected);
        let all = preflight(&report, |_| true);
        assert!(all.starts_with("  PASS  plan            2 nodes read it alike\n"));
        assert!(all.lines().all(|l| l.width() <= WIDTH));
    }

    #[test]
    fn equal_findings_are_shown_once_and_those_of_all_nodes_not_again() {
        let low = |text: &str| Check::new("memory", Finding::Warn, text);
        let with = |texts: &[&str]| PreflightReport {
            schema: 1,
            verdict: Finding::Warn,
            plan: "00".into(),
            checks: vec![low("nodes have something to say").into()],
            nodes: texts
                .iter()
                .enumerate()
                .map(|(i, text)| node(&format!("n{i}"), vec![low(text)]))
                .collect(),
        };
        let some = preflight(&with(&["a", "b", "a", "a", "a"]), |_| true);
        let lines: Vec<&str> = some.lines().map(str::trim).collect();
        assert_eq!(lines[1..], ["n0, n2, n3 and 1 more: a", "n1: b"]);
        assert_eq!(preflight(&with(&["a", "a"]), |_| true).lines().count(), 1);
    }
}

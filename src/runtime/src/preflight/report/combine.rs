//! One check over all nodes.

use super::text::common_text;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::units::time;

/// One check over all nodes; `alone` if the swarm has only one node.
pub fn combine(group: &[(&str, &Check)], alone: bool) -> Check {
    let Some((_, first)) = group.first() else {
        return Check::new("", Finding::Skip, "");
    };
    let all = group.len();
    let bad: Vec<&(&str, &Check)> = group
        .iter()
        .filter(|(_, c)| c.finding >= Finding::Warn)
        .collect();
    let worst = group.iter().map(|(_, c)| c.finding).max();
    let mut finding = worst.unwrap_or(Finding::Skip);
    let check =
        |finding, text: String| Check::new(&first.name, finding, text).of(first.subject.as_str());
    if bad.is_empty() {
        return check(finding, summary(group));
    }
    let one = |(name, check): &(&str, &Check)| match alone {
        true => check.text.clone(),
        false => format!("{name}: {}", check.text),
    };
    let failed = bad
        .iter()
        .filter(|(_, c)| c.finding == Finding::Fail)
        .count();
    let target = first.name == "target";
    // Other nodes still reach the target.
    if target && failed < all {
        finding = Finding::Warn;
    }
    let text = match (all, bad.as_slice()) {
        _ if target && failed == all => {
            // The node's text is `cannot reach TARGET: REASON`.
            let why = first.text.split_once(": ").map_or("", |(_, why)| why);
            format!("no node reaches {}: {why}", first.subject)
        }
        (1, [only]) => one(only),
        _ if target && failed > 0 => {
            format!("{failed} of {all} nodes cannot reach {}", first.subject)
        }
        _ => match common_text(bad.iter().copied()) {
            Some(text) => format!("{} of {all} nodes: {text}", bad.len()),
            None => format!("{} of {all} nodes have different problems", bad.len()),
        },
    };
    let hint = bad
        .iter()
        .map(|(_, c)| c.hint.as_str())
        .find(|h| !h.is_empty());
    let check = check(finding, text).hint(hint.unwrap_or_default());
    match target && failed > 0 && failed < all {
        true => check.hint(
            "requests of these nodes would fail; fix their network, or exclude them: \
             `vajra-node drain NODE`",
        ),
        false => check,
    }
}

/// The text for checks that passed on all nodes.
fn summary(group: &[(&str, &Check)]) -> String {
    let [(_, first), ..] = group else {
        return String::new();
    };
    if group.len() == 1 && !matches!(first.name.as_str(), "network" | "clock") {
        return first.text.clone();
    }
    let nodes = match group.len() {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    let values = || group.iter().filter_map(|(_, c)| c.value);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let range = match (low as f64 / 1e3, high as f64 / 1e3) {
        (low, high) if time(low) == time(high) => time(high),
        (low, high) => format!("{} to {}", time(low), time(high)),
    };
    match first.name.as_str() {
        "target" => format!("{nodes} reach {} in {range}", first.subject),
        "network" => {
            let nodes = nodes.replacen("node", "other node", 1);
            format!("{nodes}, round trip {range}")
        }
        "plan" => format!("{nodes} {}", first.text),
        "clock" => format!("wall clocks differ by at most {high} ms"),
        _ => {
            let tightness = |c: &Check| match (c.value, c.limit) {
                (Some(value), Some(limit)) => value as f64 / limit.max(1) as f64,
                _ => 0.0,
            };
            let tightest = group
                .iter()
                .max_by(|(_, a), (_, b)| tightness(a).total_cmp(&tightness(b)));
            match tightest {
                Some((name, check)) if check.value.is_some() => {
                    format!("{nodes}; closest to the limit, {name}: {}", check.text)
                }
                _ => format!("{nodes}; {}: {}", group[0].0, first.text),
            }
        }
    }
}

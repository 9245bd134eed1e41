//! The cores: whether they are there when an arrival is due.

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};

/// Part of the time that a hypervisor may take without it showing in the lag.
const STOLEN: f64 = 0.01;
/// Part of the machine that others may be using.
const BUSY: f64 = 0.25;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let used = facts.stat.as_ref().and_then(|(a, b)| Used::of(a, b));
    vec![
        governor(&facts.governors),
        quota(&facts.cpu_max, facts.cpu_stat.as_deref(), facts.cores),
        steal(used),
        load(used),
    ]
}

fn governor(of_cores: &[String]) -> Check {
    let Some(first) = of_cores.first() else {
        return Check::new(
            "governor",
            Finding::Skip,
            "this system does not tell (in virtual machines the host decides)",
        );
    };
    let slow = of_cores.iter().find(|g| *g != "performance");
    match slow {
        None => Check::new("governor", Finding::Pass, first),
        Some(governor) => Check::new(
            "governor",
            Finding::Warn,
            format!("{governor}: cores slow down between requests, and lag rises"),
        )
        .hint("cpupower frequency-set -g performance"),
    }
}

/// `cpu.max` is `MAX PERIOD` in microseconds, or `max PERIOD`.
fn quota(cpu_max: &[String], cpu_stat: Option<&str>, cores: usize) -> Check {
    let limits = cpu_max.iter().filter_map(|text| {
        let (max, period) = text.trim().split_once(' ')?;
        Some(max.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let Some(allowed) = limits.reduce(f64::min) else {
        let text = format!("no quota on {cores} cores");
        return Check::new("cpu_quota", Finding::Pass, text);
    };
    let stat = cpu_stat.unwrap_or_default();
    let throttled = stat.lines().find_map(|l| l.strip_prefix("nr_throttled "));
    let throttled: u64 = throttled.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    let text = format!(
        "the control group allows {allowed:.2} cores and then lets everything wait, as it did {throttled} times"
    );
    let finding = match throttled > 0 || allowed < 2.0 {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    Check::new("cpu_quota", finding, text).hint(match finding {
        Finding::Pass => "",
        _ => {
            "give it whole cores instead: AllowedCPUs= in the systemd unit, --cpuset-cpus for a \
             container, the static CPU manager policy in Kubernetes"
        }
    })
}

/// Parts of a second on all cores, 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Used {
    busy: f64,
    stolen: f64,
}

impl Used {
    /// From two readings of `/proc/stat`, whose first line is `cpu user nice system idle iowait
    /// irq softirq steal …` in ticks.
    fn of(before: &str, after: &str) -> Option<Used> {
        let ticks = |text: &str| -> Option<Vec<u64>> {
            let line = text.lines().find_map(|l| l.strip_prefix("cpu "))?;
            let all = line.split_whitespace().take(8).map(str::parse);
            all.collect::<Result<_, _>>().ok()
        };
        let (before, after) = (ticks(before)?, ticks(after)?);
        let passed = after.iter().zip(&before).map(|(a, b)| a.saturating_sub(*b));
        let [user, nice, system, idle, wait, irq, softirq, steal] =
            passed.collect::<Vec<_>>().try_into().ok()?;
        let all = (user + nice + system + idle + wait + irq + softirq + steal) as f64;
        (all > 0.0).then(|| Used {
            busy: (user + nice + system + irq + softirq) as f64 / all,
            stolen: steal as f64 / all,
        })
    }
}

fn steal(used: Option<Used>) -> Check {
    let Some(used) = used else {
        return Check::new("steal", Finding::Skip, "this system does not tell");
    };
    let text = format!(
        "the hypervisor took {:.1} % of the last second",
        used.stolen * 100.0
    );
    match used.stolen > STOLEN {
        true => Check::new("steal", Finding::Warn, text)
            .hint("use a machine with cores of its own; `vmstat 1` shows it as st"),
        false => Check::new("steal", Finding::Pass, text),
    }
}

fn load(used: Option<Used>) -> Check {
    let Some(used) = used else {
        return Check::new("load", Finding::Skip, "this system does not tell");
    };
    let text = format!(
        "other programs used {:.0} % of the cores in the last second",
        used.busy * 100.0
    );
    match used.busy > BUSY {
        true => Check::new("load", Finding::Warn, text)
            .hint("end them, or give the node cores of its own: taskset -c 2-7 vajra-node …; see top -o %CPU"),
        false => Check::new("load", Finding::Pass, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_that_saves_power_is_a_warning() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            governor(&names).finding
        };
        assert_eq!(of(&["performance", "performance"]), Finding::Pass);
        assert_eq!(of(&["performance", "powersave"]), Finding::Warn);
        assert_eq!(of(&[]), Finding::Skip);
    }

    #[test]
    fn the_least_quota_of_all_groups_counts_and_throttling_tells() {
        let of = |max: &[&str], stat| {
            let max: Vec<String> = max.iter().map(|n| (*n).to_owned()).collect();
            quota(&max, stat, 8)
        };
        assert_eq!(of(&["max 100000\n"], None).finding, Finding::Pass);
        assert_eq!(of(&[], None).finding, Finding::Pass);
        let half = of(&["max 100000", "50000 100000"], None);
        assert_eq!(half.finding, Finding::Warn);
        assert!(half.text.contains("0.50 cores"), "{}", half.text);
        assert_eq!(
            of(&["400000 100000"], Some("nr_throttled 0\n")).finding,
            Finding::Pass
        );
        assert_eq!(
            of(&["400000 100000"], Some("nr_throttled 3\n")).finding,
            Finding::Warn
        );
    }

    #[test]
    fn busy_and_stolen_time_are_parts_of_what_passed_between_two_readings() {
        let before = "cpu  100 0 100 1000 50 0 0 10 0 0\ncpu0 1\n";
        let after = "cpu  130 0 120 1140 50 0 0 20 0 0\ncpu0 1\n";
        let used = Used::of(before, after);
        assert_eq!(
            used,
            Some(Used {
                busy: 0.25,
                stolen: 0.05
            })
        );
        assert_eq!(steal(used).finding, Finding::Warn);
        assert_eq!(load(used).finding, Finding::Pass);
        assert_eq!(Used::of(before, before), None);
        assert_eq!(Used::of("", "nonsense"), None);
        assert_eq!(load(None).finding, Finding::Skip);
    }
}

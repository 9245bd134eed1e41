//! CPU: whether a core is available when an arrival is due.

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_runtime::host::CpuTimes;
use vajra_runtime::host::cgroup::Limits;

/// Part of the time that a hypervisor may take without a visible effect on lag.
const STOLEN: f64 = 0.01;
/// Part of the CPU time that other programs may use.
const BUSY: f64 = 0.25;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    let times = facts.cpu_times.as_ref();
    let used = times.and_then(|(before, after)| Used::between(before, after));
    vec![
        governor(&facts.governors),
        quota(&facts.cgroup, facts.cores),
        steal(used),
        load(used),
    ]
}

fn governor(of_cores: &[String]) -> Check {
    let Some(first) = of_cores.first() else {
        return Check::new(
            "governor",
            Finding::Skip,
            "not reported by this system (in virtual machines the host decides)",
        );
    };
    let slow = of_cores.iter().find(|g| *g != "performance");
    match slow {
        None => Check::new("governor", Finding::Pass, first),
        Some(governor) => Check::new(
            "governor",
            Finding::Warn,
            format!("{governor}: cores slow down between requests, which increases lag"),
        )
        .hint("cpupower frequency-set -g performance"),
    }
}

fn quota(limits: &Limits, cores: usize) -> Check {
    let Some(allowed) = limits.cpu_cores else {
        let text = format!("no quota on {cores} cores");
        return Check::new("cpu_quota", Finding::Pass, text);
    };
    let throttled = limits.throttled;
    let text =
        format!("the control group allows {allowed:.2} cores, and has throttled {throttled} times");
    let finding = match throttled > 0 || allowed < 2.0 {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    Check::new("cpu_quota", finding, text).hint(match finding {
        Finding::Pass => "",
        _ => {
            "assign whole cores instead: AllowedCPUs= in the systemd unit, --cpuset-cpus for a \
             container, the static CPU manager policy in Kubernetes"
        }
    })
}

/// Use of all cores in the last second, as fractions from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Used {
    busy: f64,
    stolen: f64,
}

impl Used {
    /// From the CPU times at two instants.
    fn between(before: &CpuTimes, after: &CpuTimes) -> Option<Used> {
        let busy = after.busy.saturating_sub(before.busy) as f64;
        let idle = after.idle.saturating_sub(before.idle) as f64;
        let stolen = after.stolen.saturating_sub(before.stolen) as f64;
        let all = busy + idle + stolen;
        (all > 0.0).then(|| Used {
            busy: busy / all,
            stolen: stolen / all,
        })
    }
}

fn steal(used: Option<Used>) -> Check {
    let Some(used) = used else {
        return Check::new("steal", Finding::Skip, "not reported by this system");
    };
    let text = format!(
        "the hypervisor took {:.1} % of the last second",
        used.stolen * 100.0
    );
    match used.stolen > STOLEN {
        true => Check::new("steal", Finding::Warn, text)
            .hint("use a machine with dedicated cores; `vmstat 1` shows it as st"),
        false => Check::new("steal", Finding::Pass, text),
    }
}

fn load(used: Option<Used>) -> Check {
    let Some(used) = used else {
        return Check::new("load", Finding::Skip, "not reported by this system");
    };
    let text = format!(
        "other programs used {:.0} % of the cores in the last second",
        used.busy * 100.0
    );
    match used.busy > BUSY {
        true => Check::new("load", Finding::Warn, text).hint(
            "close them, or assign cores to the node: taskset -c 2-7 vajra-node …; see top -o %CPU",
        ),
        false => Check::new("load", Finding::Pass, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_core_with_a_power_saving_governor_warns() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            governor(&names).finding
        };
        assert_eq!(of(&["performance", "performance"]), Finding::Pass);
        assert_eq!(of(&["performance", "powersave"]), Finding::Warn);
        assert_eq!(of(&[]), Finding::Skip);
    }

    #[test]
    fn a_small_quota_or_throttling_warns() {
        let of = |cpu_cores, throttled| {
            let limits = Limits {
                cpu_cores,
                throttled,
                ..Limits::default()
            };
            quota(&limits, 8)
        };
        assert_eq!(of(None, 0).finding, Finding::Pass);
        let half = of(Some(0.5), 0);
        assert_eq!(half.finding, Finding::Warn);
        assert!(half.text.contains("0.50 cores"), "{}", half.text);
        assert_eq!(of(Some(4.0), 0).finding, Finding::Pass);
        assert_eq!(of(Some(4.0), 3).finding, Finding::Warn);
    }

    #[test]
    fn busy_and_stolen_time_are_fractions_of_the_time_between_two_readings() {
        let before = CpuTimes {
            busy: 200,
            idle: 1050,
            stolen: 10,
        };
        let after = CpuTimes {
            busy: 250,
            idle: 1190,
            stolen: 20,
        };
        let used = Used::between(&before, &after);
        assert_eq!(
            used,
            Some(Used {
                busy: 0.25,
                stolen: 0.05
            })
        );
        assert_eq!(steal(used).finding, Finding::Warn);
        assert_eq!(load(used).finding, Finding::Pass);
        assert_eq!(Used::between(&before, &before), None);
        assert_eq!(load(None).finding, Finding::Skip);
    }
}

//! Compares what a node's share of a plan needs with what the machine has.

use std::time::Duration;

use super::machine::Machine;
use super::requirements::Requirements;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_plan::Task;
use vajra_results::units::{bytes, count, time};
use vajra_tasks::Probe;

/// Most addresses listed where several do not answer.
const MAX_LISTED: usize = 3;

/// Whether this node reads the plan as the asking node does.
pub fn plan(expected: Digest, read: Digest) -> Check {
    match expected == read {
        true => Check::new("plan", Finding::Pass, format!("read as {read:?}")),
        false => Check::new(
            "plan",
            Finding::Fail,
            format!("read as {read:?}, but the asking node has {expected:?}"),
        )
        .hint("use the same version on all nodes"),
    }
}

/// Whether a target accepts connections. The value is the connect time in microseconds.
pub fn target(probe: &Probe) -> Check {
    let name = &probe.target;
    let failed: Vec<_> = probe.failed().collect();
    let Some(best) = probe.best() else {
        let (why, kind) = match failed.first() {
            Some((_, why)) => (why.message.as_str(), why.kind.as_str()),
            None => ("the name has no address", "dns"),
        };
        let hint = match kind {
            "tls" => "check the server's certificate, or set its authority in tls.ca",
            "policy" => "",
            _ => "start the target, or check its address, port and firewall",
        };
        let why = match kind {
            "timeout" => "no answer in time",
            _ => why,
        };
        let text = format!("cannot reach {name}: {why}");
        return Check::new("target", Finding::Fail, text)
            .of(name)
            .hint(hint);
    };
    let ms = |t: Duration| time(t.as_secs_f64() * 1e3);
    let mut text = format!("{name} reached in {}", ms(best.connecting));
    if let Some(handshake) = best.handshake {
        text += &format!(", TLS in {}", ms(handshake));
    }
    if probe.resolving >= Duration::from_millis(1) {
        text += &format!("; name resolved in {}", ms(probe.resolving));
    }
    let micros = u64::try_from(best.connecting.as_micros()).unwrap_or(u64::MAX);
    let check = |finding, text| {
        Check::new("target", finding, text)
            .of(name)
            .figures(micros, None)
    };
    // Another address of the same name is used instead.
    if failed.is_empty() || !probe.each_counts {
        return check(Finding::Pass, text);
    }
    let first = failed.iter().take(MAX_LISTED);
    let listed: Vec<_> = first
        .map(|(address, why)| format!("{address} ({})", why.message))
        .collect();
    let text = format!(
        "{text}, but {} of {} addresses tried do not answer: {}",
        failed.len(),
        probe.tried.len(),
        listed.join(", ")
    );
    check(Finding::Warn, text).hint("requests to these addresses would fail; remove or start them")
}

/// All checks that depend on the machine.
pub fn machine(requirements: &Requirements<'_>, machine: &Machine) -> Vec<Check> {
    let mut checks = Vec::new();
    if requirements.endpoints > 0 {
        checks.push(descriptors(requirements, machine.connections));
        checks.push(ports(requirements, machine));
    }
    checks.push(memory(requirements.memory(), machine.memory));
    checks.push(cpu(requirements, machine));
    checks
}

fn descriptors(requirements: &Requirements<'_>, usable: u64) -> Check {
    let least = requirements.connections(requirements.min_time);
    let wanted = requirements.connections_wanted();
    let finding = compare(least, wanted, usable);
    let text = match finding {
        Finding::Pass => format!(
            "{} connections if responses take a second, of {} that the descriptor limit allows",
            count(wanted),
            count(usable)
        ),
        Finding::Fail => format!(
            "at least {} connections are needed, but the descriptor limit allows {}",
            count(least),
            count(usable)
        ),
        _ => format!(
            "{} connections are configured, or needed if responses take a second, but the descriptor \
             limit allows {}",
            count(wanted),
            count(usable)
        ),
    };
    Check::new("descriptors", finding, text)
        .figures(wanted, Some(usable))
        .hint(match finding {
            Finding::Pass => "",
            _ => "raise the limit (`ulimit -n`, LimitNOFILE), or use more nodes",
        })
}

fn ports(requirements: &Requirements<'_>, machine: &Machine) -> Check {
    let Some(available) = machine.ports else {
        return Check::new("ports", Finding::Skip, "not reported by this system");
    };
    let spread = requirements.spread as u64 * requirements.endpoints.max(1) as u64;
    let least = requirements
        .connections(requirements.min_time)
        .div_ceil(spread);
    let mut wanted = requirements.connections_wanted().div_ceil(spread);
    let mut why = "if responses take a second";
    if let Some(opened) = requirements.opened_per_second() {
        wanted += (opened * machine.port_rest as f64 / spread as f64).ceil() as u64;
        why = "including those of closed connections in TIME_WAIT";
    }
    let finding = compare(least, wanted, available);
    let text = match finding {
        Finding::Fail => format!(
            "at least {} local ports are needed per address, but only {} are available",
            count(least),
            count(available)
        ),
        _ => format!(
            "{} local ports per address {why}, of {}",
            count(wanted),
            count(available)
        ),
    };
    Check::new("ports", finding, text)
        .figures(wanted, Some(available))
        .hint(match finding {
            Finding::Pass => "",
            _ => {
                "add source addresses with --source-address, widen net.ipv4.ip_local_port_range, or \
                 keep connections alive"
            }
        })
}

fn memory(needed: u64, available: Option<u64>) -> Check {
    let Some(available) = available else {
        return Check::new("memory", Finding::Skip, "not reported by this system");
    };
    // A fifth is reserved for everything else on the machine.
    let finding = match needed {
        n if n > available => Finding::Fail,
        n if n > available / 5 * 4 => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "about {} if responses take a second, of {}",
        bytes(needed as f64),
        bytes(available as f64)
    );
    Check::new("memory", finding, text)
        .figures(needed, Some(available))
        .hint(match finding {
            Finding::Pass => "",
            _ => "close other programs, use more nodes, or fewer connections",
        })
}

fn cpu(requirements: &Requirements<'_>, machine: &Machine) -> Check {
    if let (Task::Cpu { ms }, Some(rate)) = (&requirements.plan.task, requirements.rate()) {
        let needed = rate * *ms as f64 / 1e3;
        if needed > requirements.threads as f64 {
            let text = format!(
                "the task needs {needed:.1} cores, but there are {} engine threads",
                requirements.threads
            );
            return Check::new("cpu", Finding::Warn, text).hint("use more nodes, or a lower rate");
        }
    }
    let Some(load) = machine.load else {
        return Check::new("cpu", Finding::Skip, "not reported by this system");
    };
    // The mean alone includes load that has ended.
    let busy = load.one_minute > machine.cores as f64 && load.running > machine.cores;
    let text = format!(
        "load average {:.1} in the last minute, {} processes running now, on {} cores",
        load.one_minute, load.running, machine.cores
    );
    match busy {
        false => Check::new("cpu", Finding::Pass, text),
        true => Check::new("cpu", Finding::Warn, text)
            .hint("close other programs on the machine, or requests will be sent late"),
    }
}

/// Fails below the minimum, warns below what slow responses need.
fn compare(least: u64, wanted: u64, available: u64) -> Finding {
    match available {
        n if n < least => Finding::Fail,
        n if n < wanted => Finding::Warn,
        _ => Finding::Pass,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::requirements::tests::{open, whole};
    use super::*;
    use crate::host::LoadAverage;
    use vajra_plan::{Load as PlanLoad, Plan};
    use vajra_task::{Failure, FailureKind};
    use vajra_tasks::Reached;

    const S: Duration = Duration::from_secs(1);

    fn reached(ms: u64) -> Result<Reached, Failure> {
        Ok(Reached {
            connecting: Duration::from_millis(ms),
            handshake: None,
        })
    }

    fn refused() -> Result<Reached, Failure> {
        Err(Failure::new(
            FailureKind::Connect,
            "Connection refused (os error 111)",
        ))
    }

    fn probe(each_counts: bool, results: Vec<Result<Reached, Failure>>) -> Probe {
        let address = |i: usize| format!("10.0.0.{}:80", i + 1).parse().unwrap();
        Probe {
            target: "shop:80".into(),
            resolving: Duration::ZERO,
            each_counts,
            tried: results
                .into_iter()
                .enumerate()
                .map(|(i, r)| (address(i), r))
                .collect(),
        }
    }

    fn machine_of(connections: u64, ports: u64) -> Machine {
        Machine {
            connections,
            ports: Some(ports),
            port_rest: 60,
            ..Machine::default()
        }
    }

    #[test]
    fn a_plan_that_is_read_differently_fails() {
        let [a, b] = [Digest([1; 32]), Digest([2; 32])];
        assert_eq!(plan(a, a).finding, Finding::Pass);
        let differs = plan(a, b);
        assert_eq!(differs.finding, Finding::Fail);
        assert!(differs.text.contains("02020202") && differs.text.contains("01010101"));
    }

    #[test]
    fn a_target_passes_with_its_connect_time_or_fails_with_the_reason() {
        let good = target(&probe(false, vec![reached(3)]));
        assert_eq!((good.finding, good.value), (Finding::Pass, Some(3000)));
        assert_eq!(good.text, "shop:80 reached in 3.00 ms");
        let bad = target(&probe(false, vec![refused()]));
        assert_eq!(bad.finding, Finding::Fail);
        assert!(bad.text.contains("refused") && !bad.hint.is_empty());
    }

    #[test]
    fn one_address_of_a_name_is_enough_but_every_listed_address_must_answer() {
        let second = target(&probe(false, vec![refused(), reached(1)]));
        assert_eq!(second.finding, Finding::Pass, "{}", second.text);
        let listed = target(&probe(true, vec![reached(1), refused(), refused()]));
        assert_eq!(listed.finding, Finding::Warn);
        assert!(
            listed.text.contains("2 of 3 addresses") && listed.text.contains("10.0.0.2:80"),
            "{}",
            listed.text
        );
    }

    #[test]
    fn too_few_descriptors_for_slow_responses_warn_and_for_fast_ones_fail() {
        // 1 ms: 2 connections; 1 s: 2,000.
        let plan = open(2000.0);
        let of = |limit| descriptors(&whole(&plan), limit);
        assert_eq!(of(2000).finding, Finding::Pass);
        assert_eq!(of(1999).finding, Finding::Warn);
        assert!(of(1999).text.contains("1,999") && of(1999).hint.contains("ulimit"));
        assert_eq!(of(1).finding, Finding::Fail);
        let users = Plan::new(plan.task.clone(), PlanLoad::closed(500, S));
        assert_eq!(descriptors(&whole(&users), 499).finding, Finding::Fail);
    }

    #[test]
    fn ports_are_needed_per_address_and_stay_in_time_wait_after_use() {
        let mut plan = open(1000.0);
        let all = whole(&plan);
        assert_eq!(ports(&all, &machine_of(0, 1000)).finding, Finding::Pass);
        assert_eq!(ports(&all, &machine_of(0, 999)).finding, Finding::Warn);
        let spread = Requirements { spread: 2, ..all };
        assert_eq!(ports(&spread, &machine_of(0, 500)).finding, Finding::Pass);
        let Task::Http(http) = &mut plan.task else {
            panic!("no HTTP")
        };
        http.disable_keepalive = true;
        let resting = ports(&whole(&plan), &machine_of(0, 28_232));
        assert_eq!(
            (resting.finding, resting.value),
            (Finding::Warn, Some(61_000))
        );
        let again = Machine {
            port_rest: 1,
            ..machine_of(0, 28_232)
        };
        assert_eq!(ports(&whole(&plan), &again).finding, Finding::Pass);
    }

    #[test]
    fn a_fifth_of_the_memory_is_reserved() {
        let finding = |needed| memory(needed, Some(1000)).finding;
        let found = [800, 801, 1001].map(finding);
        assert_eq!(found, [Finding::Pass, Finding::Warn, Finding::Fail]);
        assert_eq!(memory(1, None).finding, Finding::Skip);
    }

    #[test]
    fn a_machine_is_busy_if_it_was_and_still_is() {
        let plan = open(1.0);
        let of = |one_minute, running| {
            let machine = Machine {
                load: Some(LoadAverage {
                    one_minute,
                    running,
                }),
                cores: 2,
                ..Machine::default()
            };
            cpu(&whole(&plan), &machine).finding
        };
        assert_eq!(of(9.0, 1), Finding::Pass, "only before");
        assert_eq!(of(0.5, 9), Finding::Pass, "only now");
        assert_eq!(of(9.0, 9), Finding::Warn);
    }

    #[test]
    fn a_cpu_task_needs_cores_for_its_rate() {
        let of = |rate| {
            let plan = Plan::new(Task::Cpu { ms: 100 }, PlanLoad::open(rate, S));
            cpu(&whole(&plan), &Machine::default()).finding
        };
        assert_eq!(of(20.0), Finding::Skip);
        assert_eq!(of(21.0), Finding::Warn);
    }
}

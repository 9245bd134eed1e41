//! What a node's part needs, held against what there is: facts in, findings out.

use std::time::Duration;

use super::machine::{Load, Machine};
use super::part::Part;
use vajra_core::protocol::Digest;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_plan::Task;
use vajra_results::units::{bytes, count, time};
use vajra_tasks::Probe;

/// Addresses that are named where several do not answer.
const NAMED: usize = 3;

/// Whether this node reads the plan as the asker does.
pub fn plan(asked: Digest, read: Digest) -> Check {
    match asked == read {
        true => Check::new("plan", Finding::Pass, format!("read as {read:?}")),
        false => Check::new(
            "plan",
            Finding::Fail,
            format!("read as {read:?}, and not as {asked:?}, as the asking node does"),
        )
        .hint("use the same version on all nodes"),
    }
}

/// Whether a target answers. The figure is the time of connecting, in microseconds.
pub fn target(probe: &Probe) -> Check {
    let name = &probe.target;
    let failed: Vec<_> = probe.failed().collect();
    let Some(best) = probe.best() else {
        let (why, kind) = match failed.first() {
            Some((_, why)) => (why.message.as_str(), why.kind.as_str()),
            None => ("it has no address", "dns"),
        };
        let hint = match kind {
            "tls" => "check the server's certificate, or name its authority in tls.ca",
            "policy" => "",
            _ => "start it, or check its address and port, and what is between it and this node",
        };
        let why = match kind {
            "timeout" => "no answer in time",
            _ => why,
        };
        let text = format!("{name} can't be reached: {why}");
        return Check::new("target", Finding::Fail, text)
            .of(name)
            .hint(hint);
    };
    let ms = |t: Duration| time(t.as_secs_f64() * 1e3);
    let mut text = format!("{name} is reached in {}", ms(best.connecting));
    if let Some(handshake) = best.handshake {
        text += &format!(", TLS in {}", ms(handshake));
    }
    if probe.resolving >= Duration::from_millis(1) {
        text += &format!("; its name was resolved in {}", ms(probe.resolving));
    }
    let micros = u64::try_from(best.connecting.as_micros()).unwrap_or(u64::MAX);
    let check = |finding, text| {
        Check::new("target", finding, text)
            .of(name)
            .figures(micros, None)
    };
    // Of a name's addresses another one stands in.
    if failed.is_empty() || !probe.each_counts {
        return check(Finding::Pass, text);
    }
    let first = failed.iter().take(NAMED);
    let named: Vec<_> = first
        .map(|(address, why)| format!("{address} ({})", why.message))
        .collect();
    let text = format!(
        "{text}, but {} of {} addresses tried are not: {}",
        failed.len(),
        probe.tried.len(),
        named.join(", ")
    );
    check(Finding::Warn, text).hint("requests to those would fail; leave them out, or start them")
}

/// Everything that depends on the machine.
pub fn machine(part: &Part<'_>, machine: &Machine) -> Vec<Check> {
    let mut checks = Vec::new();
    if part.endpoints > 0 {
        checks.push(descriptors(part, machine.connections));
        checks.push(ports(part, machine));
    }
    checks.push(memory(part.memory(), machine.memory));
    checks.push(cpu(part, machine.load));
    checks
}

fn descriptors(part: &Part<'_>, usable: u64) -> Check {
    let (least, wanted) = (part.connections(part.least), part.connections_wanted());
    let finding = bound(least, wanted, usable);
    let text = match finding {
        Finding::Pass => format!(
            "{} connections where responses take a second, of {} that the descriptor limit allows",
            count(wanted),
            count(usable)
        ),
        Finding::Fail => format!(
            "at least {} connections are needed, and the descriptor limit allows {}",
            count(least),
            count(usable)
        ),
        _ => format!(
            "{} connections are wanted, or needed where responses take a second, and the descriptor \
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

fn ports(part: &Part<'_>, machine: &Machine) -> Check {
    let Some(there) = machine.ports else {
        return Check::new("ports", Finding::Skip, "this system does not tell");
    };
    let spread = part.spread as u64 * part.endpoints.max(1) as u64;
    let least = part.connections(part.least).div_ceil(spread);
    let mut wanted = part.connections_wanted().div_ceil(spread);
    let mut why = "where responses take a second";
    if let Some(opened) = part.opened_a_second() {
        wanted += (opened * machine.port_rest as f64 / spread as f64).ceil() as u64;
        why = "with those of connections that were closed and rest";
    }
    let finding = bound(least, wanted, there);
    let text = match finding {
        Finding::Fail => format!(
            "at least {} local ports are needed for one address, and there are {}",
            count(least),
            count(there)
        ),
        _ => format!(
            "{} local ports for one address {why}, of {}",
            count(wanted),
            count(there)
        ),
    };
    Check::new("ports", finding, text)
        .figures(wanted, Some(there))
        .hint(match finding {
            Finding::Pass => "",
            _ => {
                "give the node --source-address for more of them, widen \
                 net.ipv4.ip_local_port_range, or keep connections alive"
            }
        })
}

fn memory(needed: u64, there: Option<u64>) -> Check {
    let Some(there) = there else {
        return Check::new("memory", Finding::Skip, "this system does not tell");
    };
    // What is left should do for everything else on the machine.
    let finding = match needed {
        n if n > there => Finding::Fail,
        n if n > there / 5 * 4 => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "about {} where responses take a second, of {}",
        bytes(needed as f64),
        bytes(there as f64)
    );
    Check::new("memory", finding, text)
        .figures(needed, Some(there))
        .hint(match finding {
            Finding::Pass => "",
            _ => "end other programs, use more nodes, or fewer connections",
        })
}

fn cpu(part: &Part<'_>, load: Option<Load>) -> Check {
    if let (Task::Cpu { ms }, Some(rate)) = (&part.plan.task, part.rate()) {
        let needed = rate * *ms as f64 / 1e3;
        if needed > part.threads as f64 {
            let text = format!(
                "the task needs {needed:.1} cores, and there are {} engine threads",
                part.threads
            );
            return Check::new("cpu", Finding::Warn, text).hint("use more nodes, or a lower rate");
        }
    }
    let Some(load) = load else {
        return Check::new("cpu", Finding::Skip, "this system does not tell");
    };
    // The mean alone also tells of what is over by now.
    let busy = load.average > load.cores as f64 && load.running > load.cores;
    let text = format!(
        "{:.1} processes at work in the mean of the last minute, {} now, on {} cores",
        load.average, load.running, load.cores
    );
    match busy {
        false => Check::new("cpu", Finding::Pass, text),
        true => Check::new("cpu", Finding::Warn, text)
            .hint("end what else is running there: the load would be late"),
    }
}

/// Less than is needed in any case, less than is needed in a bad one, or enough.
fn bound(least: u64, wanted: u64, there: u64) -> Finding {
    match there {
        n if n < least => Finding::Fail,
        n if n < wanted => Finding::Warn,
        _ => Finding::Pass,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::part::tests::{open, part};
    use super::*;
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
    fn a_plan_that_is_read_otherwise_fails() {
        let [a, b] = [Digest([1; 32]), Digest([2; 32])];
        assert_eq!(plan(a, a).finding, Finding::Pass);
        let differs = plan(a, b);
        assert_eq!(differs.finding, Finding::Fail);
        assert!(differs.text.contains("02020202") && differs.text.contains("01010101"));
    }

    #[test]
    fn a_target_passes_with_its_time_and_fails_with_its_reason() {
        let good = target(&probe(false, vec![reached(3)]));
        assert_eq!((good.finding, good.value), (Finding::Pass, Some(3000)));
        assert_eq!(good.text, "shop:80 is reached in 3.00 ms");
        let bad = target(&probe(false, vec![refused()]));
        assert_eq!(bad.finding, Finding::Fail);
        assert!(bad.text.contains("refused") && !bad.hint.is_empty());
    }

    #[test]
    fn of_a_names_addresses_one_is_enough_but_listed_ones_are_wanted_each() {
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
    fn descriptors_must_do_at_least_and_should_do_for_slow_responses() {
        // 1 ms: 2 connections; 1 s: 2,000.
        let plan = open(2000.0);
        let of = |limit| descriptors(&part(&plan), limit);
        assert_eq!(of(2000).finding, Finding::Pass);
        assert_eq!(of(1999).finding, Finding::Warn);
        assert!(of(1999).text.contains("1,999") && of(1999).hint.contains("ulimit"));
        assert_eq!(of(1).finding, Finding::Fail);
        let users = Plan::new(plan.task.clone(), PlanLoad::closed(500, S));
        assert_eq!(descriptors(&part(&users), 499).finding, Finding::Fail);
    }

    #[test]
    fn ports_are_needed_for_each_address_and_rest_after_use() {
        let mut plan = open(1000.0);
        let whole = part(&plan);
        assert_eq!(ports(&whole, &machine_of(0, 1000)).finding, Finding::Pass);
        assert_eq!(ports(&whole, &machine_of(0, 999)).finding, Finding::Warn);
        let spread = Part { spread: 2, ..whole };
        assert_eq!(ports(&spread, &machine_of(0, 500)).finding, Finding::Pass);
        let Task::Http(http) = &mut plan.task else {
            panic!("no HTTP")
        };
        http.disable_keepalive = true;
        let resting = ports(&part(&plan), &machine_of(0, 28_232));
        assert_eq!(
            (resting.finding, resting.value),
            (Finding::Warn, Some(61_000))
        );
        let again = Machine {
            port_rest: 1,
            ..machine_of(0, 28_232)
        };
        assert_eq!(ports(&part(&plan), &again).finding, Finding::Pass);
    }

    #[test]
    fn memory_is_judged_with_some_to_spare() {
        let finding = |needed| memory(needed, Some(1000)).finding;
        let found = [800, 801, 1001].map(finding);
        assert_eq!(found, [Finding::Pass, Finding::Warn, Finding::Fail]);
        assert_eq!(memory(1, None).finding, Finding::Skip);
    }

    #[test]
    fn a_machine_is_busy_if_it_is_and_was() {
        let plan = open(1.0);
        let of = |average, running| {
            let load = Load {
                average,
                running,
                cores: 2,
            };
            cpu(&part(&plan), Some(load)).finding
        };
        assert_eq!(of(9.0, 1), Finding::Pass, "it was");
        assert_eq!(of(0.5, 9), Finding::Pass, "for a moment");
        assert_eq!(of(9.0, 9), Finding::Warn);
    }

    #[test]
    fn a_cpu_task_needs_as_many_cores_as_it_says() {
        let of = |rate| {
            let plan = Plan::new(Task::Cpu { ms: 100 }, PlanLoad::open(rate, S));
            cpu(&part(&plan), None).finding
        };
        assert_eq!(of(20.0), Finding::Skip);
        assert_eq!(of(21.0), Finding::Warn);
    }
}

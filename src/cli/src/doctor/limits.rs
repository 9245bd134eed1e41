//! Limits of the system: descriptors, ports, queues, memory.

use std::ops::RangeInclusive;

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::units::{bytes, count};
use vajra_runtime::host::port_count;

/// Descriptors that suffice for any test.
const MANY_DESCRIPTORS: u64 = 65_536;
/// Fewer descriptors do not suffice for swarm and API.
const LEAST_DESCRIPTORS: u64 = 1_024;
/// Default number of local ports on Linux.
const USUAL_PORTS: u64 = 28_232;
/// Length of a listen queue that covers a stall of one second at about 1,000 connections per second.
const LONG_QUEUE: u64 = 1_024;
/// Free entries that a connection tracking table should have: open and recently closed connections
/// of a node with default settings.
const MANY_TRACKED: u64 = 131_072;
/// Least memory for a node: buffers, and about 100 histograms of 190 KB.
const LEAST_MEMORY: u64 = 128 << 20;
/// Memory for about 10,000 connections.
const MUCH_MEMORY: u64 = 1 << 30;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    vec![
        descriptors(facts.descriptors_soft, facts.descriptors_hard),
        ports(facts.local_ports.as_ref()),
        port_reuse(facts.time_wait_reuse),
        backlog(facts.somaxconn),
        tracking(facts.conntrack_max, facts.conntrack_count),
        memory(facts.memory, facts.cgroup.memory_available),
    ]
}

/// Evaluates the hard limit, since a node raises its soft limit at the start.
fn descriptors(soft: Option<u64>, hard: Option<u64>) -> Check {
    let Some(hard) = hard else {
        return Check::new("descriptors", Finding::Pass, "no limit");
    };
    let (finding, hint) = match hard {
        n if n < LEAST_DESCRIPTORS => (Finding::Fail, true),
        n if n < MANY_DESCRIPTORS => (Finding::Warn, true),
        _ => (Finding::Pass, false),
    };
    let soft = soft.map_or("unlimited".into(), count);
    let text = format!(
        "up to {} (soft limit {soft}, raised at the start); 80 % of them may be connections",
        count(hard)
    );
    Check::new("descriptors", finding, text)
        .figures(MANY_DESCRIPTORS, Some(hard))
        .hint(match hint {
            true => {
                "set LimitNOFILE=1048576 in the systemd unit, or run as root: ulimit -Hn 1048576"
            }
            false => "",
        })
}

fn ports(range: Option<&RangeInclusive<u64>>) -> Check {
    let Some(range) = range else {
        return Check::new("ports", Finding::Skip, "not reported by this system");
    };
    let available = port_count(range);
    let finding = match available {
        n if n < USUAL_PORTS / 4 => Finding::Fail,
        n if n < USUAL_PORTS => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "{} local ports ({} to {}), the limit of connections from one address to one target",
        count(available),
        range.start(),
        range.end()
    );
    Check::new("ports", finding, text)
        .figures(USUAL_PORTS, Some(available))
        .hint(match finding {
            Finding::Pass => "",
            _ => "sysctl -w net.ipv4.ip_local_port_range='10240 65535'",
        })
}

fn port_reuse(setting: Option<u64>) -> Check {
    let (finding, text) = match setting {
        Some(1) => (
            Finding::Pass,
            "ports of closed connections are reused after a second",
        ),
        Some(2) => (
            Finding::Pass,
            "ports of closed connections are reused after 60 s, except on loopback; this matters only with a new connection per request (net.ipv4.tcp_tw_reuse=1 shortens it)",
        ),
        Some(_) => (
            Finding::Warn,
            "ports of closed connections are reused after 60 s: with a new connection per request, at most about 470 requests per second and address",
        ),
        None => (Finding::Skip, "not reported by this system"),
    };
    Check::new("port_reuse", finding, text).hint(match finding {
        Finding::Warn => "sysctl -w net.ipv4.tcp_tw_reuse=1",
        _ => "",
    })
}

fn backlog(setting: Option<u64>) -> Check {
    let Some(length) = setting else {
        return Check::new("backlog", Finding::Skip, "not reported by this system");
    };
    let text = format!(
        "listen queues of servers on this machine hold up to {} connections",
        count(length)
    );
    let finding = match length < LONG_QUEUE {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    Check::new("backlog", finding, text)
        .figures(LONG_QUEUE, Some(length))
        .hint(match finding {
            Finding::Pass => "",
            _ => "sysctl -w net.core.somaxconn=4096",
        })
}

fn tracking(max: Option<u64>, used: Option<u64>) -> Check {
    let Some(max) = max else {
        return Check::new("conntrack", Finding::Skip, "no connection tracking");
    };
    let used = used.unwrap_or(0);
    let finding = match max.saturating_sub(used) {
        free if free < MANY_TRACKED => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "the connection tracking table has {} entries, {} in use; if it is full, packets are dropped",
        count(max),
        count(used)
    );
    Check::new("conntrack", finding, text)
        .figures(used, Some(max))
        .hint(match finding {
            Finding::Pass => "",
            _ => "sysctl -w net.netfilter.nf_conntrack_max=1048576",
        })
}

/// The memory of the machine, and what its control group leaves.
fn memory(machine: Option<u64>, group: Option<u64>) -> Check {
    let Some(available) = machine.into_iter().chain(group).min() else {
        return Check::new("memory", Finding::Skip, "not reported by this system");
    };
    let finding = match available {
        n if n < LEAST_MEMORY => Finding::Fail,
        n if n < MUCH_MEMORY => Finding::Warn,
        _ => Finding::Pass,
    };
    let limited = match group.is_some_and(|group| group == available) {
        true => ", limited by the control group",
        false => "",
    };
    let text = format!("{} available{limited}", bytes(available as f64));
    Check::new("memory", finding, text)
        .figures(MUCH_MEMORY, Some(available))
        .hint(match (finding, limited) {
            (Finding::Pass, _) => "",
            (_, "") => "close other programs: ps -eo rss,pid,args --sort=-rss | head",
            _ => "raise the limit: MemoryMax= in the systemd unit, or the container's",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_of_descriptors_counts() {
        let of = |hard| descriptors(Some(1_024), hard).finding;
        assert_eq!(of(Some(512)), Finding::Fail);
        assert_eq!(of(Some(4_096)), Finding::Warn);
        assert_eq!(of(Some(1 << 20)), Finding::Pass);
        assert_eq!(of(None), Finding::Pass);
        assert!(
            descriptors(Some(1_024), Some(4_096))
                .hint
                .contains("LimitNOFILE")
        );
    }

    #[test]
    fn a_port_range_is_counted_with_both_ends() {
        let usual = ports(Some(&(32_768..=60_999)));
        assert_eq!((usual.finding, usual.limit), (Finding::Pass, Some(28_232)));
        assert_eq!(ports(Some(&(40_000..=50_000))).finding, Finding::Warn);
        assert_eq!(ports(Some(&(60_000..=60_999))).finding, Finding::Fail);
        assert_eq!(ports(None).finding, Finding::Skip);
    }

    #[test]
    fn only_ports_without_early_reuse_warn() {
        let of = |setting| port_reuse(setting).finding;
        assert_eq!(of(Some(0)), Finding::Warn);
        assert_eq!(of(Some(1)), Finding::Pass);
        assert_eq!(of(Some(2)), Finding::Pass);
        assert_eq!(of(None), Finding::Skip);
    }

    #[test]
    fn short_queues_and_small_tables_name_the_setting() {
        assert!(backlog(Some(128)).hint.contains("somaxconn"));
        assert_eq!(backlog(Some(4096)).finding, Finding::Pass);
        assert!(
            tracking(Some(65_536), Some(10))
                .hint
                .contains("nf_conntrack_max")
        );
        assert_eq!(tracking(Some(262_144), Some(10)).finding, Finding::Pass);
        assert_eq!(
            tracking(Some(262_144), Some(250_000)).finding,
            Finding::Warn
        );
        assert_eq!(tracking(None, None).finding, Finding::Skip);
    }

    #[test]
    fn memory_is_the_smaller_of_machine_and_control_group() {
        let machine = Some(8 << 30);
        assert_eq!(memory(machine, None).finding, Finding::Pass);
        let small = memory(machine, Some(512 << 20));
        assert_eq!(small.finding, Finding::Warn);
        assert!(small.hint.contains("MemoryMax"), "{}", small.hint);
        assert_eq!(memory(machine, Some(1 << 20)).finding, Finding::Fail);
        assert_eq!(memory(None, None).finding, Finding::Skip);
    }
}

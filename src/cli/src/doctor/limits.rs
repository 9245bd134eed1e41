//! Limits of the system: descriptors, ports, queues, memory.

use super::facts::Facts;
use vajra_core::protocol::preflight::{Check, Finding};
use vajra_results::units::{bytes, count};

/// Descriptors with which a node can do without thinking of them.
const MANY_DESCRIPTORS: u64 = 65_536;
/// Fewer than these do not even serve the swarm and the API.
const LEAST_DESCRIPTORS: u64 = 1_024;
/// Ports that Linux gives by default.
const USUAL_PORTS: u64 = 28_232;
/// A queue of connections that outlasts a stall of a second at some thousand a second.
const LONG_QUEUE: u64 = 1_024;
/// Connections that a firewall's table should have room for: those of a default node in use
/// and at rest.
const MANY_TRACKED: u64 = 131_072;
/// Memory below which a node does not run: 190 KB for each of some hundred histograms, and its
/// buffers.
const LEAST_MEMORY: u64 = 128 << 20;
/// Memory for some ten thousand connections.
const MUCH_MEMORY: u64 = 1 << 30;

pub(super) fn all(facts: &Facts) -> Vec<Check> {
    vec![
        descriptors(facts.descriptors_soft, facts.descriptors_hard),
        ports(facts.port_range.as_deref()),
        port_reuse(facts.time_wait_reuse.as_deref()),
        backlog(facts.somaxconn.as_deref()),
        tracking(
            facts.conntrack_max.as_deref(),
            facts.conntrack_count.as_deref(),
        ),
        memory(facts.meminfo.as_deref(), facts.memory_room),
    ]
}

/// A node raises its soft limit to the hard one by itself.
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
        "up to {} (soft limit {soft}, which a node raises by itself); 80 % of them may be connections",
        count(hard)
    );
    Check::new("descriptors", finding, text)
        .figures(MANY_DESCRIPTORS, Some(hard))
        .hint(match hint {
            true => "LimitNOFILE=1048576 in the systemd unit, or as root: ulimit -Hn 1048576",
            false => "",
        })
}

fn ports(range: Option<&str>) -> Check {
    let numbers = range.map(|text| text.split_whitespace().map(str::parse::<u64>));
    let numbers: Vec<_> = numbers.into_iter().flatten().collect();
    let [Ok(first), Ok(last)] = numbers[..] else {
        return Check::new("ports", Finding::Skip, "this system does not tell");
    };
    let there = (last + 1).saturating_sub(first);
    let finding = match there {
        n if n < USUAL_PORTS / 4 => Finding::Fail,
        n if n < USUAL_PORTS => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "{} local ports ({first} to {last}): as many connections to one target from each address",
        count(there)
    );
    Check::new("ports", finding, text)
        .figures(USUAL_PORTS, Some(there))
        .hint(match finding {
            Finding::Pass => "",
            _ => "sysctl -w net.ipv4.ip_local_port_range='10240 65535'",
        })
}

fn port_reuse(setting: Option<&str>) -> Check {
    let (finding, text) = match setting.map(str::trim) {
        Some("1") => (
            Finding::Pass,
            "closed connections' ports are used again after a second",
        ),
        Some("2") => (
            Finding::Pass,
            "closed connections' ports rest for 60 s, but for loopback; it matters only with a new connection for every request (net.ipv4.tcp_tw_reuse=1 shortens it)",
        ),
        Some(_) => (
            Finding::Warn,
            "closed connections' ports rest for 60 s: with a new connection for every request at most some 470 a second for each address",
        ),
        None => (Finding::Skip, "this system does not tell"),
    };
    Check::new("port_reuse", finding, text).hint(match finding {
        Finding::Warn => "sysctl -w net.ipv4.tcp_tw_reuse=1",
        _ => "",
    })
}

fn backlog(setting: Option<&str>) -> Check {
    let Some(there) = setting.and_then(|t| t.trim().parse::<u64>().ok()) else {
        return Check::new("backlog", Finding::Skip, "this system does not tell");
    };
    let text = format!(
        "{} connections may wait to be accepted by a server on this machine",
        count(there)
    );
    let finding = match there < LONG_QUEUE {
        true => Finding::Warn,
        false => Finding::Pass,
    };
    Check::new("backlog", finding, text)
        .figures(LONG_QUEUE, Some(there))
        .hint(match finding {
            Finding::Pass => "",
            _ => "sysctl -w net.core.somaxconn=4096",
        })
}

fn tracking(max: Option<&str>, now: Option<&str>) -> Check {
    let number = |text: Option<&str>| text.and_then(|t| t.trim().parse::<u64>().ok());
    let Some(max) = number(max) else {
        return Check::new(
            "conntrack",
            Finding::Skip,
            "no firewall keeps track of connections",
        );
    };
    let used = number(now).unwrap_or(0);
    let finding = match max.saturating_sub(used) {
        free if free < MANY_TRACKED => Finding::Warn,
        _ => Finding::Pass,
    };
    let text = format!(
        "the firewall has room for {} connections, {} of it taken; beyond it packets are dropped",
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

fn memory(meminfo: Option<&str>, room: Option<u64>) -> Check {
    let line = |text: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let free = meminfo.and_then(line).map(|kib| kib * 1024);
    let Some(there) = free.into_iter().chain(room).min() else {
        return Check::new("memory", Finding::Skip, "this system does not tell");
    };
    let finding = match there {
        n if n < LEAST_MEMORY => Finding::Fail,
        n if n < MUCH_MEMORY => Finding::Warn,
        _ => Finding::Pass,
    };
    let limited = match room.is_some_and(|room| room == there) {
        true => ", as far as the control group allows",
        false => "",
    };
    let text = format!("{} can be had{limited}", bytes(there as f64));
    Check::new("memory", finding, text)
        .figures(MUCH_MEMORY, Some(there))
        .hint(match (finding, limited) {
            (Finding::Pass, _) => "",
            (_, "") => "end other programs: ps -eo rss,pid,args --sort=-rss | head",
            _ => "raise the limit: MemoryMax= in the systemd unit, or the container's",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_judged_by_the_hard_limit() {
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
    fn the_range_of_ports_is_counted_with_both_ends() {
        let usual = ports(Some("32768\t60999\n"));
        assert_eq!((usual.finding, usual.limit), (Finding::Pass, Some(28_232)));
        assert_eq!(ports(Some("40000 50000")).finding, Finding::Warn);
        assert_eq!(ports(Some("60000 60999")).finding, Finding::Fail);
        assert_eq!(ports(Some("nonsense")).finding, Finding::Skip);
        assert_eq!(ports(None).finding, Finding::Skip);
    }

    #[test]
    fn only_ports_that_are_never_used_again_are_a_warning() {
        let of = |text| port_reuse(text).finding;
        assert_eq!(of(Some("0\n")), Finding::Warn);
        assert_eq!(of(Some("1\n")), Finding::Pass);
        assert_eq!(of(Some("2\n")), Finding::Pass);
        assert_eq!(of(None), Finding::Skip);
    }

    #[test]
    fn queues_and_tables_that_are_short_name_the_setting() {
        assert!(backlog(Some("128\n")).hint.contains("somaxconn"));
        assert_eq!(backlog(Some("4096\n")).finding, Finding::Pass);
        assert!(
            tracking(Some("65536"), Some("10"))
                .hint
                .contains("nf_conntrack_max")
        );
        assert_eq!(tracking(Some("262144"), Some("10")).finding, Finding::Pass);
        assert_eq!(
            tracking(Some("262144"), Some("250000")).finding,
            Finding::Warn
        );
        assert_eq!(tracking(None, None).finding, Finding::Skip);
    }

    #[test]
    fn memory_is_what_both_the_machine_and_the_control_group_have() {
        let meminfo = Some("MemTotal: 9 kB\nMemAvailable:  8388608 kB\n");
        assert_eq!(memory(meminfo, None).finding, Finding::Pass);
        let small = memory(meminfo, Some(512 << 20));
        assert_eq!(small.finding, Finding::Warn);
        assert!(small.hint.contains("MemoryMax"), "{}", small.hint);
        assert_eq!(memory(meminfo, Some(1 << 20)).finding, Finding::Fail);
        assert_eq!(memory(None, None).finding, Finding::Skip);
    }
}

//! What the machine has. What a system does not tell is not known, and not judged.

use std::path::Path;

use vajra_engine::descriptor_limit;

/// What this machine, and this process, has to offer.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Machine {
    /// Connections that the engine may have open: 80 % of the limit of descriptors.
    pub connections: u64,
    /// Local ports that connections to one address can have.
    pub ports: Option<u64>,
    /// How long a port rests after its connection is closed, in seconds.
    pub port_rest: u64,
    /// Bytes that can be had.
    pub memory: Option<u64>,
    /// How busy it is.
    pub load: Option<Load>,
}

/// How busy a machine is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    /// Processes that want a core, in the mean of the last minute.
    pub average: f64,
    /// At this moment, this one included.
    pub running: u64,
    /// Cores.
    pub cores: u64,
}

/// How long Linux keeps a closed connection's port.
const REST: u64 = 60;
/// The same, where ports may be used again after a second.
const SHORT_REST: u64 = 1;

impl Machine {
    /// This machine, with so many addresses to connect from (0: the system's choice). The
    /// targets are all on `loopback`, or not.
    pub fn read(sources: usize, loopback: bool) -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let setting = |name: &str| read(&format!("/proc/sys/net/ipv4/{name}"));
        let range = setting("ip_local_port_range").and_then(|t| ports(&t));
        let reused = setting("tcp_tw_reuse").is_some_and(|t| match t.trim() {
            "1" => true,
            "2" => loopback,
            _ => false,
        });
        let free = read("/proc/meminfo").and_then(|t| available(&t));
        let allowed = read("/proc/self/cgroup").and_then(|t| room(&t, &read));
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        Machine {
            connections: descriptor_limit() / 5 * 4,
            ports: range.map(|n| n * sources.max(1) as u64),
            port_rest: if reused { SHORT_REST } else { REST },
            memory: free.into_iter().chain(allowed).min(),
            load: read("/proc/loadavg").and_then(|t| load(&t, cores)),
        }
    }
}

/// From `32768 60999`.
fn ports(text: &str) -> Option<u64> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// What a control group (version 2) leaves of its limit, if it has one; its file cache can be
/// had back.
fn room(cgroup: &str, read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let path = cgroup.lines().find_map(|l| l.strip_prefix("0::/"))?;
    let directory = Path::new("/sys/fs/cgroup").join(path);
    let file = |name: &str| read(&directory.join(name).display().to_string());
    // Without a limit it says `max`.
    let limit: u64 = file("memory.max")?.trim().parse().ok()?;
    let used: u64 = file("memory.current")?.trim().parse().ok()?;
    let stat = file("memory.stat").unwrap_or_default();
    let cache = stat.lines().find_map(|l| l.strip_prefix("inactive_file "));
    let cache = cache.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

/// From `1.38 1.74 1.35 1/89 17956`.
fn load(text: &str, cores: u64) -> Option<Load> {
    let mut words = text.split_whitespace();
    let average = words.next()?.parse().ok()?;
    let running = words.nth(2)?.split('/').next()?.parse().ok()?;
    Some(Load {
        average,
        running,
        cores,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        let meminfo = "MemTotal:  100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available(meminfo), Some(2 << 20));
        let expected = Load {
            average: 1.38,
            running: 3,
            cores: 2,
        };
        assert_eq!(load("1.38 1.74 1.35 3/89 17956\n", 2), Some(expected));
        assert_eq!(ports("nothing"), None);
        assert_eq!(load("", 2), None);
    }

    #[test]
    fn a_control_groups_limit_counts_without_its_cache() {
        let files = |path: &str| {
            let text = match path {
                "/sys/fs/cgroup/pod/memory.max" => "1000\n",
                "/sys/fs/cgroup/pod/memory.current" => "700\n",
                "/sys/fs/cgroup/pod/memory.stat" => "anon 500\ninactive_file 100\n",
                "/sys/fs/cgroup/free/memory.max" => "max\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(room("0::/pod\n", &files), Some(400));
        assert_eq!(room("0::/free\n", &files), None);
        assert_eq!(room("4:memory:/pod\n", &files), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(0, true);
        assert!(machine.connections > 0 && machine.ports.unwrap() > 0);
        assert!(machine.memory.unwrap() > 0 && machine.load.unwrap().cores > 0);
        assert_eq!(
            Machine::read(3, true).ports.unwrap(),
            machine.ports.unwrap() * 3
        );
    }
}

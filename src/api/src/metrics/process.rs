//! The process, under the names that all Prometheus clients use. What a system does not tell is
//! left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::time::{ClockId, clock_gettime};

use super::families::Families;
use vajra_engine::descriptor_limit;

/// What the process uses.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct OfProcess {
    cpu_s: f64,
    resident: Option<u64>,
    virtual_: Option<u64>,
    open: Option<u64>,
    most: u64,
    started_unix_s: Option<f64>,
}

impl OfProcess {
    /// This process, now.
    pub fn read() -> OfProcess {
        let read = |path: &str| fs::read_to_string(path).ok();
        let status = read("/proc/self/status").unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let ticks = rustix::param::clock_ticks_per_second();
        let started = read("/proc/self/stat").and_then(|t| start_ticks(&t));
        let booted = read("/proc/stat").and_then(|t| boot_unix_s(&t));
        // The directory that is read is itself open.
        let open = fs::read_dir("/proc/self/fd").map(|d| (d.count() as u64).saturating_sub(1));
        OfProcess {
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident: kib(&status, "VmRSS:").map(|n| n * 1024),
            virtual_: kib(&status, "VmSize:").map(|n| n * 1024),
            open: open.ok(),
            most: descriptor_limit(),
            started_unix_s: started
                .zip(booted)
                .map(|(t, b)| b as f64 + t as f64 / ticks as f64),
        }
    }
}

impl Collector for OfProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut f = Families(encoder);
        let one = |v: f64| [(Vec::new(), v)];
        let some = |v: Option<f64>| v.map(|v| (Vec::new(), v));
        f.counter(
            "process_cpu_seconds",
            "CPU time that the process used, user and system.",
            one(self.cpu_s),
        )?;
        f.gauge(
            "process_resident_memory_bytes",
            "Memory of the process in RAM.",
            some(self.resident.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_virtual_memory_bytes",
            "Address space of the process.",
            some(self.virtual_.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_open_fds",
            "Open file descriptors, connections among them.",
            some(self.open.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_max_fds",
            "The limit of open file descriptors.",
            one(self.most as f64),
        )?;
        f.gauge(
            "process_start_time_seconds",
            "When the process started, in Unix time.",
            some(self.started_unix_s),
        )
    }
}

/// A line such as `VmRSS:   1234 kB`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// When the process started, in ticks after the machine did: field 22. The second field, the
/// process's name in parentheses, may have spaces and parentheses in it.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(19)?.parse().ok()
}

/// `btime` of `/proc/stat`.
fn boot_unix_s(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|l| l.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let status = "VmSize:\t  2048 kB\nVmRSS:\t   512 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(512));
        assert_eq!(kib(status, "VmData:"), None);
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 0 0 0 0 1 2 0 0 20 0 3 0 4711 9 9";
        assert_eq!(start_ticks(stat), Some(4711));
        assert_eq!(
            boot_unix_s("cpu 1\nbtime 1700000000\n"),
            Some(1_700_000_000)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_started_before_now_and_has_files_open() {
        let of = OfProcess::read();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let started = of.started_unix_s.unwrap();
        assert!(started > 1.7e9 && started <= now.as_secs_f64() + 1.0);
        assert!(of.resident.unwrap() > 1 << 20 && of.cpu_s > 0.0);
        assert!((3..=of.most).contains(&of.open.unwrap()));
    }
}

//! Resources that this process uses.

#[cfg(target_os = "linux")]
use procfs::CurrentSI as _;
use rustix::time::{ClockId, clock_gettime};
use vajra_engine::descriptor_limit;

/// Resources of a process.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ProcessUsage {
    /// CPU time in seconds, user and system.
    pub cpu_s: f64,
    /// Bytes in RAM.
    pub resident: Option<u64>,
    /// Bytes of address space.
    pub virtual_size: Option<u64>,
    /// Open file descriptors.
    pub open_descriptors: Option<u64>,
    /// Limit of open file descriptors.
    pub max_descriptors: u64,
    /// Start in Unix seconds.
    pub started_unix_s: Option<f64>,
}

impl ProcessUsage {
    /// This process, now.
    pub fn read() -> ProcessUsage {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        ProcessUsage {
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            max_descriptors: descriptor_limit(),
            ..from_proc()
        }
    }
}

#[cfg(target_os = "linux")]
fn from_proc() -> ProcessUsage {
    let process = procfs::process::Process::myself().ok();
    let process = process.as_ref();
    let stat = process.and_then(|p| p.stat().ok());
    let status = process.and_then(|p| p.status().ok());
    let booted = procfs::KernelStats::current().ok().map(|s| s.btime);
    let started = stat.map(|s| s.starttime as f64 / procfs::ticks_per_second() as f64);
    let open = std::fs::read_dir("/proc/self/fd").ok();
    ProcessUsage {
        resident: status.as_ref().and_then(|s| s.vmrss).map(|kib| kib * 1024),
        virtual_size: status.and_then(|s| s.vmsize).map(|kib| kib * 1024),
        // The directory that is read is itself open.
        open_descriptors: open.map(|entries| (entries.count() as u64).saturating_sub(1)),
        started_unix_s: started.zip(booted).map(|(s, booted)| booted as f64 + s),
        ..ProcessUsage::default()
    }
}

#[cfg(not(target_os = "linux"))]
fn from_proc() -> ProcessUsage {
    ProcessUsage::default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_started_before_now_and_has_files_open() {
        let usage = ProcessUsage::read();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let started = usage.started_unix_s.unwrap();
        assert!(started > 1.7e9 && started <= now.as_secs_f64() + 1.0);
        assert!(usage.resident.unwrap() > 1 << 20 && usage.cpu_s > 0.0);
        assert!(usage.virtual_size.unwrap() >= usage.resident.unwrap());
        assert!((3..=usage.max_descriptors).contains(&usage.open_descriptors.unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_name_with_parentheses_is_understood() {
        use procfs::FromRead as _;
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 0 0 0 0 1 2 0 0 20 0 3 0 4711 9 9 \
            18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0";
        let stat = procfs::process::Stat::from_read(stat.as_bytes()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.starttime), ("a b) c", 4711));
    }
}

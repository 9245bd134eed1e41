//! This machine and this process: memory, CPU, ports, limits, identity. What the system does not
//! report is absent.
//!
//! | module | contents |
//! |---|---|
//! | [`cgroup`] | limits of control groups (version 2) |
//! | [`description`] | the machine in one line |
//! | [`process`] | resources that this process uses |

pub mod cgroup;
pub mod description;
pub mod process;

use std::fs;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use procfs::{Current as _, CurrentSI as _};

/// Memory of the machine in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// Memory that programs can still use, including reclaimable caches.
    pub available: Option<u64>,
}

/// The load average.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoadAverage {
    /// Mean number of running or waiting processes in the last minute.
    pub one_minute: f64,
    /// Processes that run now, including this one.
    pub running: u64,
}

/// CPU time of all cores since the boot, in kernel ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuTimes {
    /// User and system time, with interrupts.
    pub busy: u64,
    /// Idle time, with I/O waits.
    pub idle: u64,
    /// Time that the hypervisor gave to other machines.
    pub stolen: u64,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its flags in hexadecimal, as the system writes them.
    pub flags: String,
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Memory of the machine.
#[cfg(target_os = "linux")]
pub fn memory() -> Option<Memory> {
    let info = procfs::Meminfo::current().ok()?;
    Some(Memory {
        total: info.mem_total,
        available: info.mem_available,
    })
}

/// The load average.
#[cfg(target_os = "linux")]
pub fn load_average() -> Option<LoadAverage> {
    let load = procfs::LoadAverage::current().ok()?;
    Some(LoadAverage {
        one_minute: f64::from(load.one),
        running: u64::from(load.cur),
    })
}

/// CPU time of all cores since the boot.
#[cfg(target_os = "linux")]
pub fn cpu_times() -> Option<CpuTimes> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    let sum = |times: &[Option<u64>]| times.iter().flatten().sum::<u64>();
    Some(CpuTimes {
        busy: cpu.user + cpu.nice + cpu.system + sum(&[cpu.irq, cpu.softirq]),
        idle: cpu.idle + sum(&[cpu.iowait]),
        stolen: sum(&[cpu.steal]),
    })
}

/// Memory of the machine.
#[cfg(not(target_os = "linux"))]
pub fn memory() -> Option<Memory> {
    None
}

/// The load average.
#[cfg(not(target_os = "linux"))]
pub fn load_average() -> Option<LoadAverage> {
    None
}

/// CPU time of all cores since the boot.
#[cfg(not(target_os = "linux"))]
pub fn cpu_times() -> Option<CpuTimes> {
    None
}

/// Bytes of memory that this process can still use: of the machine, and of its control groups.
pub fn usable_memory() -> Option<u64> {
    let machine = memory().and_then(|m| m.available);
    let group = cgroup::limits().memory_available;
    machine.into_iter().chain(group).min()
}

/// A kernel setting below `/proc/sys`, such as `net/core/somaxconn`.
pub fn setting(name: &str) -> Option<String> {
    let text = read(Path::new("/proc/sys").join(name))?;
    Some(text.trim().to_owned())
}

/// A kernel setting that is a number.
pub fn number_setting(name: &str) -> Option<u64> {
    setting(name)?.parse().ok()
}

/// Local ports for outgoing connections.
pub fn local_ports() -> Option<RangeInclusive<u64>> {
    port_range(&setting("net/ipv4/ip_local_port_range")?)
}

/// From `32768 60999`.
fn port_range(text: &str) -> Option<RangeInclusive<u64>> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

/// Number of ports in a range, both ends included.
pub fn port_count(range: &RangeInclusive<u64>) -> u64 {
    (range.end() + 1).saturating_sub(*range.start())
}

/// The name of the machine, without asking the network.
pub fn hostname() -> Option<String> {
    let variable = |name| std::env::var(name).ok();
    let name = setting("kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .or_else(|| variable("HOSTNAME"))
        .or_else(|| variable("COMPUTERNAME"))?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The frequency governor of each core, where there is one.
pub fn governors() -> Vec<String> {
    let cores = entries("/sys/devices/system/cpu");
    let each = cores.filter_map(|core| read(core.join("cpufreq/scaling_governor")));
    each.map(|text| text.trim().to_owned()).collect()
}

/// The network interfaces, in the order of their names.
pub fn interfaces() -> Vec<Interface> {
    let each = entries("/sys/class/net").filter_map(|interface| {
        let file = |name: &str| Some(read(interface.join(name))?.trim().to_owned());
        Some(Interface {
            name: interface.file_name()?.to_string_lossy().into_owned(),
            index: file("ifindex")?.parse().ok()?,
            flags: file("flags")?,
        })
    });
    let mut all: Vec<_> = each.collect();
    all.sort();
    all
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_includes_both_ends() {
        let range = port_range("32768\t60999\n").unwrap();
        assert_eq!(port_count(&range), 28_232);
        assert_eq!(port_range("nonsense"), None);
        assert_eq!(port_range("40000"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_can_be_read() {
        let memory = memory().unwrap();
        assert!(memory.available.unwrap() > 0 && memory.total >= memory.available.unwrap());
        assert!(usable_memory().unwrap() <= memory.total);
        assert!(load_average().unwrap().running > 0);
        let cpu = cpu_times().unwrap();
        assert!(cpu.busy > 0 && cpu.idle > 0);
        assert!(port_count(&local_ports().unwrap()) > 0);
        assert!(hostname().is_some());
        assert!(interfaces().iter().any(|i| i.name == "lo"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernels_formats_are_understood() {
        use procfs::FromRead as _;
        let meminfo = "MemTotal:  100 kB\nMemFree: 1 kB\nBuffers: 1 kB\nCached: 1 kB\n\
            SwapCached: 0 kB\nActive: 1 kB\nInactive: 1 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n\
            Dirty: 0 kB\nWriteback: 0 kB\nMapped: 1 kB\nSlab: 1 kB\nCommitted_AS: 1 kB\n\
            VmallocTotal: 1 kB\nVmallocUsed: 1 kB\nVmallocChunk: 0 kB\n\
            MemAvailable:   2048 kB\n";
        let meminfo = procfs::Meminfo::from_read(meminfo.as_bytes()).unwrap();
        assert_eq!(meminfo.mem_available, Some(2 << 20));
        let load = procfs::LoadAverage::from_read(&b"1.38 1.74 1.35 3/89 17956\n"[..]).unwrap();
        assert_eq!((load.one, load.cur), (1.38, 3));
    }
}

//! What the system tells: the contents of its files, as they are. Nothing here judges.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// How long is looked at how busy the machine is: ten ticks of the kernel's coarsest counters,
/// ten times over.
const LOOK: Duration = Duration::from_secs(1);

/// The texts, each absent where the system has no such file.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Limits of open descriptors; none is unlimited.
    pub descriptors_soft: Option<u64>,
    pub descriptors_hard: Option<u64>,
    pub port_range: Option<String>,
    pub time_wait_reuse: Option<String>,
    pub somaxconn: Option<String>,
    pub conntrack_max: Option<String>,
    pub conntrack_count: Option<String>,
    /// Of each core that tells.
    pub governors: Vec<String>,
    /// `cpu.max` of the control groups that this process is in, the innermost first.
    pub cpu_max: Vec<String>,
    /// `cpu.stat` of the innermost.
    pub cpu_stat: Option<String>,
    /// `/proc/stat` at the beginning, and a second later.
    pub stat: Option<(String, String)>,
    pub meminfo: Option<String>,
    /// Bytes that the control group leaves.
    pub memory_room: Option<u64>,
    pub cores: usize,
    /// What `timedatectl` says of synchronisation.
    pub timedatectl: Option<String>,
    /// A time service marked the clock as synchronised.
    pub timesync_mark: bool,
    /// The network interfaces.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Interface {
    pub name: String,
    pub index: u32,
    /// In hexadecimal, as the system writes them.
    pub flags: String,
}

impl Facts {
    /// Reads everything; takes a second.
    pub async fn read() -> Facts {
        let before = read("/proc/stat");
        let (timedatectl, ()) = tokio::join!(timedatectl(), tokio::time::sleep(LOOK));
        let after = read("/proc/stat");
        let groups = groups();
        let limit = getrlimit(Resource::Nofile);
        Facts {
            descriptors_soft: limit.current,
            descriptors_hard: limit.maximum,
            port_range: read("/proc/sys/net/ipv4/ip_local_port_range"),
            time_wait_reuse: read("/proc/sys/net/ipv4/tcp_tw_reuse"),
            somaxconn: read("/proc/sys/net/core/somaxconn"),
            conntrack_max: read("/proc/sys/net/netfilter/nf_conntrack_max"),
            conntrack_count: read("/proc/sys/net/netfilter/nf_conntrack_count"),
            governors: governors(),
            cpu_max: groups
                .iter()
                .filter_map(|g| read(g.join("cpu.max")))
                .collect(),
            cpu_stat: groups.first().and_then(|g| read(g.join("cpu.stat"))),
            stat: before.zip(after),
            meminfo: read("/proc/meminfo"),
            memory_room: groups.first().and_then(|g| room(g)),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
            timedatectl,
            timesync_mark: Path::new("/run/systemd/timesync/synchronized").exists(),
            interfaces: interfaces(),
        }
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The directories of this process's control groups (version 2), the innermost first.
fn groups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|l| l.strip_prefix("0::/"));
    let own = root.join(own.unwrap_or_default());
    let all = own.ancestors().take_while(|d| d.starts_with(root));
    all.map(Path::to_owned).collect()
}

/// What a control group's limit of memory leaves, without its file cache, which can be had back.
fn room(group: &Path) -> Option<u64> {
    let number = |name: &str| read(group.join(name))?.trim().parse::<u64>().ok();
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let stat = read(group.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|l| l.strip_prefix("inactive_file "));
    let cache = cache.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

fn governors() -> Vec<String> {
    let cores = entries("/sys/devices/system/cpu");
    let each = cores.filter_map(|core| read(core.join("cpufreq/scaling_governor")));
    each.map(|text| text.trim().to_owned()).collect()
}

fn interfaces() -> Vec<Interface> {
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

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// What systemd says of the clock, where there is systemd.
async fn timedatectl() -> Option<String> {
    let asked = tokio::process::Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let out = tokio::time::timeout(LOOK, asked).await.ok()?.ok()?;
    let said = String::from_utf8(out.stdout).ok()?;
    out.status.success().then_some(said)
}

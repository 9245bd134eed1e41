//! The facts that the checks evaluate. Nothing here evaluates them.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use vajra_runtime::host::cgroup::{self, Limits};
use vajra_runtime::host::{self, CpuTimes, Interface};

/// Time between two readings of the CPU times: 100 kernel ticks.
const CPU_INTERVAL: Duration = Duration::from_secs(1);

/// The facts; each is absent where the system does not report it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Limits of open descriptors; none is unlimited.
    pub descriptors_soft: Option<u64>,
    pub descriptors_hard: Option<u64>,
    /// Local ports for outgoing connections.
    pub local_ports: Option<RangeInclusive<u64>>,
    /// `net.ipv4.tcp_tw_reuse`.
    pub time_wait_reuse: Option<u64>,
    pub somaxconn: Option<u64>,
    pub conntrack_max: Option<u64>,
    pub conntrack_count: Option<u64>,
    /// Frequency governor of each core.
    pub governors: Vec<String>,
    /// Limits of the control groups.
    pub cgroup: Limits,
    /// CPU times at the start and one second later.
    pub cpu_times: Option<(CpuTimes, CpuTimes)>,
    /// Available memory of the machine in bytes.
    pub memory: Option<u64>,
    pub cores: usize,
    /// Synchronisation according to `timedatectl`.
    pub timedatectl: Option<String>,
    /// A time service has marked the clock as synchronised.
    pub timesync_mark: bool,
    pub interfaces: Vec<Interface>,
}

impl Facts {
    /// Reads all facts; takes a second.
    pub async fn read() -> Facts {
        let before = host::cpu_times();
        let (timedatectl, ()) = tokio::join!(timedatectl(), tokio::time::sleep(CPU_INTERVAL));
        let after = host::cpu_times();
        let limit = getrlimit(Resource::Nofile);
        Facts {
            descriptors_soft: limit.current,
            descriptors_hard: limit.maximum,
            local_ports: host::local_ports(),
            time_wait_reuse: host::number_setting("net/ipv4/tcp_tw_reuse"),
            somaxconn: host::number_setting("net/core/somaxconn"),
            conntrack_max: host::number_setting("net/netfilter/nf_conntrack_max"),
            conntrack_count: host::number_setting("net/netfilter/nf_conntrack_count"),
            governors: host::governors(),
            cgroup: cgroup::limits(),
            cpu_times: before.zip(after),
            memory: host::memory().and_then(|m| m.available),
            cores: host::cores(),
            timedatectl,
            timesync_mark: Path::new("/run/systemd/timesync/synchronized").exists(),
            interfaces: host::interfaces(),
        }
    }
}

/// The output of `timedatectl`, where there is systemd.
async fn timedatectl() -> Option<String> {
    let run = tokio::process::Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let out = tokio::time::timeout(CPU_INTERVAL, run).await.ok()?.ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then_some(text)
}

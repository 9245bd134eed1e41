//! Metrics of the process, under the names that all Prometheus clients use. What the system does not
//! report is left out.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::Families;
use vajra_runtime::host::process::ProcessUsage;

/// Resources that this process uses.
#[derive(Debug)]
pub(super) struct ProcessCollector(ProcessUsage);

impl ProcessCollector {
    /// This process, now.
    pub fn read() -> ProcessCollector {
        ProcessCollector(ProcessUsage::read())
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut f = Families(encoder);
        let one = |v: f64| [(Vec::new(), v)];
        let some = |v: Option<f64>| v.map(|v| (Vec::new(), v));
        f.counter(
            "process_cpu_seconds",
            "User and system CPU time of the process in seconds.",
            one(self.0.cpu_s),
        )?;
        f.gauge(
            "process_resident_memory_bytes",
            "Resident memory of the process in bytes.",
            some(self.0.resident.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory of the process in bytes.",
            some(self.0.virtual_size.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_open_fds",
            "Open file descriptors, including connections.",
            some(self.0.open_descriptors.map(|n| n as f64)),
        )?;
        f.gauge(
            "process_max_fds",
            "Limit of open file descriptors.",
            one(self.0.max_descriptors as f64),
        )?;
        f.gauge(
            "process_start_time_seconds",
            "Start time of the process in Unix seconds.",
            some(self.0.started_unix_s),
        )
    }
}

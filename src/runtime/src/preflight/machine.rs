//! Resources of the machine that a plan may need.

use crate::host::{self, LoadAverage};
use vajra_engine::descriptor_limit;

/// Resources of this machine and process. Unknown ones are not checked.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Machine {
    /// Connections that the engine may have open: 80 % of the descriptor limit.
    pub connections: u64,
    /// Local ports for connections to one address.
    pub ports: Option<u64>,
    /// Time before the port of a closed connection is used again, in seconds.
    pub port_rest: u64,
    /// Available memory in bytes.
    pub memory: Option<u64>,
    /// How busy the machine is.
    pub load: Option<LoadAverage>,
    /// Cores that the process may use.
    pub cores: u64,
}

/// `TIME_WAIT` of Linux in seconds.
const REST: u64 = 60;
/// The same, where ports in `TIME_WAIT` may be reused.
const SHORT_REST: u64 = 1;

impl Machine {
    /// This machine, with `sources` configured source addresses (0: the system's choice).
    /// `loopback`: whether all targets are on loopback.
    pub fn read(sources: usize, loopback: bool) -> Machine {
        let range = host::local_ports();
        let reuses_ports = match host::number_setting("net/ipv4/tcp_tw_reuse") {
            Some(1) => true,
            Some(2) => loopback,
            _ => false,
        };
        Machine {
            connections: descriptor_limit() / 5 * 4,
            ports: range.map(|range| host::port_count(&range) * sources.max(1) as u64),
            port_rest: if reuses_ports { SHORT_REST } else { REST },
            memory: host::usable_memory(),
            load: host::load_average(),
            cores: host::cores() as u64,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(0, true);
        assert!(machine.connections > 0 && machine.ports.unwrap() > 0);
        assert!(machine.memory.unwrap() > 0 && machine.cores > 0);
        assert!(machine.load.is_some());
        assert_eq!(
            Machine::read(3, true).ports.unwrap(),
            machine.ports.unwrap() * 3
        );
    }
}

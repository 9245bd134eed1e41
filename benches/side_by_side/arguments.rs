//! Command-line arguments.

use std::error::Error;

use clap::{Parser, ValueEnum};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs load generators side by side.
#[derive(Parser)]
pub struct Args {
    /// Comparison
    pub mode: Mode,
    /// Runs per client
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Duration of a run in seconds
    #[arg(long, default_value_t = 5)]
    pub secs: u64,
    /// Connections
    #[arg(long, default_value_t = 64)]
    pub connections: u32,
    /// Protocol; HTTP/2 without wrk, wrk2 and hey
    #[arg(long, value_enum, default_value = "h1")]
    pub protocol: Protocol,
    /// HTTP/2: concurrent requests per connection
    #[arg(long, default_value_t = 1)]
    pub streams: u32,
    /// Requests per second in `open` and `evenness`
    #[arg(long, value_delimiter = ',', default_value = "5000,20000")]
    pub rates: Vec<u32>,
    /// Run only these clients
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Additional client, NAME=COMMAND; the command may contain {url}, {connections}, {streams},
    /// {secs}, {rate} and {each} (rate per connection)
    #[arg(long)]
    pub client: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Closed model: as fast as the connections allow
    Closed,
    /// Open model: at given rates
    Open,
    /// Open model: arrival times of the requests
    Evenness,
    /// Open model: 1,000 per second, while the server is suspended for 2 s
    Stall,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/1.1 over TLS 1.3
    Tls,
    /// HTTP/2 over TLS 1.3
    H2,
    /// HTTP/2 without TLS, with prior knowledge
    H2c,
}

impl Protocol {
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::H2 | Protocol::H2c)
    }

    pub fn is_secure(self) -> bool {
        matches!(self, Protocol::Tls | Protocol::H2)
    }
}

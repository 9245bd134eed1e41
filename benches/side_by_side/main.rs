//! Compares Vajra with wrk, wrk2, h2load, oha and hey, as far as they are installed: runs them
//! against the same server on loopback, one after the other in several rounds, and prints a table.
//!
//! ```text
//! cargo bench --bench side_by_side -- closed
//! cargo bench --bench side_by_side -- open --rates 5000,20000
//! cargo bench --bench side_by_side -- evenness --rates 5000,20000
//! cargo bench --bench side_by_side -- stall
//! cargo bench --bench side_by_side -- closed --protocol tls
//! cargo bench --bench side_by_side -- closed --protocol h2 --connections 8 --streams 8
//! ```
//!
//! Requests are counted by the server, not by the client: by nginx in `closed`, `open` and `stall`,
//! by a small server of this program in `evenness`, which records the arrival time of each request.
//! The server runs on CPU core 0, the client on core 1. CPU time is the user and system time of the
//! client process, per request served. Machines are noisy: compare only medians of the same
//! invocation.

mod arguments;
mod arrival_server;
mod clients;
mod nginx;
mod table;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use arguments::{Args, Mode, Result};
use arrival_server::ArrivalServer;
use nginx::Nginx;
use table::Row;

const VAJRA: &str = env!("CARGO_BIN_EXE_vajra-node");

fn main() -> Result<()> {
    let args = Args::parse();
    let clients = clients::clients(&args);
    let rates = match args.mode {
        Mode::Closed => vec![0],
        Mode::Stall => vec![1_000],
        Mode::Open | Mode::Evenness => args.rates.clone(),
    };
    let mut rows: BTreeMap<(u32, usize), Vec<Row>> = BTreeMap::new();
    for round in 1..=args.rounds {
        for rate in &rates {
            for (client, (name, command)) in clients.iter().enumerate() {
                let row = run(&args, command, *rate)?;
                eprintln!("round {round}, {rate}/s, {name}: {}", row.brief());
                rows.entry((*rate, client)).or_default().push(row);
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    }
    table::print(&args, &clients, &rows);
    Ok(())
}

fn run(args: &Args, command: &str, rate: u32) -> Result<Row> {
    let nginx = match args.mode {
        Mode::Evenness => None,
        _ => Some(Nginx::start(args.protocol)?),
    };
    let arrival_server = match args.mode {
        Mode::Evenness => Some(ArrivalServer::start()?),
        _ => None,
    };
    let address = arrival_server
        .as_ref()
        .map_or(nginx::ADDRESS.into(), |s| s.address.clone());
    let scheme = match args.protocol.is_secure() {
        true => "https",
        false => "http",
    };
    let four = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(&four, clients::FOUR)?;
    let each = f64::from(rate) / f64::from(args.connections);
    let command = command
        .replace("{vajra}", VAJRA)
        .replace("{url}", &format!("{scheme}://{address}/"))
        .replace("{connections}", &args.connections.to_string())
        .replace("{streams}", &args.streams.to_string())
        .replace("{users}", &(args.connections * args.streams).to_string())
        .replace("{four}", &four.path().display().to_string())
        .replace("{each_of_four}", &(args.connections / 4).max(1).to_string())
        .replace("{secs}", &args.secs.to_string())
        .replace("{rate}", &rate.to_string())
        .replace("{each}", &each.to_string());
    let before = nginx.as_ref().map(Nginx::served).transpose()?;
    let cpu_before = children_cpu()?;
    let mut child = Command::new("taskset")
        .args(["-c", "1"])
        .args(command.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut out = child.stdout.take().ok_or("no output")?;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let started = Instant::now();
    let mut peak = 0.0f64;
    let mut stopped = args.mode != Mode::Stall;
    while child.try_wait()?.is_none() {
        peak = peak.max(peak_memory(&status).unwrap_or_default());
        if !stopped && started.elapsed().as_secs_f64() > args.secs as f64 * 0.4 {
            stopped = true;
            if let Some(nginx) = &nginx {
                nginx.pause(Duration::from_secs(2))?;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = reading
        .join()
        .map_err(|_| "the reading thread panicked")??;
    let cpu = children_cpu()? - cpu_before;
    let mut row = Row::default();
    let served = match (&nginx, arrival_server) {
        // Without the request for the second count.
        (Some(nginx), _) => (nginx.served()? - before.unwrap_or_default() - 1) as f64,
        (None, Some(server)) => {
            let arrivals = server.stop()?;
            arrival_server::evenness(&arrivals, rate, &mut row);
            arrivals.len() as f64
        }
        (None, None) => 0.0,
    };
    row.numbers.insert("served/s", served / args.secs as f64);
    row.numbers
        .insert("CPU µs/req", cpu / served.max(1.0) * 1e6);
    row.numbers.insert("peak MB", peak);
    for (column, name) in [("p50 ms", "p50"), ("p99 ms", "p99"), ("p99.9 ms", "p99.9")] {
        if let Some(ms) = clients::percentile(&text, name) {
            row.numbers.insert(column, ms);
        }
    }
    if let Some((_, lag)) = text.split_once("\n  lag, ") {
        for (column, name) in [("lag p50 µs", "p50"), ("lag p99 µs", "p99")] {
            if let Some(ms) = clients::percentile(lag, name) {
                row.numbers.insert(column, ms * 1e3);
            }
        }
    }
    Ok(row)
}

/// CPU time of the terminated child processes in seconds.
fn children_cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |i: usize| -> Result<f64> {
        Ok(after_name
            .split_whitespace()
            .nth(i)
            .ok_or("too few fields in /proc/self/stat")?
            .parse()?)
    };
    // cutime and cstime, in hundredths of a second.
    Ok((field(13)? + field(14)?) / 100.0)
}

/// Peak memory of a process in MiB.
fn peak_memory(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}

//! Runs Vajra and whichever of wrk, wrk2, h2load, oha and hey are installed against the same
//! server on loopback, one after the other in several rounds, and prints a table.
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
//! Requests are counted at the server, never by the client's word: by nginx in `closed`,
//! `open` and `stall`, by a small server of this program in `evenness`, which notes when each
//! request arrives. The server has core 0 for itself, the client core 1. CPU time is user and
//! system time of the client's process, for each request served. Machines are noisy: compare
//! medians of one call.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

const VAJRA: &str = env!("CARGO_BIN_EXE_vajra-node");

/// Where nginx listens.
const NGINX: &str = "127.0.0.1:18080";
/// And where it tells what it has served.
const STATUS: &str = "127.0.0.1:18081";

/// Runs load generators side by side.
#[derive(Parser)]
struct Args {
    /// What is compared
    mode: Mode,
    /// Runs of each client
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a run in seconds
    #[arg(long, default_value_t = 5)]
    secs: u64,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// What is spoken; wrk and hey are left out of HTTP/2
    #[arg(long, value_enum, default_value = "h1")]
    protocol: Protocol,
    /// HTTP/2: requests that share a connection at the same time
    #[arg(long, default_value_t = 1)]
    streams: u32,
    /// Requests a second, where a rate is set
    #[arg(long, value_delimiter = ',', default_value = "5000,20000")]
    rates: Vec<u32>,
    /// Only these clients
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// One more client, NAME=COMMAND, with {url} {connections} {streams} {secs} {rate} {each}
    /// in it ({each} is the rate of one connection)
    #[arg(long)]
    client: Vec<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// As fast as the connections allow
    Closed,
    /// At a rate
    Open,
    /// At a rate: when do requests arrive?
    Evenness,
    /// 1,000 a second, with the server stopped for 2 s in between
    Stall,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
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
    fn is_two(self) -> bool {
        matches!(self, Protocol::H2 | Protocol::H2c)
    }

    fn is_secure(self) -> bool {
        matches!(self, Protocol::Tls | Protocol::H2)
    }

    /// The options that choose it.
    fn options(self, program: &str) -> &'static str {
        match (program, self) {
            ("vajra", Protocol::Tls) => "-k",
            ("vajra", Protocol::H2) => "-k --http2 --streams {streams}",
            ("vajra", Protocol::H2c) => "--http2 --streams {streams}",
            ("h2load", Protocol::H1 | Protocol::Tls) => "--h1",
            ("h2load", _) => "-m{streams}",
            ("oha", Protocol::Tls) => "--insecure",
            ("oha", Protocol::H2) => "--insecure --http2 -p{streams}",
            ("oha", Protocol::H2c) => "--http2 -p{streams}",
            _ => "",
        }
    }
}

/// Name, closed-loop command, open-loop command.
const CLIENTS: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "vajra",
        Some("{vajra} start-test {url} {options} --users {users} --duration {secs}s --standalone"),
        None,
    ),
    ("vajra precise", None, Some(PRECISE)),
    ("vajra batched", None, Some(BATCHED)),
    ("vajra spin", None, Some(SPIN)),
    ("vajra precise x4", None, Some(PRECISE_BY_FOUR)),
    (
        "wrk",
        Some("wrk -t1 -c{connections} -d{secs}s --latency {url}"),
        None,
    ),
    (
        "wrk2",
        None,
        Some("wrk2 -t1 -c{connections} -d{secs}s -R{rate} --latency {url}"),
    ),
    (
        "h2load",
        Some("h2load {options} -t1 -c{connections} -D{secs} {url}"),
        Some("h2load {options} -t1 -c{connections} -D{secs} --rps={each} {url}"),
    ),
    (
        "oha",
        Some("oha --no-tui {options} -c{connections} -z{secs}s {url}"),
        Some(
            "oha --no-tui {options} -c{connections} -z{secs}s -q{rate} --latency-correction {url}",
        ),
    ),
    (
        "hey",
        Some("hey -c {connections} -z {secs}s {url}"),
        Some("hey -c {connections} -z {secs}s -q {each} {url}"),
    ),
];

const PRECISE: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                       -c {connections} --pacing precise";
const BATCHED: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                       -c {connections} --pacing batched";
const SPIN: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                    -c {connections} --pacing spin";

/// Four nodes that share the core and the load.
const PRECISE_BY_FOUR: &str = "{vajra} start-test {four} --url {url} {options} --rate {rate} \
                               --duration {secs}s -c {each_of_four} --pacing precise";

/// The plan of a swarm of four on this machine.
const FOUR: &str = "[task]\ntype = \"HTTP\"\nurl = \"http://127.0.0.1/\"\n\
                    [load]\nrate = 1\nduration = \"1s\"\n\
                    [swarm]\nmin_workers = 4\n[local]\nnodes = 4\n";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args = Args::parse();
    let clients = clients(&args);
    let rates = match args.mode {
        Mode::Closed => vec![0],
        Mode::Stall => vec![1_000],
        Mode::Open | Mode::Evenness => args.rates.clone(),
    };
    let mut rows: BTreeMap<(u32, usize), Vec<Row>> = BTreeMap::new();
    for round in 1..=args.rounds {
        for rate in &rates {
            for (place, (name, command)) in clients.iter().enumerate() {
                let row = run(&args, command, *rate)?;
                eprintln!("round {round}, {rate}/s, {name}: {}", row.brief());
                rows.entry((*rate, place)).or_default().push(row);
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    }
    print_table(&args, &clients, &rows);
    Ok(())
}

/// The clients that are installed and can do it.
fn clients(args: &Args) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, closed, open) in CLIENTS {
        let command = if args.mode == Mode::Closed {
            closed
        } else {
            open
        };
        let program = name.split(' ').next().unwrap_or_default();
        let knows = matches!(program, "vajra" | "h2load" | "oha") || !args.protocol.is_two();
        if let Some(command) = command
            && knows
            && (program == "vajra" || installed(program))
        {
            let command = command.replace("{options}", args.protocol.options(program));
            all.push(((*name).into(), command));
        }
    }
    let more = args.client.iter().filter_map(|c| c.split_once('='));
    all.extend(more.map(|(name, command)| (name.into(), command.into())));
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|o| o == name);
    all.retain(|(name, _)| wanted(name));
    all
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// What one run came to.
#[derive(Default)]
struct Row {
    numbers: BTreeMap<&'static str, f64>,
}

impl Row {
    fn brief(&self) -> String {
        let served = self.numbers.get("served/s").copied().unwrap_or_default();
        let cpu = self.numbers.get("CPU µs/req").copied().unwrap_or_default();
        format!("{served:.0}/s served, {cpu:.1} µs of CPU each")
    }
}

fn run(args: &Args, command: &str, rate: u32) -> Result<Row> {
    let nginx = match args.mode {
        Mode::Evenness => None,
        _ => Some(Nginx::start(args.protocol)?),
    };
    let witness = match args.mode {
        Mode::Evenness => Some(Witness::start()?),
        _ => None,
    };
    let address = witness.as_ref().map_or(NGINX.into(), |w| w.address.clone());
    let scheme = match args.protocol.is_secure() {
        true => "https",
        false => "http",
    };
    let four = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(&four, FOUR)?;
    let each = f64::from(rate) / f64::from(args.connections);
    let filled = command
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
        .args(filled.split_whitespace())
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
    let text = reading.join().map_err(|_| "the reader failed")??;
    let cpu = children_cpu()? - cpu_before;
    let mut row = Row::default();
    let served = match (&nginx, witness) {
        // The request for the count itself is one.
        (Some(nginx), _) => (nginx.served()? - before.unwrap_or_default() - 1) as f64,
        (None, Some(witness)) => {
            let arrivals = witness.stop()?;
            evenness(&arrivals, rate, &mut row);
            arrivals.len() as f64
        }
        (None, None) => 0.0,
    };
    row.numbers.insert("served/s", served / args.secs as f64);
    row.numbers
        .insert("CPU µs/req", cpu / served.max(1.0) * 1e6);
    row.numbers.insert("peak MB", peak);
    for (column, name) in [("p50 ms", "p50"), ("p99 ms", "p99"), ("p99.9 ms", "p99.9")] {
        if let Some(ms) = percentile(&text, name) {
            row.numbers.insert(column, ms);
        }
    }
    if let Some((_, lag)) = text.split_once("\n  lag, ") {
        for (column, name) in [("lag p50 µs", "p50"), ("lag p99 µs", "p99")] {
            if let Some(ms) = percentile(lag, name) {
                row.numbers.insert(column, ms * 1e3);
            }
        }
    }
    Ok(row)
}

/// Seconds of CPU time that this process's ended children have used.
fn children_cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |i: usize| -> Result<f64> {
        Ok(after_name
            .split_whitespace()
            .nth(i)
            .ok_or("short")?
            .parse()?)
    };
    // cutime and cstime, in hundredths of a second.
    Ok((field(13)? + field(14)?) / 100.0)
}

fn peak_memory(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}

/// A percentile in milliseconds, as any of the clients prints it.
fn percentile(text: &str, name: &str) -> Option<f64> {
    let digits = name.trim_start_matches('p');
    let names = [
        format!("p{digits}"),
        format!("{digits}%"),
        format!("{digits}.00%"),
        format!("{digits}.000%"),
        format!("{digits}00%"),
    ];
    text.lines().find_map(|line| {
        let mut words = line.split(|c: char| c.is_whitespace() || "=|:,[]".contains(c));
        words.by_ref().find(|w| names.iter().any(|n| n == w))?;
        let rest: Vec<&str> = words.filter(|w| !w.is_empty() && *w != "in").collect();
        let first = *rest.first()?;
        let split = first.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = match split {
            Some(at) => first.split_at(at),
            None => (first, *rest.get(1)?),
        };
        let factor = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" | "sec" | "secs" => 1e3,
            "m" => 6e4,
            _ => return None,
        };
        Some(number.parse::<f64>().ok()? * factor)
    })
}

/// Deviations of the gaps between arrivals from the planned gap, and the fullest millisecond.
fn evenness(arrivals: &[u64], rate: u32, row: &mut Row) {
    let planned = 1e9 / f64::from(rate);
    let mut off: Vec<f64> = arrivals
        .windows(2)
        .map(|pair| ((pair[1] - pair[0]) as f64 - planned).abs() / 1e3)
        .collect();
    if off.is_empty() {
        return;
    }
    off.sort_by(f64::total_cmp);
    let at = |q: f64| off[((off.len() - 1) as f64 * q) as usize];
    row.numbers.insert("gap off p50 µs", at(0.5));
    row.numbers.insert("gap off p99 µs", at(0.99));
    let (mut most, mut from) = (0, 0);
    for to in 0..arrivals.len() {
        while arrivals[to] - arrivals[from] >= 1_000_000 {
            from += 1;
        }
        most = most.max(to - from + 1);
    }
    row.numbers.insert("most in 1 ms", most as f64);
}

const COLUMNS: &[(&str, usize)] = &[
    ("served/s", 0),
    ("CPU µs/req", 1),
    ("gap off p50 µs", 0),
    ("gap off p99 µs", 0),
    ("most in 1 ms", 0),
    ("peak MB", 0),
    ("p50 ms", 2),
    ("p99 ms", 2),
    ("p99.9 ms", 2),
    ("lag p50 µs", 0),
    ("lag p99 µs", 0),
];

/// Medians, ranges in brackets, and the ratio to wrk where it ran.
fn print_table(args: &Args, clients: &[(String, String)], rows: &BTreeMap<(u32, usize), Vec<Row>>) {
    let has = |c: &str| rows.values().flatten().any(|r| r.numbers.contains_key(c));
    let columns: Vec<_> = COLUMNS.iter().filter(|(c, _)| has(c)).collect();
    let names: Vec<&str> = columns.iter().map(|(c, _)| *c).collect();
    println!("| rate | client | {} | CPU to wrk |", names.join(" | "));
    println!("|---|---|{}---|", "---|".repeat(columns.len()));
    for ((rate, place), runs) in rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|(column, digits)| cell(runs, column, *digits))
            .collect();
        let cpu = |runs: &[Row]| median(&values(runs, "CPU µs/req"));
        let wrk = clients.iter().position(|(n, _)| n.starts_with("wrk"));
        let wrk = wrk.and_then(|w| cpu(rows.get(&(*rate, w))?));
        let ratio = match (cpu(runs), wrk) {
            (Some(own), Some(wrk)) => format!("{:.2}", own / wrk),
            _ => "–".into(),
        };
        let rate = if args.mode == Mode::Closed {
            "–".into()
        } else {
            rate.to_string()
        };
        println!(
            "| {rate} | {} | {} | {ratio} |",
            clients[*place].0,
            cells.join(" | ")
        );
    }
}

fn values(runs: &[Row], column: &str) -> Vec<f64> {
    let mut all: Vec<f64> = runs
        .iter()
        .filter_map(|r| r.numbers.get(column).copied())
        .collect();
    all.sort_by(f64::total_cmp);
    all
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

fn cell(runs: &[Row], column: &str, digits: usize) -> String {
    let all = values(runs, column);
    match (median(&all), all.first(), all.last()) {
        (Some(m), Some(low), Some(high)) => {
            format!("{m:.digits$} ({low:.digits$}–{high:.digits$})")
        }
        _ => "–".into(),
    }
}

/// An nginx of ours: one worker on core 0.
struct Nginx {
    dir: tempfile::TempDir,
}

impl Nginx {
    fn start(protocol: Protocol) -> Result<Nginx> {
        let dir = tempfile::tempdir()?;
        let at = dir.path().display();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])?;
        std::fs::write(dir.path().join("cert"), made.cert.pem())?;
        std::fs::write(dir.path().join("key"), made.signing_key.serialize_pem())?;
        let ssl = match protocol.is_secure() {
            true => "ssl",
            false => "",
        };
        let http2 = match protocol.is_two() {
            true => "http2",
            false => "",
        };
        let conf = format!(
            "daemon on; worker_processes 1; worker_cpu_affinity 0001; pid {at}/pid; \
             error_log {at}/error.log warn; events {{ worker_connections 4096; }} http {{ \
             access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; \
             default_type text/plain; client_body_temp_path {at}; proxy_temp_path {at}; \
             fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at}; \
             server {{ listen {STATUS}; location / {{ stub_status; }} }} server {{ \
             listen {NGINX} {ssl} {http2} backlog=4096; ssl_protocols TLSv1.3; \
             ssl_certificate {at}/cert; ssl_certificate_key {at}/key; location / {{ return 200 \"ok\\n\"; }} \
             }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, conf)?;
        let started = Command::new("taskset")
            .args(["-c", "0", "nginx", "-c"])
            .arg(&file)
            .status();
        if !started.is_ok_and(|s| s.success()) {
            return Err("nginx does not start; install it (Debian: apt install nginx)".into());
        }
        let nginx = Nginx { dir };
        for _ in 0..100 {
            if nginx.served().is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("nginx does not answer".into())
    }

    /// Requests it has served, this one included.
    fn served(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(STATUS)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let counts = text
            .lines()
            .skip_while(|l| !l.starts_with("server accepts"))
            .nth(1);
        let counts = counts.ok_or("no status from nginx")?;
        Ok(counts
            .split_whitespace()
            .nth(2)
            .ok_or("no count")?
            .parse()?)
    }

    fn master(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.path().join("pid"))?
            .trim()
            .to_owned())
    }

    /// Stops its worker for a while.
    fn pause(&self, length: Duration) -> Result<()> {
        let master = self.master()?;
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        let worker = children
            .split_whitespace()
            .next()
            .ok_or("no worker")?
            .to_owned();
        Command::new("kill").args(["-STOP", &worker]).status()?;
        std::thread::sleep(length);
        Command::new("kill").args(["-CONT", &worker]).status()?;
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(master) = self.master() {
            let _ = Command::new("kill").args(["-TERM", &master]).status();
            while TcpStream::connect(NGINX).is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// A server that notes when each request arrives. On core 0, one thread, nothing else.
struct Witness {
    address: String,
    done: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<std::io::Result<Vec<u64>>>,
}

impl Witness {
    fn start() -> Result<Witness> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        listener.set_nonblocking(true)?;
        let done = Arc::new(AtomicBool::new(false));
        let over = done.clone();
        let thread = std::thread::spawn(move || {
            let mut core = rustix::thread::CpuSet::new();
            core.set(0);
            rustix::thread::sched_setaffinity(None, &core)?;
            note_arrivals(mio::net::TcpListener::from_std(listener), &over)
        });
        Ok(Witness {
            address,
            done,
            thread,
        })
    }

    /// Nanoseconds of each arrival, in order.
    fn stop(self) -> Result<Vec<u64>> {
        self.done.store(true, Ordering::Release);
        Ok(self.thread.join().map_err(|_| "the witness failed")??)
    }
}

fn note_arrivals(
    mut listener: mio::net::TcpListener,
    over: &AtomicBool,
) -> std::io::Result<Vec<u64>> {
    const LISTENER: mio::Token = mio::Token(usize::MAX);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    let mut poll = mio::Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, mio::Interest::READABLE)?;
    let mut events = mio::Events::with_capacity(1024);
    let mut streams: Vec<Option<mio::net::TcpStream>> = Vec::new();
    let mut arrivals = Vec::with_capacity(1 << 20);
    let mut buf = vec![0; 65_536];
    let began = Instant::now();
    while !over.load(Ordering::Acquire) {
        poll.poll(&mut events, Some(Duration::from_millis(50)))?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = mio::Token(streams.len());
                    poll.registry()
                        .register(&mut stream, token, mio::Interest::READABLE)?;
                    streams.push(Some(stream));
                }
                continue;
            }
            let place = &mut streams[event.token().0];
            while let Some(stream) = place {
                match stream.read(&mut buf) {
                    Ok(n @ 1..) => {
                        let at = began.elapsed().as_nanos() as u64;
                        for _ in buf[..n].windows(4).filter(|w| w == b"\r\n\r\n") {
                            arrivals.push(at);
                            stream.write_all(ANSWER)?;
                        }
                        if n < buf.len() {
                            break;
                        }
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    _ => *place = None,
                }
            }
        }
    }
    Ok(arrivals)
}

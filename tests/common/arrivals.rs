//! A target in the test process that logs the arrival time and source address of each request,
//! independently of the load generator's own numbers.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Arrival time and source address of a request.
pub type Arrival = (Instant, IpAddr);

/// A target with its log of arrivals.
pub struct Arrivals {
    pub url: String,
    log: Arc<Mutex<Vec<Arrival>>>,
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Arrival>>) -> std::io::Result<()> {
    let from = stream.peer_addr()?.ip();
    stream.set_nodelay(true)?;
    let mut seen: Vec<u8> = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        let now = Instant::now();
        seen.extend(&buffer[..n]);
        while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            seen.drain(..end + 4);
            log.lock().unwrap().push((now, from));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    }
}

impl Arrivals {
    /// Serves until the process ends.
    pub fn start(listener: TcpListener) -> Arrivals {
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let log: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let shared = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = shared.clone();
                // Ignore the error: a killed client breaks its connections.
                std::thread::spawn(move || drop(serve(stream, &log)));
            }
        });
        Arrivals { url, log }
    }

    pub fn on_loopback() -> Arrivals {
        Arrivals::start(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// All arrivals until now, ordered by time.
    pub fn log(&self) -> Vec<Arrival> {
        let mut log = self.log.lock().unwrap().clone();
        log.sort_by_key(|(at, _)| *at);
        log
    }

    pub fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

/// Number of arrivals between two instants.
pub fn between(log: &[Arrival], from: Instant, to: Instant) -> usize {
    log.partition_point(|(at, _)| *at < to) - log.partition_point(|(at, _)| *at < from)
}

/// Highest number of arrivals in any window of one second.
pub fn busiest_second(log: &[Arrival]) -> usize {
    let ends = log.iter().enumerate().map(|(i, (at, _))| {
        let until = *at + Duration::from_secs(1);
        log.partition_point(|(other, _)| *other < until) - i
    });
    ends.max().unwrap_or(0)
}

const WINDOW: Duration = Duration::from_millis(250);
const STEP: Duration = Duration::from_millis(25);

fn windows(from: Instant, to: Instant) -> impl Iterator<Item = (Instant, Instant)> {
    let starts = std::iter::successors(Some(from), |at| Some(*at + STEP));
    let windows = starts.map(|at| (at, at + WINDOW));
    windows.take_while(move |(_, end)| *end <= to)
}

/// Time from `fault` until the load has recovered: the end of the last window of 250 ms before
/// `to` in which less than 92 % of the rate arrived.
pub fn recovery_time(log: &[Arrival], rate: f64, fault: Instant, to: Instant) -> Duration {
    let expected = rate * WINDOW.as_secs_f64() * 0.92;
    let below = windows(fault, to).filter(|(a, b)| (between(log, *a, *b) as f64) < expected);
    below.last().map_or(Duration::ZERO, |(_, end)| end - fault)
}

/// Lowest rate in any window of one second between two instants, as a fraction of `rate`.
pub fn lowest_rate(log: &[Arrival], rate: f64, from: Instant, to: Instant) -> f64 {
    let second = Duration::from_secs(1);
    let starts = std::iter::successors(Some(from), |at| Some(*at + STEP));
    let counts = starts
        .take_while(|at| *at + second <= to)
        .map(|at| between(log, at, at + second) as f64 / rate);
    counts.fold(f64::INFINITY, f64::min)
}

//! A target for the closed model: it answers after a set time, and records for each request when it
//! started and when it ended. A request ends when its answer is sent, or when the client closes its
//! connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request of the log.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub start: Instant,
    /// None while it is in flight.
    pub end: Option<Instant>,
}

pub struct Concurrency {
    pub url: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Concurrency {
    /// Starts a target on a free port of the loopback interface.
    pub fn on_loopback(delay: Duration) -> Concurrency {
        Concurrency::start(TcpListener::bind("127.0.0.1:0").unwrap(), delay)
    }

    pub fn start(listener: TcpListener, delay: Duration) -> Concurrency {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::<Mutex<Vec<Seen>>>::default();
        let shared = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = shared.clone();
                std::thread::spawn(move || serve(stream, delay, &log));
            }
        });
        Concurrency { url, log }
    }

    pub fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Most requests in flight at any time.
    pub fn most_in_flight(&self) -> usize {
        most_at_once(&self.log())
    }

    /// Most requests in flight at any time with the same path.
    pub fn most_of_one_path(&self) -> usize {
        let mut paths: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        for seen in self.log() {
            paths.entry(seen.path.clone()).or_default().push(seen);
        }
        paths
            .values()
            .map(|all| most_at_once(all))
            .max()
            .unwrap_or(0)
    }

    /// Number of requests whose path was requested before.
    pub fn repeated_paths(&self) -> usize {
        let log = self.log();
        let paths: std::collections::BTreeSet<&str> = log.iter().map(|s| s.path.as_str()).collect();
        log.len() - paths.len()
    }
}

fn most_at_once(log: &[Seen]) -> usize {
    // At one instant, ends come before starts.
    let starts = log.iter().map(|s| (s.start, 1i64));
    let ends = log.iter().filter_map(|s| Some((s.end?, -1)));
    let mut changes: Vec<(Instant, i64)> = starts.chain(ends).collect();
    changes.sort();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap()
}

fn serve(mut stream: TcpStream, delay: Duration, log: &Mutex<Vec<Seen>>) {
    let mut buffer = Vec::new();
    loop {
        let Some(path) = read_request(&mut stream, &mut buffer) else {
            return;
        };
        let start = Instant::now();
        let index = {
            let mut log = log.lock().unwrap();
            let end = None;
            log.push(Seen { path, start, end });
            log.len() - 1
        };
        let open = wait(&mut stream, &mut buffer, start + delay);
        log.lock().unwrap()[index].end = Some(Instant::now());
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if !open || stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// Reads a request without a body; returns its path. None at the end of the connection.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    stream.set_read_timeout(None).unwrap();
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let head = String::from_utf8(head).unwrap();
            return head.split(' ').nth(1).map(str::to_owned);
        }
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend(&part[..n]),
        }
    }
}

/// Waits until `until`. Returns false if the client closes the connection first.
fn wait(stream: &mut TcpStream, buffer: &mut Vec<u8>, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) => return false,
            Ok(n) => buffer.extend(&part[..n]),
            Err(e) => {
                let kinds = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                if !kinds.contains(&e.kind()) {
                    return false;
                }
            }
        }
    }
}

//! The server in the mode `evenness`, and the statistics of its arrivals.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::arguments::Result;
use crate::table::Row;

/// A server that records the arrival time of each request, with one thread on CPU core 0.
pub struct ArrivalServer {
    pub address: String,
    done: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<std::io::Result<Vec<u64>>>,
}

impl ArrivalServer {
    pub fn start() -> Result<ArrivalServer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        listener.set_nonblocking(true)?;
        let done = Arc::new(AtomicBool::new(false));
        let stop = done.clone();
        let thread = std::thread::spawn(move || {
            let mut core = rustix::thread::CpuSet::new();
            core.set(0);
            rustix::thread::sched_setaffinity(None, &core)?;
            serve(mio::net::TcpListener::from_std(listener), &stop)
        });
        Ok(ArrivalServer {
            address,
            done,
            thread,
        })
    }

    /// Stops the server. Returns the arrival times in nanoseconds, ascending.
    pub fn stop(self) -> Result<Vec<u64>> {
        self.done.store(true, Ordering::Release);
        Ok(self.thread.join().map_err(|_| "the server panicked")??)
    }
}

fn serve(mut listener: mio::net::TcpListener, done: &AtomicBool) -> std::io::Result<Vec<u64>> {
    const LISTENER: mio::Token = mio::Token(usize::MAX);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    let mut poll = mio::Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, mio::Interest::READABLE)?;
    let mut events = mio::Events::with_capacity(1024);
    let mut streams: Vec<Option<mio::net::TcpStream>> = Vec::new();
    let mut arrivals = Vec::with_capacity(1 << 20);
    let mut buf = vec![0; 65_536];
    let started = Instant::now();
    while !done.load(Ordering::Acquire) {
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
            let slot = &mut streams[event.token().0];
            while let Some(stream) = slot {
                match stream.read(&mut buf) {
                    Ok(n @ 1..) => {
                        let at = started.elapsed().as_nanos() as u64;
                        for _ in buf[..n].windows(4).filter(|w| w == b"\r\n\r\n") {
                            arrivals.push(at);
                            stream.write_all(ANSWER)?;
                        }
                        if n < buf.len() {
                            break;
                        }
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    _ => *slot = None,
                }
            }
        }
    }
    Ok(arrivals)
}

/// Adds the deviation of the gaps between arrivals from the planned gap, and the most arrivals in
/// one millisecond.
pub fn evenness(arrivals: &[u64], rate: u32, row: &mut Row) {
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

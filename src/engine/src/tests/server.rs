//! A small HTTP server that counts requests and can be stalled.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What a server has received, and its behavior.
#[derive(Default)]
struct State {
    served: Mutex<u64>,
    /// The first line of each request.
    lines: Mutex<Vec<String>>,
    connections: Mutex<u64>,
    stalled: Mutex<bool>,
    resumed: Condvar,
}

/// Responds to every request with `response`. Ends with the test's process.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Server {
    pub fn new(response: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                *shared.connections.lock().unwrap() += 1;
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), response, &shared));
            }
        });
        Server { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Number of complete requests.
    pub fn served(&self) -> u64 {
        *self.state.served.lock().unwrap()
    }

    /// The first line of each request, in order.
    pub fn lines(&self) -> Vec<String> {
        self.state.lines.lock().unwrap().clone()
    }

    /// Number of accepted connections.
    pub fn connections(&self) -> u64 {
        *self.state.connections.lock().unwrap()
    }

    pub fn stall(&self) {
        *self.state.stalled.lock().unwrap() = true;
    }

    pub fn resume(&self) {
        *self.state.stalled.lock().unwrap() = false;
        self.state.resumed.notify_all();
    }
}

fn serve(mut stream: TcpStream, response: &str, state: &State) {
    stream.set_nodelay(true).unwrap();
    let (mut seen, mut buf) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        seen.extend_from_slice(&buf[..n]);
        while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            let head: Vec<u8> = seen.drain(..end + 4).collect();
            *state.served.lock().unwrap() += 1;
            let line = String::from_utf8_lossy(&head);
            let line = line.lines().next().unwrap_or_default().to_owned();
            state.lines.lock().unwrap().push(line);
            let mut stalled = state.stalled.lock().unwrap();
            while *stalled {
                stalled = state.resumed.wait(stalled).unwrap();
            }
            drop(stalled);
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            if stream.write_all(response.as_bytes()).is_err() || head.contains("connection: close")
            {
                return;
            }
            if response.contains("connection: close") {
                return;
            }
        }
    }
}

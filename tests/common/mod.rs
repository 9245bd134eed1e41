//! Real processes on loopback. Every child process is killed when its handle is dropped, also
//! when a test fails.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod arrivals;
pub mod concurrency;
pub mod lan;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub const VAJRA: &str = env!("CARGO_BIN_EXE_vajra-node");

/// Time limit of a wait: ten times the longest one on an idle machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a test that needs `what` can run. With `VAJRA_TEST_REQUIRE=all`, as in CI, panics if it
/// cannot.
pub fn require(what: &str, available: bool) -> bool {
    if available {
        return true;
    }
    let required = std::env::var("VAJRA_TEST_REQUIRE").is_ok_and(|v| v == "all");
    assert!(
        !required,
        "this test needs {what}, which VAJRA_TEST_REQUIRE=all requires"
    );
    eprintln!("ignored: this test needs {what}");
    false
}

/// Serves an application on its own thread until the process ends; returns its URL.
pub fn serve(app: axum::Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    url
}

/// A process that prints the addresses it listens on.
pub struct Process {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    log: PathBuf,
}

impl Process {
    pub fn spawn(mut command: Command, log: PathBuf) -> Process {
        let stderr = std::fs::File::create(&log).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Process { child, lines, log }
    }

    /// Reads lines up to the first one with this prefix; returns all of them.
    pub fn read_until(&mut self, prefix: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).unwrap();
            assert!(
                n > 0,
                "ended before it printed {prefix:?}; log:\n{}",
                self.log()
            );
            seen.push(line.trim_end().to_owned());
            if line.starts_with(prefix) {
                return seen;
            }
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success(), "kill -s {name} {pid}");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < TIMEOUT,
                "does not end; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its remaining output, up to its end.
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node on loopback with its own ports.
pub struct Node {
    /// Value of `--name`; empty if there is none.
    pub name: String,
    pub process: Process,
    pub listening: String,
    pub api: String,
    pub peer: String,
}

impl Node {
    /// Starts a node with a data directory `dir/name` and waits until its API listens.
    pub fn start(dir: &Path, name: &str, args: &[&str]) -> Node {
        let mut command = Command::new(VAJRA);
        let data = dir.join(name);
        command
            .args([
                "--no-mdns",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
                "--api",
                "127.0.0.1:0",
            ])
            .args(["--name", name, "--data-dir", data.to_str().unwrap()])
            .args(args)
            // Raw values for the tests that check percentiles.
            .env("VAJRA_DUMP_DIR", dir.join(format!("{name}.raw")));
        let log = dir.join(format!("{name}.{}.log", unique()));
        let mut node = Node::from_process(Process::spawn(command, log));
        node.name = name.to_owned();
        node
    }

    pub fn from_process(mut process: Process) -> Node {
        let lines = process.read_until("api ");
        let word = |prefix: &str| {
            let line = lines.iter().find_map(|l| l.strip_prefix(prefix));
            line.unwrap_or_else(|| panic!("no {prefix:?} in {lines:?}"))
                .to_owned()
        };
        let listening = word("listening ");
        let peer = listening.rsplit('/').next().unwrap().to_owned();
        let api = word("api http://");
        Node {
            name: String::new(),
            process,
            listening,
            api,
            peer,
        }
    }

    /// Runs a subcommand against this node and parses what it prints as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        self.run(args)
    }

    /// Names of the nodes that this node lists and does not consider gone, including itself.
    pub fn healthy_nodes(&self) -> Vec<String> {
        let nodes = self.json(&["nodes"]);
        let mut names: Vec<String> = nodes["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|n| n["health"] != "gone")
            .map(|n| n["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    pub fn wait_for_nodes(&self, names: &[&str]) {
        eventually(|| {
            let seen = self.healthy_nodes();
            if seen == names {
                Ok(())
            } else {
                Err(format!("lists {seen:?}, not {names:?}"))
            }
        });
    }
}

/// `count` nodes, named `n0`, `n1`, …, that use the first one as their bootstrap node.
pub fn swarm(dir: &Path, count: usize, args: &[&str]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for i in 0..count {
        let first = nodes.first().map(|n| n.listening.clone());
        let mut all = args.to_vec();
        if let Some(address) = &first {
            all.extend(["--bootstrap", address]);
        }
        nodes.push(Node::start(dir, &format!("n{i}"), &all));
    }
    let names: Vec<String> = (0..count).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for node in &nodes {
        node.wait_for_nodes(&names);
    }
    nodes
}

/// The built-in target.
pub struct Target {
    pub process: Process,
    pub url: String,
}

impl Target {
    pub fn start(dir: &Path, args: &[&str]) -> Target {
        let mut command = Command::new(VAJRA);
        command
            .args(["target", "--listen", "127.0.0.1:0"])
            .args(args);
        let log = dir.join(format!("target.{}.log", unique()));
        let mut process = Process::spawn(command, log);
        let line = process.read_until("listening ").pop().unwrap();
        let url = line.strip_prefix("listening ").unwrap().to_owned();
        Target { process, url }
    }

    pub fn served(&self) -> u64 {
        let body = get(
            self.url.trim_start_matches("http://").trim_end_matches('/'),
            "/_stats",
        );
        let stats: Value = serde_json::from_str(&body).unwrap();
        stats["served"].as_u64().unwrap()
    }

    /// Waits until it has served this number of requests.
    pub fn wait_until_served(&self, count: u64) {
        eventually(|| match self.served() {
            served if served >= count => Ok(()),
            served => Err(format!("{served} requests served")),
        });
    }
}

/// Body of a response, with a minimal HTTP client.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Response to a request with a body, including its head. `line` is the method and the path.
pub fn request(address: &str, line: &str, content_type: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Runs a test to its end with `start-test --json -` on a node. `args` is a plan, or a URL and load
/// options.
pub fn start_test(at: &Node, args: &[&str]) -> Finished {
    let mut all = vec!["start-test"];
    all.extend(args);
    all.extend(["--api", &at.api, "--json", "-"]);
    vajra(&all)
}

/// Like [`start_test`]; returns the result. Panics if the exit code is not 0.
pub fn run_test(at: &Node, args: &[&str]) -> Value {
    let out = start_test(at, args);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.json()
}

/// Starts a test with `--detach`; returns its id. `args` is a plan, or a URL and load options.
pub fn start_detached(at: &Node, args: &[&str]) -> String {
    let mut all = vec!["start-test"];
    all.extend(args);
    all.extend(["--api", &at.api, "--detach"]);
    let out = vajra(&all);
    assert_eq!(out.code, 0, "{}", out.stderr);
    out.stdout.trim().to_owned()
}

/// Runs a command against a node: on this host, or inside the node's namespace.
pub trait RunCommand {
    /// Runs a subcommand; returns its JSON output, or the error.
    fn try_run(&self, args: &[&str]) -> Result<Value, String>;

    /// Like [`RunCommand::try_run`]; panics on an error.
    fn run(&self, args: &[&str]) -> Value {
        self.try_run(args)
            .unwrap_or_else(|e| panic!("{args:?}: {e}"))
    }
}

impl RunCommand for Node {
    fn try_run(&self, args: &[&str]) -> Result<Value, String> {
        vajra(&[args, &["--api", &self.api, "--json"]].concat()).parsed()
    }
}

/// Waits until a node has the complete result of a test; returns it.
pub fn complete_result(node: &impl RunCommand, id: &str) -> Value {
    eventually(|| {
        let result = node.try_run(&["status", id])?;
        match result["complete"] == true {
            true => Ok(result),
            false => Err(format!("not complete: {}", result["state"])),
        }
    })
}

/// Sleeps for a time that is part of the test case, such as a fault of six seconds. To wait for
/// an event, use [`eventually`].
pub fn pause_for(time: Duration) {
    std::thread::sleep(time);
}

/// JSON response of a node's API for a path below `/api/v1/`.
pub fn api(node: &Node, path: &str) -> Value {
    let body = get(&node.api, &format!("/api/v1/{path}"));
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// Exit code and output of a command.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Its output parsed as JSON, if it succeeded.
    fn parsed(&self) -> Result<Value, String> {
        match self.code {
            0 => serde_json::from_str(&self.stdout).map_err(|e| format!("{e}: {}", self.stdout)),
            code => Err(format!("exit code {code}: {}", self.stderr)),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Runs `vajra-node` until it exits.
pub fn vajra(args: &[&str]) -> Finished {
    finish(Command::new(VAJRA).args(args))
}

pub fn finish(command: &mut Command) -> Finished {
    let out = command.stdin(Stdio::null()).output().unwrap();
    Finished {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// Polls `check` until it returns `Ok`; panics with its last error after [`TIMEOUT`].
pub fn eventually<T>(check: impl FnMut() -> Result<T, String>) -> T {
    within(TIMEOUT, check)
}

/// Like [`eventually`], with a given time limit.
pub fn within<T>(bound: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(why) if start.elapsed() > bound => panic!("after {bound:?}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

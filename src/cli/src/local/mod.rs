//! `[local]` in a plan: a target and nodes as child processes on loopback, for one test.
//!
//! The children never outlive this process. A normal exit closes their stdin and waits; a panic or
//! an early return kills them; if this process is killed, the kernel closes their stdin, and they
//! exit.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::exit::Failure;
use vajra_plan::{Local, LocalTarget, show_duration};

/// Maximum time until a child is ready.
const START_WAIT: Duration = Duration::from_secs(15);
/// Maximum time of a graceful exit before a child is killed.
const END_WAIT: Duration = Duration::from_secs(5);

/// The child processes of one test.
#[derive(Debug)]
pub struct LocalSwarm {
    target: Option<Process>,
    nodes: Vec<Process>,
    /// URL of the target, if there is one.
    pub target_url: Option<String>,
    /// API address of the first node, if there are nodes.
    pub api: Option<String>,
}

impl LocalSwarm {
    /// Starts the target and the nodes, and waits until all are ready.
    ///
    /// # Errors
    /// A child cannot be started, or is not ready in time; the others are killed then.
    pub async fn start(local: &Local, with_target: bool) -> Result<LocalSwarm, Failure> {
        let program = std::env::current_exe().map_err(|e| {
            Failure::run(format_args!(
                "cannot find the path of this program, which local nodes run: {e}"
            ))
        })?;
        let mut swarm = LocalSwarm {
            target: None,
            nodes: Vec::new(),
            target_url: None,
            api: None,
        };
        if let Some(target) = local.target.as_ref().filter(|_| with_target) {
            let mut process = Process::start(&program, "target", &target_args(target))?;
            swarm.target_url = Some(process.ready("listening ").await?);
            swarm.target = Some(process);
        }
        let name = format!("local-{}", std::process::id());
        let threads = threads_each(local.nodes);
        let mut first = None;
        for number in 1..=local.nodes {
            let mut args = node_args(&name, number, threads);
            if let Some(address) = &first {
                args.extend(["--bootstrap".to_owned(), String::clone(address)]);
            }
            let mut process = Process::start(&program, "node", &args)?;
            if first.is_none() {
                first = Some(process.ready("listening ").await?);
                swarm.api = Some(process.ready("api http://").await?);
            }
            swarm.nodes.push(process);
        }
        for process in swarm.nodes.iter_mut().skip(1) {
            process.ready("api http://").await?;
        }
        Ok(swarm)
    }

    /// Ends all of them gracefully. Returns the number of requests that the target received.
    pub async fn end(self) -> Option<u64> {
        let nodes: Vec<_> = self.nodes.into_iter().map(|node| node.end("")).collect();
        futures::future::join_all(nodes).await;
        // After the nodes, so that the count is final.
        let served = self.target?.end("served ").await?;
        served.parse().ok()
    }
}

/// Engine threads per node: the cores divided among the nodes and the target, so that they do not
/// delay each other.
fn threads_each(nodes: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    (cores / (nodes as usize + 1)).max(1)
}

fn node_args(swarm: &str, number: u32, threads: usize) -> Vec<String> {
    let text = format!(
        "--swarm {swarm} --name local-{number} --listen /ip4/127.0.0.1/tcp/0 --no-mdns \
         --ephemeral --api 127.0.0.1:0 --engine-threads {threads} --log-level warn \
         --end-with-stdin"
    );
    text.split_whitespace().map(String::from).collect()
}

fn target_args(target: &LocalTarget) -> Vec<String> {
    let text = format!(
        "target --listen 127.0.0.1:0 --error-rate {} --end-with-stdin",
        target.error_rate
    );
    let mut args: Vec<String> = text.split_whitespace().map(String::from).collect();
    for (option, time) in [("--latency", target.latency), ("--jitter", target.jitter)] {
        args.extend([option.to_owned(), show_duration(time)]);
    }
    args
}

/// A child process that prints a line when it is ready and exits when its stdin closes.
#[derive(Debug)]
struct Process {
    kind: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(program: &Path, kind: &'static str, args: &[String]) -> Result<Process, Failure> {
        let failed = |e| Failure::run(format_args!("cannot start a local {kind}: {e}"));
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // Settings of this process (VAJRA_API, VAJRA_BOOTSTRAP) must not apply to the children.
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_setting(key)) {
            command.env_remove(key);
        }
        // A terminal sends Ctrl-C to the whole process group, but the children must run until the
        // test is stopped.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| failed(std::io::Error::other("no pipe")))?;
        Ok(Process {
            kind,
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Waits for a line with this prefix. Returns the rest of the line.
    async fn ready(&mut self, prefix: &str) -> Result<String, Failure> {
        let found = timeout(START_WAIT, find(&mut self.lines, prefix)).await;
        match found {
            Ok(Some(rest)) => Ok(rest),
            Ok(None) => Err(Failure::run(format_args!(
                "a local {} exited before it was ready; see its output above",
                self.kind
            ))),
            Err(_) => Err(Failure::run(format_args!(
                "a local {} was not ready after {} s",
                self.kind,
                START_WAIT.as_secs()
            ))),
        }
    }

    /// Ends it. Returns the rest of the first further line with this prefix, if there is one.
    async fn end(mut self, prefix: &str) -> Option<String> {
        drop(self.child.stdin.take());
        let ended = timeout(END_WAIT, async {
            let found = find(&mut self.lines, prefix)
                .await
                .filter(|_| !prefix.is_empty());
            // Read all output, so that the child cannot block on a full pipe.
            while let Ok(Some(_)) = self.lines.next_line().await {}
            let _ = self.child.wait().await;
            found
        })
        .await;
        match ended {
            Ok(found) => found,
            Err(_) => {
                // An error means that it has exited already.
                let _ = self.child.kill().await;
                None
            }
        }
    }
}

async fn find(lines: &mut Lines<BufReader<ChildStdout>>, prefix: &str) -> Option<String> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(rest) = line.strip_prefix(prefix) {
            return Some(rest.to_owned());
        }
    }
    None
}

fn is_setting(key: &OsStr) -> bool {
    // The integration tests need raw values from every node.
    key != "VAJRA_DUMP_DIR" && key.to_string_lossy().starts_with("VAJRA_")
}

#[cfg(test)]
mod tests;

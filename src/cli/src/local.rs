//! `[local]` in a plan: a target and some nodes as child processes, for the length of one
//! test, on loopback.
//!
//! However this process ends, they end, too: a normal end closes their stdin and waits, a
//! panic or an early return kills them, and if this process is killed outright, the closed
//! stdin tells them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::exit::Failure;
use vajra_plan::{Local, LocalTarget, show_duration};

/// How long a child may take to be ready.
const START_WAIT: Duration = Duration::from_secs(15);
/// How long a child may take to end politely before it is killed.
const END_WAIT: Duration = Duration::from_secs(5);

/// The child processes of one test.
#[derive(Debug)]
pub struct LocalSwarm {
    target: Option<Process>,
    nodes: Vec<Process>,
    /// Where the target answers, if there is one.
    pub target_url: Option<String>,
    /// Where the first node's API answers, if there are nodes.
    pub api: Option<String>,
}

impl LocalSwarm {
    /// Starts what `local` asks for, and waits until everything is ready.
    ///
    /// # Errors
    /// A child can't be started, or is not ready in time; all others have been killed then.
    pub async fn start(local: &Local, with_target: bool) -> Result<LocalSwarm, Failure> {
        let program = std::env::current_exe().map_err(|e| {
            Failure::run(format_args!(
                "cannot find this program to start it again: {e}"
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

    /// Ends all of them politely; returns how many requests the target says that it received.
    pub async fn end(self) -> Option<u64> {
        let nodes: Vec<_> = self.nodes.into_iter().map(|node| node.end("")).collect();
        futures::future::join_all(nodes).await;
        // After the nodes: by then nobody sends to it any more.
        let served = self.target?.end("served ").await?;
        served.parse().ok()
    }
}

/// Engine threads of each node: the machine's cores divided by as many nodes plus a target,
/// so that they do not keep each other from sending in time.
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

/// A child process that says on stdout when it is ready, and ends with its stdin.
#[derive(Debug)]
struct Process {
    what: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(program: &Path, what: &'static str, args: &[String]) -> Result<Process, Failure> {
        let failed = |e| Failure::run(format_args!("cannot start a local {what}: {e}"));
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // A setting meant for this process (VAJRA_API, VAJRA_BOOTSTRAP) is not meant for them.
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_setting(key)) {
            command.env_remove(key);
        }
        // Ctrl-C in a terminal goes to the whole process group; the children must outlive it
        // until the test has been stopped properly.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| failed(std::io::Error::other("no pipe")))?;
        Ok(Process {
            what,
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Waits for the line that begins so; returns the rest of it.
    async fn ready(&mut self, prefix: &str) -> Result<String, Failure> {
        let found = timeout(START_WAIT, find(&mut self.lines, prefix)).await;
        match found {
            Ok(Some(rest)) => Ok(rest),
            Ok(None) => Err(Failure::run(format_args!(
                "a local {} ended before it was ready; what it said is above",
                self.what
            ))),
            Err(_) => Err(Failure::run(format_args!(
                "a local {} was not ready after {} s",
                self.what,
                START_WAIT.as_secs()
            ))),
        }
    }

    /// Ends it; returns the rest of the line that begins so, if it said such a thing.
    async fn end(mut self, prefix: &str) -> Option<String> {
        drop(self.child.stdin.take());
        let ended = timeout(END_WAIT, async {
            let said = find(&mut self.lines, prefix)
                .await
                .filter(|_| !prefix.is_empty());
            // Its output is read to the end, so that it never waits for us.
            while let Ok(Some(_)) = self.lines.next_line().await {}
            let _ = self.child.wait().await;
            said
        })
        .await;
        match ended {
            Ok(said) => said,
            Err(_) => {
                // Already dead, or there is nothing more to be done.
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
    // The tests' oracle needs raw values from every node.
    key != "VAJRA_DUMP_DIR" && key.to_string_lossy().starts_with("VAJRA_")
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;

//! Commands that end, are stopped or are killed: no process left running, only the requested
//! output on stdout, and no panic.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::common::{VAJRA, eventually};

/// A local swarm whose test runs much longer than the tests in this file.
const LONG_LOCAL_PLAN: &str = "[task]\ntype = \"HTTP\"\n[load]\nmodel = \"open\"\nrate = 20\n\
                               duration = \"10m\"\n[local]\nnodes = 2\ntarget = {}\n";

/// A process that is killed on drop, also when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a test on [`LONG_LOCAL_PLAN`], and returns once it runs.
    fn local_test(directory: &Path) -> (Running, BufReader<ChildStderr>) {
        let plan = directory.join("plan.toml");
        std::fs::write(&plan, LONG_LOCAL_PLAN).unwrap();
        let mut child = Command::new(VAJRA)
            .arg("start-test")
            .arg(&plan)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("test ") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "no test was started"
            );
        }
        (Running(child), stderr)
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "kill -s {name} {pid}");
    }

    fn children(&self) -> Vec<u32> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| state_and_parent(*pid).is_some_and(|(_, ppid)| ppid == self.0.id()))
            .collect()
    }
}

/// State and parent from `/proc/PID/stat`, parsed after the command name, which may contain any
/// character.
fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn is_running(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Polls `/proc`: only children of this process could be awaited.
fn wait_until_all_end(pids: &[u32]) {
    eventually(|| match pids.iter().any(|pid| is_running(*pid)) {
        true => Err(format!("still running: {pids:?}")),
        false => Ok(()),
    });
}

#[test]
fn ctrl_c_stops_the_test_shows_its_result_and_ends_the_local_swarm() {
    let directory = tempfile::tempdir().unwrap();
    let (mut test, mut stderr) = Running::local_test(directory.path());
    let children = test.children();
    assert_eq!(children.len(), 3, "a target and two nodes");
    test.signal("INT");
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    let mut summary = String::new();
    test.0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut summary)
        .unwrap();
    assert_eq!(test.0.wait().unwrap().code(), Some(105), "{log}");
    assert!(log.contains("the local target received"), "{log}");
    assert!(summary.contains("stopped before its end"), "{summary}");
    wait_until_all_end(&children);
}

#[test]
fn a_local_swarm_ends_when_its_parent_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut test, _stderr) = Running::local_test(directory.path());
    let children = test.children();
    assert_eq!(children.len(), 3, "a target and two nodes");
    test.0.kill().unwrap();
    test.0.wait().unwrap();
    wait_until_all_end(&children);
}

#[test]
fn a_closed_stdout_pipe_is_neither_an_error_nor_a_panic() {
    let commands: [&[&str]; 3] = [
        &["start-test", "http://127.0.0.1:9/", "--dry-run"],
        &["keygen"],
        &["--help"],
    ];
    for line in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = Command::new(VAJRA)
            .args(line)
            .stdout(writer)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), log.as_str()), (Some(0), ""), "{line:?}");
    }
}

#[test]
fn json_output_is_the_only_text_on_stdout() {
    let directory = tempfile::tempdir().unwrap();
    let plan = directory.path().join("plan.toml");
    let text = LONG_LOCAL_PLAN.replace("10m", "1s");
    std::fs::write(&plan, text).unwrap();
    let out = Command::new(VAJRA)
        .args(["start-test", "--standalone", "--json", "-"])
        .arg(&plan)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{log}");
    let result: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["totals"]["sent"], 20, "{log}");
    assert!(
        log.contains("the local target received 20 requests"),
        "{log}"
    );
}

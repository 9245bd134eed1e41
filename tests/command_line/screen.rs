//! The full-screen view on a pseudo-terminal of `script` (util-linux): it uses the alternate
//! screen, and restores the terminal whether the test completes or is interrupted.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{VAJRA, require, within};

/// Control sequences that enter and leave the alternate screen (xterm's private mode 1049), and
/// that show the cursor.
const ENTER_SCREEN: &str = "\x1b[?1049h";
const LEAVE_SCREEN: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// Tasks of 700 ms, so that some are in flight when the test is stopped.
const PLAN: &str = "[task]\ntype = \"SLEEP\"\nms = 700\n[load]\nrate = 20\n";

/// A test on its own pseudo-terminal.
struct TerminalSession {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl TerminalSession {
    /// Starts a standalone test with this duration; `None` without `script`.
    fn start(dir: &Path, length: &str, environment: &[(&str, &str)]) -> Option<TerminalSession> {
        let available = Command::new("script").arg("--version").output().is_ok();
        if !require("script (util-linux)", available) {
            return None;
        }
        let plan = dir.join("plan.toml");
        std::fs::write(&plan, format!("{PLAN}duration = \"{length}\"\n")).unwrap();
        let inside = format!(
            "stty cols 80 rows 24; echo pid $$ .; exec {VAJRA} start-test {} --standalone \
             --no-preflight",
            plan.display()
        );
        let mut child = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &inside, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (child.stdout.take().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        let keys = child.stdin.take().unwrap();
        Some(TerminalSession { child, keys, shown })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        within(Duration::from_secs(60), || {
            let shown = self.shown();
            match shown.contains(text) {
                true => Ok(()),
                false => Err(format!("{text:?} is not in {shown:?}")),
            }
        });
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, name: &str) {
        let shown = self.shown();
        let pid = shown.split("pid ").nth(1).unwrap().split(' ').next();
        let mut kill = Command::new("kill");
        kill.args(["-s", name, pid.unwrap()]);
        assert!(kill.status().unwrap().success());
    }

    /// Waits for the exit; returns the exit code and all output.
    fn wait_for_exit(&mut self) -> (Option<i32>, String) {
        let code = within(Duration::from_secs(60), || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}: {}", self.shown())),
        });
        (code, self.shown())
    }
}

impl Drop for TerminalSession {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that the view was shown once, and that the normal screen with the summary is back.
#[track_caller]
fn assert_terminal_restored(shown: &str) {
    let (_, rest) = shown.split_once(ENTER_SCREEN).expect("the view was shown");
    let (view, page) = rest.split_once(LEAVE_SCREEN).expect("the screen was left");
    assert!(!page.contains(ENTER_SCREEN), "{page:?}");
    assert!(view.contains("response time"), "{view:?}");
    assert!(
        shown.rfind(SHOW_CURSOR) > shown.find(ENTER_SCREEN),
        "{shown:?}"
    );
    assert!(page.contains("verdict"), "{page:?}");
    // In raw mode there would be no carriage return before a line feed.
    assert!(page.contains("\r\n\r\n"), "{page:?}");
}

#[test]
fn a_finished_test_leaves_its_summary_on_the_normal_screen() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = TerminalSession::start(dir.path(), "2s", &[]) else {
        return;
    };
    let (code, shown) = test.wait_for_exit();
    assert_eq!(code, Some(0), "{shown}");
    assert_terminal_restored(&shown);
}

#[test]
fn ctrl_c_in_raw_mode_stops_the_test_gracefully() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = TerminalSession::start(dir.path(), "10m", &[]) else {
        return;
    };
    test.wait_for("sustain");
    test.press("\x03");
    test.wait_for("waiting for requests in flight");
    let (code, shown) = test.wait_for_exit();
    assert_eq!(code, Some(105), "{shown}");
    assert_terminal_restored(&shown);
}

#[test]
fn sigterm_restores_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = TerminalSession::start(dir.path(), "10m", &[]) else {
        return;
    };
    test.wait_for("sustain");
    test.signal("TERM");
    let (code, shown) = test.wait_for_exit();
    assert_eq!(code, Some(105), "{shown}");
    assert_terminal_restored(&shown);
}

#[test]
fn a_dumb_terminal_gets_plain_lines_without_control_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = TerminalSession::start(dir.path(), "1s", &[("TERM", "dumb")]) else {
        return;
    };
    let (code, shown) = test.wait_for_exit();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(ENTER_SCREEN), "{shown:?}");
    assert!(
        shown.contains("nodes 1") && shown.contains("verdict"),
        "{shown:?}"
    );
}

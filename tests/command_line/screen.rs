//! The full-screen view on a real terminal, which `script` (util-linux) lends: it takes the
//! alternate screen, and gives the terminal back however it ends.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{VAJRA, require, within};

/// Takes and leaves the alternate screen (xterm's private mode 1049), and shows the cursor.
const TAKEN: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";
const CURSOR: &str = "\x1b[?25h";

/// Requests that take so long that some are in flight whenever the test is stopped.
const PLAN: &str = "[task]\ntype = \"SLEEP\"\nms = 700\n[load]\nrate = 20\n";

/// A test on a terminal of its own.
struct OnTerminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    /// Starts it alone in its process, for so long; none without `script`.
    fn start(dir: &Path, length: &str, environment: &[(&str, &str)]) -> Option<OnTerminal> {
        let there = Command::new("script").arg("--version").output().is_ok();
        if !require("script (util-linux)", there) {
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
        Some(OnTerminal { child, keys, shown })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn waits_for(&self, text: &str) {
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

    /// Its exit code, and everything that was shown.
    fn ends(&mut self) -> (Option<i32>, String) {
        let code = within(Duration::from_secs(60), || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}: {}", self.shown())),
        });
        (code, self.shown())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The view was there once; what stays is the page as it was, with the summary at its end.
#[track_caller]
fn assert_given_back(shown: &str) {
    let (_, rest) = shown.split_once(TAKEN).expect("the view was shown");
    let (view, page) = rest.split_once(LEFT).expect("the screen was left");
    assert!(!page.contains(TAKEN), "{page:?}");
    assert!(view.contains("response time"), "{view:?}");
    assert!(shown.rfind(CURSOR) > shown.find(TAKEN), "{shown:?}");
    assert!(page.contains("verdict"), "{page:?}");
    // In raw mode a line would not begin at the margin.
    assert!(page.contains("\r\n\r\n"), "{page:?}");
}

#[test]
fn a_test_that_ends_leaves_its_summary_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = OnTerminal::start(dir.path(), "2s", &[]) else {
        return;
    };
    let (code, shown) = test.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert_given_back(&shown);
}

#[test]
fn ctrl_c_is_a_key_there_and_stops_the_test_gracefully() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = OnTerminal::start(dir.path(), "10m", &[]) else {
        return;
    };
    test.waits_for("sustain");
    test.press("\x03");
    test.waits_for("waiting for requests in flight");
    let (code, shown) = test.ends();
    assert_eq!(code, Some(105), "{shown}");
    assert_given_back(&shown);
}

#[test]
fn sigterm_gives_the_terminal_back_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = OnTerminal::start(dir.path(), "10m", &[]) else {
        return;
    };
    test.waits_for("sustain");
    test.signal("TERM");
    let (code, shown) = test.ends();
    assert_eq!(code, Some(105), "{shown}");
    assert_given_back(&shown);
}

#[test]
fn a_terminal_that_is_dumb_has_lines_and_no_control_sequences_of_a_screen() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut test) = OnTerminal::start(dir.path(), "1s", &[("TERM", "dumb")]) else {
        return;
    };
    let (code, shown) = test.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(TAKEN), "{shown:?}");
    assert!(
        shown.contains("nodes 1") && shown.contains("verdict"),
        "{shown:?}"
    );
}

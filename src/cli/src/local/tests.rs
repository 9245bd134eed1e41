#![allow(clippy::unwrap_used)]

use super::*;

fn shell(script: &str) -> Process {
    Process::start(
        Path::new("/bin/sh"),
        "node",
        &["-c".to_owned(), script.to_owned()],
    )
    .unwrap()
}

#[tokio::test]
async fn a_child_is_ready_at_its_line_and_exits_when_stdin_closes() {
    let mut process = shell("echo noise; echo listening here; cat; echo served 7; echo more");
    assert_eq!(process.ready("listening ").await.unwrap(), "here");
    assert_eq!(process.end("served ").await.unwrap(), "7");
}

#[tokio::test]
async fn a_child_that_exits_before_it_is_ready_is_an_error() {
    let failure = shell("exit 3").ready("listening ").await.unwrap_err();
    assert!(
        failure.message.contains("exited before it was ready"),
        "{failure}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_that_is_dropped_is_killed() {
    let mut process = shell("echo pid $$; exec sleep 1000");
    let pid = process.ready("pid ").await.unwrap();
    let mut stdout = process.lines;
    drop(process.child);
    // Its end of the pipe closes as it exits; soon after, the process is gone or a zombie.
    assert!(matches!(stdout.next_line().await, Ok(None)));
    let exited = async {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(START_WAIT, exited).await.unwrap();
}

#[test]
fn children_use_loopback_and_are_ephemeral() {
    let args = node_args("s", 2, 1).join(" ");
    for expected in [
        "/ip4/127.0.0.1/tcp/0",
        "--no-mdns",
        "--ephemeral",
        "--end-with-stdin",
    ] {
        assert!(args.contains(expected), "{args}");
    }
}

#[test]
fn only_settings_are_removed_from_the_environment_of_children() {
    assert!(is_setting("VAJRA_API".as_ref()));
    assert!(!is_setting("VAJRA_DUMP_DIR".as_ref()) && !is_setting("PATH".as_ref()));
}

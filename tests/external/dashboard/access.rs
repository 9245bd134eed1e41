//! Access to the node: a lost connection, and the API token.

use std::path::Path;

use super::with_browser;
use crate::browser::Browser;
use crate::common::Node;

/// Starts a node with a given API address, for example that of a node that was killed.
fn node_at(dir: &Path, api: &str) -> Node {
    let mut command = std::process::Command::new(crate::common::VAJRA);
    let data = dir.join("n0");
    command
        .args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
        .args(["--api", api, "--name", "n0"])
        .args(["--data-dir", data.to_str().unwrap()]);
    Node::from_process(crate::common::Process::spawn(command, dir.join("n0.log")))
}

#[test]
fn a_lost_connection_is_shown_until_it_is_restored() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut node = node_at(dir.path(), "127.0.0.1:0");
        let api = node.api.clone();
        let b = Browser::open(dir.path(), false).await;
        // A page with an event stream, one that polls, and one that is idle.
        for (page, word) in [
            ("swarm", "Healthy nodes"),
            ("history", "No tests yet"),
            ("start", "Start a test"),
        ] {
            b.goto(&api, &format!("#/{page}")).await;
            b.wait_for_text(word).await;
            node.process.kill();
            b.wait_for_text("Connection lost").await;
            node = node_at(dir.path(), &api);
            let back = "return document.querySelector('#connection').hidden";
            b.wait_for("the connection", back).await;
            b.wait_for_text(word).await;
        }
        b.close_without_errors().await;
    });
}

#[test]
fn the_token_is_requested_once() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "open-sesame-please\n").unwrap();
        let file = file.to_str().unwrap();
        let node = Node::start(dir.path(), "n0", &["--api-token-file", file]);
        let b = Browser::open_page(dir.path(), &node.api, "").await;
        b.wait_for_text("This node requires a token").await;
        b.fill_in("Token", "wrong").await;
        b.click("dialog button[value='go']").await;
        b.wait_for_text("not the one").await;
        b.fill_in("Token", "open-sesame-please").await;
        b.click("dialog button[value='go']").await;
        b.wait_for_text("Healthy nodes").await;
        b.client.refresh().await.unwrap();
        b.wait_for_text("Healthy nodes").await;
        // A new tab could not send the token, so the page saves the metrics as a file.
        b.js("URL.createObjectURL = blob => { blob.text().then(text => { window.saved = text; }); return '#/swarm'; }")
            .await;
        b.click("a[href='/metrics']").await;
        b.wait_for("metrics", "return window.saved?.includes('vajra_node')")
            .await;
        assert_eq!(
            b.js("return document.querySelector('dialog')").await,
            serde_json::Value::Null
        );
        b.close_without_errors().await;
    });
}

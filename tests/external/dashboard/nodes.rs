//! The page of the swarm.

use super::with_browser;
use crate::browser::Browser;
use crate::common::swarm;

#[test]
fn a_draining_node_is_marked_and_has_no_free_capacity() {
    with_browser(|| async {
        let dir = tempfile::tempdir().unwrap();
        let nodes = swarm(dir.path(), 2, &[]);
        let b = Browser::open_page(dir.path(), &nodes[0].api, "").await;
        b.wait_for_text("all nodes").await;
        let tile = |name: &str| {
            format!(
                "[...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith({name:?})).querySelector('dd').innerText"
            )
        };
        let same = format!("return {} === {}", tile("Free"), tile("Capacity"));
        b.wait_for("free capacity equal to capacity", &same).await;
        b.js("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')).querySelector('td:last-child button').click()")
            .await;
        b.click("dialog button[value='drain']").await;
        b.wait_for_text("1 draining").await;
        b.wait_for("less free capacity", &same.replace("===", "!=="))
            .await;
        let row = "const row = [...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('n1')); \
                   return row.querySelector('.badge.warn').textContent === 'draining'";
        b.wait_for("its state", row).await;
        b.close_without_errors().await;
    });
}

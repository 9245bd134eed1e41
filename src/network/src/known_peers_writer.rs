//! Writes the known peers to disk in the background, one write at a time.

use std::io;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::JoinHandle;

use super::known_peers::{KnownPeer, KnownPeers};

/// Shortest interval between writes.
const MIN_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct KnownPeersWriter {
    store: Option<KnownPeers>,
    changed: bool,
    next: Instant,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl KnownPeersWriter {
    /// Without a store nothing is written.
    pub(super) fn new(store: Option<KnownPeers>, now: Instant) -> KnownPeersWriter {
        KnownPeersWriter {
            store,
            changed: false,
            next: now,
            writing: None,
        }
    }

    /// The peers on disk.
    pub(super) fn load(&self) -> io::Result<Vec<KnownPeer>> {
        match &self.store {
            Some(store) => store.load(),
            None => Ok(Vec::new()),
        }
    }

    /// The known peers have changed.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Starts a write if one is due.
    ///
    /// # Errors
    /// That of the previous write; the next one is still started.
    pub(super) fn write_due(
        &mut self,
        known: impl FnOnce() -> Vec<KnownPeer>,
        now: Instant,
    ) -> io::Result<()> {
        let mut previous = Ok(());
        if let Some(writing) = &mut self.writing {
            let Some(result) = writing.now_or_never() else {
                return Ok(());
            };
            self.writing = None;
            previous = result.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        }
        if let Some(store) = &self.store
            && self.changed
            && now >= self.next
        {
            self.changed = false;
            self.next = now + MIN_INTERVAL;
            let (store, known) = (store.clone(), known());
            self.writing = Some(tokio::task::spawn_blocking(move || store.save(&known)));
        }
        previous
    }

    /// Waits for a running write, then writes for the last time.
    pub(super) async fn finish(mut self, known: Vec<KnownPeer>) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        let Some(store) = self.store else { return };
        let written = tokio::task::spawn_blocking(move || store.save(&known)).await;
        if let Err(error) = written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            tracing::warn!(%error, "known peers not saved");
        }
    }
}

//! Requests to end: Ctrl-C, SIGTERM, and a parent process that has exited.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Message of a command that is interrupted before its test starts.
pub const BEFORE_START: &str = "interrupted before the test started";

/// Queued key presses: a third one has the strongest effect, so further ones are dropped.
const KEY_QUEUE: usize = 3;

/// Receives requests to end.
#[derive(Debug)]
pub struct Interrupts {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    keys: mpsc::Receiver<()>,
    keyboard: KeyInterrupts,
}

/// Sends a request to end on a key press: in raw mode a terminal sends no signal on Ctrl-C.
#[derive(Clone, Debug)]
pub struct KeyInterrupts {
    sender: mpsc::Sender<()>,
    received: Arc<AtomicU32>,
}

impl KeyInterrupts {
    /// Requests the end.
    pub fn send(&self) {
        // A full queue has the strongest request already.
        let _ = self.sender.try_send(());
    }

    /// Number of requests received by the [`Interrupts`], including signals.
    pub fn received(&self) -> u32 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Interrupts {
    /// Installs the handlers; the signals no longer end the process.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn new() -> io::Result<Interrupts> {
        let (sender, keys) = mpsc::channel(KEY_QUEUE);
        Ok(Interrupts {
            keys,
            keyboard: KeyInterrupts {
                sender,
                received: Arc::default(),
            },
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The sender for key presses.
    pub fn keyboard(&self) -> KeyInterrupts {
        self.keyboard.clone()
    }

    /// Waits for the next request. Cancel safe.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.keys.recv() => {}
        }
        #[cfg(not(unix))]
        tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => {}
            _ = self.keys.recv() => {}
        }
        self.keyboard.received.fetch_add(1, Ordering::Relaxed);
    }
}

/// If `watched`, resolves when stdin closes: the parent process holds the other end of the pipe,
/// which closes however the parent exits. Otherwise never resolves.
pub async fn parent_gone(watched: bool) {
    if !watched {
        std::future::pending::<()>().await;
    }
    // The process does not wait for this thread, which may block in read.
    let (closed, receiver) = tokio::sync::oneshot::channel();
    // If the thread cannot start, `closed` is dropped and this resolves: better than to outlive the
    // parent.
    let _ = std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = closed.send(());
        });
    let _ = receiver.await;
}

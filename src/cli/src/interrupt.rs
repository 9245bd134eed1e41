//! Ctrl-C, SIGTERM, and a parent that is gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests that were made by a key and that nobody has taken yet: three are all that there
/// is to ask for, more are dropped.
const PRESSED: usize = 3;

/// Requests to end, from a terminal or from a supervisor.
#[derive(Debug)]
pub struct Interrupts {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
    keys: mpsc::Receiver<()>,
    presser: Presser,
}

/// Makes requests to end, in place of a signal: a terminal in raw mode sends none for Ctrl-C.
#[derive(Clone, Debug)]
pub struct Presser {
    keys: mpsc::Sender<()>,
    taken: Arc<AtomicU32>,
}

impl Presser {
    /// Asks to end.
    pub fn press(&self) {
        // A full queue asks already.
        let _ = self.keys.try_send(());
    }

    /// How many requests were taken so far, whoever made them.
    pub fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Interrupts {
    /// From now on such a request no longer ends the process by itself.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn new() -> io::Result<Interrupts> {
        let (presser, keys) = mpsc::channel(PRESSED);
        Ok(Interrupts {
            keys,
            presser: Presser {
                keys: presser,
                taken: Arc::default(),
            },
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// What a key that asks to end is told to.
    pub fn presser(&self) -> Presser {
        self.presser.clone()
    }

    /// The next request. May be dropped and called again without losing one.
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
        self.presser.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// Resolves when stdin ends, if `watched`: a parent holds the other end of that pipe, and
/// however it dies, the pipe closes. Otherwise never.
pub async fn parent_gone(watched: bool) {
    if !watched {
        std::future::pending::<()>().await;
    }
    // A thread of its own for the blocking read, which the process's end does not wait for.
    let (gone, told) = tokio::sync::oneshot::channel();
    // Should the thread fail to start, `gone` is dropped, and this ends rather than to outlive
    // a parent unnoticed.
    let _ = std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = gone.send(());
        });
    let _ = told.await;
}

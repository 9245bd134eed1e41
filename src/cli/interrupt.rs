//! Ctrl-C, SIGTERM, and a parent that is gone.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests to end, from a terminal or from a supervisor.
#[derive(Debug)]
pub struct Interrupts {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl Interrupts {
    /// From now on such a request no longer ends the process by itself.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn new() -> io::Result<Interrupts> {
        Ok(Interrupts {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next request. May be dropped and called again without losing one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
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

//! The terminal in full-screen mode: alternate screen, raw mode, and restoring it however the view
//! ends.
//!
//! Drawing never blocks on the terminal. Frames are rendered in memory and written by a separate
//! thread; while one is being written (over a slow connection, or to a stopped terminal), further
//! frames are skipped. The node of a test may run on the thread that draws and must not be delayed.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, Once, PoisonError};

use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::queue;
use crossterm::terminal::{
    self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use crate::output;

/// Whether the terminal is in full-screen mode. Global, as the panic hook must restore the terminal
/// from any thread.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Queued frames. More would only delay the display.
const FRAMES: usize = 1;

/// Whether the full-screen view is possible: stderr, which it is drawn on, and stdout are terminals
/// that can move the cursor, and the process is in the foreground, where it can read keys.
pub fn possible(get: impl Fn(&str) -> Option<String>) -> bool {
    let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
    terminal && capable(get("TERM").as_deref()) && foreground()
}

/// Whether a terminal can move the cursor.
fn capable(term: Option<&str>) -> bool {
    cfg!(windows) || term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(unix)]
fn foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(io::stderr());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn foreground() -> bool {
    true
}

/// Buffer of a rendered frame.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut frame = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The drawing surface, of a fixed size; a change of size creates a new one. A viewport that follows
/// the size of the terminal queries the cursor position and reads the response from the key events.
type Canvas = Terminal<CrosstermBackend<Sink>>;

fn canvas(sink: &Sink, size: (u16, u16)) -> io::Result<Canvas> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
    let backend = CrosstermBackend::new(sink.clone());
    Terminal::with_options(backend, TerminalOptions { viewport })
}

/// The terminal in full-screen mode.
pub struct Tty {
    canvas: Canvas,
    sink: Sink,
    size: (u16, u16),
    writer: SyncSender<Vec<u8>>,
    /// A frame that could not be queued yet.
    pending: Option<Vec<u8>>,
}

impl Tty {
    /// Enters full-screen mode.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn open() -> io::Result<Tty> {
        restore_on_panic();
        let (writer, frames) = sync_channel::<Vec<u8>>(FRAMES);
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || frames.iter().for_each(|frame| write(&frame)))?;
        let sink = Sink::default();
        let size = terminal::size()?;
        let canvas = canvas(&sink, size)?;
        enter()?;
        Ok(Tty {
            canvas,
            sink,
            size,
            writer,
            pending: None,
        })
    }

    /// Draws a frame, unless the previous one is still being written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame)) {
        // A frame is the difference to the previous one, so a pending one must be sent first.
        if let Some(frame) = self.pending.take() {
            self.send(frame);
        }
        if self.pending.is_some() || !OPEN.load(Ordering::SeqCst) {
            return;
        }
        if terminal::size().is_ok_and(|size| size != self.size) {
            self.redraw();
        }
        // Rendering to memory does not fail.
        if self.canvas.draw(draw).is_ok() {
            let frame = self.sink.take();
            self.send(frame);
        }
    }

    fn send(&mut self, frame: Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        match self.writer.try_send(frame) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(frame)) => self.pending = Some(frame),
        }
    }

    /// Clears the screen, so that the next frame is drawn completely.
    pub fn redraw(&mut self) {
        self.size = terminal::size().unwrap_or(self.size);
        // Writing to memory does not fail.
        let _ = queue!(self.sink, Clear(ClearType::All));
        if let Ok(canvas) = canvas(&self.sink, self.size) {
            self.canvas = canvas;
        }
    }

    /// Suspends the process until it receives SIGCONT.
    #[cfg(unix)]
    pub fn suspend(&mut self) {
        leave();
        let me = rustix::process::getpid();
        // On an error the process simply continues.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::TSTP);
        self.reenter();
    }

    /// Not supported on this system.
    #[cfg(not(unix))]
    pub fn suspend(&mut self) {}

    /// Enters full-screen mode again after the process was suspended.
    pub fn reenter(&mut self) {
        if enter().is_ok() {
            self.redraw();
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    // Before stderr is locked: a thread that logs may hold the buffer and wait for stderr.
    output::start_buffering();
    let mut stderr = io::stderr().lock();
    OPEN.store(true, Ordering::SeqCst);
    execute!(stderr, EnterAlternateScreen, Hide)
}

/// Leaves full-screen mode, if it is active, and prints the buffered lines.
fn leave() {
    {
        // Frames are written under this lock, so none follows.
        let mut stderr = io::stderr().lock();
        if !OPEN.swap(false, Ordering::SeqCst) {
            return;
        }
        // An error cannot be reported if the terminal is gone.
        let _ = execute!(stderr, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
    output::flush_buffered();
}

fn write(frame: &[u8]) {
    let mut stderr = io::stderr().lock();
    if OPEN.load(Ordering::SeqCst) {
        // A closed terminal is detected where keys are read.
        let _ = stderr.write_all(frame).and_then(|()| stderr.flush());
    }
}

/// Leaves full-screen mode before a panic message is printed.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_cannot_move_its_cursor_is_not_capable() {
        assert!(capable(Some("xterm-256color")));
        assert!(!capable(Some("dumb")) || cfg!(windows));
        assert!(!capable(Some("")) || cfg!(windows));
        assert!(!capable(None) || cfg!(windows));
    }
}

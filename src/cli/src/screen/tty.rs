//! The terminal while the view has it: the alternate screen, raw mode, and the way back, which
//! is found however the view ends.
//!
//! Drawing never waits for the terminal. A frame is made in memory and written by a thread of
//! its own; while one is still being written (a slow line, a terminal that is stopped) the
//! next ones are left out. The node of a test may live on the thread that draws, and must
//! not stand still because nobody reads.

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

/// The view has the terminal. A process has one terminal, and a panic anywhere in it must find
/// the way back.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Frames that wait to be written: one. Later ones would only be late.
const FRAMES: usize = 1;

/// Whether there is a terminal that the view can have: stderr to draw on, stdout for what
/// comes after, both the same to whoever looks; and this process in its foreground, where it
/// may read keys.
pub fn possible(get: impl Fn(&str) -> Option<String>) -> bool {
    let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
    terminal && capable(get("TERM").as_deref()) && foreground()
}

/// A terminal that can move its cursor.
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

/// A frame in the making.
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

/// What is drawn on: of a fixed size, made anew with every other one. A canvas that follows
/// the terminal's size by itself asks the terminal where its cursor is, and takes the answer
/// from among the keys.
type Canvas = Terminal<CrosstermBackend<Sink>>;

fn canvas(sink: &Sink, size: (u16, u16)) -> io::Result<Canvas> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.0, size.1));
    let backend = CrosstermBackend::new(sink.clone());
    Terminal::with_options(backend, TerminalOptions { viewport })
}

/// The terminal, as long as the view has it.
pub struct Tty {
    canvas: Canvas,
    sink: Sink,
    size: (u16, u16),
    writer: SyncSender<Vec<u8>>,
    /// A frame that found the writer busy.
    kept: Option<Vec<u8>>,
}

impl Tty {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It can't be had.
    pub fn open() -> io::Result<Tty> {
        back_on_panic();
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
            kept: None,
        })
    }

    /// Draws, unless the frame before is still being written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame)) {
        // A frame is the difference to the one before, so none may be lost.
        if let Some(kept) = self.kept.take() {
            self.send(kept);
        }
        if self.kept.is_some() || !OPEN.load(Ordering::SeqCst) {
            return;
        }
        if terminal::size().is_ok_and(|size| size != self.size) {
            self.anew();
        }
        // It is made in memory, which takes everything.
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
            Err(TrySendError::Full(frame)) => self.kept = Some(frame),
        }
    }

    /// The next frame is drawn whole.
    pub fn anew(&mut self) {
        self.size = terminal::size().unwrap_or(self.size);
        // Memory takes everything.
        let _ = queue!(self.sink, Clear(ClearType::All));
        if let Ok(canvas) = canvas(&self.sink, self.size) {
            self.canvas = canvas;
        }
    }

    /// Hands the terminal to the shell until the process is told to go on.
    #[cfg(unix)]
    pub fn suspend(&mut self) {
        leave();
        let me = rustix::process::getpid();
        // If it can't be stopped, it goes on.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::TSTP);
        self.back();
    }

    /// There is no such thing here.
    #[cfg(not(unix))]
    pub fn suspend(&mut self) {}

    /// Takes the terminal again after the process stood still.
    pub fn back(&mut self) {
        if enter().is_ok() {
            self.anew();
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
    // Before stderr is locked: a thread that logs may have what this takes, and wait for stderr.
    output::hold();
    let mut stderr = io::stderr().lock();
    OPEN.store(true, Ordering::SeqCst);
    execute!(stderr, EnterAlternateScreen, Hide)
}

/// Gives the terminal back as it was, and prints what waited for it. Does nothing if that has
/// been done.
fn leave() {
    {
        // Whoever writes a frame has this lock, so none comes later.
        let mut stderr = io::stderr().lock();
        if !OPEN.swap(false, Ordering::SeqCst) {
            return;
        }
        // There is nobody to tell if the terminal is gone.
        let _ = execute!(stderr, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
    output::release();
}

fn write(frame: &[u8]) {
    let mut stderr = io::stderr().lock();
    if OPEN.load(Ordering::SeqCst) {
        // A terminal that is gone reads nothing, and says so elsewhere.
        let _ = stderr.write_all(frame).and_then(|()| stderr.flush());
    }
}

/// What a panic says is to be read on the page, not on a screen that vanishes.
fn back_on_panic() {
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
    fn a_terminal_that_cannot_move_its_cursor_is_none_for_the_view() {
        assert!(capable(Some("xterm-256color")));
        assert!(!capable(Some("dumb")) || cfg!(windows));
        assert!(!capable(Some("")) || cfg!(windows));
        assert!(!capable(None) || cfg!(windows));
    }
}

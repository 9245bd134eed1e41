//! The full-screen view of a test; progress lines without a terminal.
//!
//! [`model`] is the data, [`draw`] renders it, and [`tty`] controls the terminal. This module
//! connects them: it follows the test, polls the node for what progress lacks, and handles keys, all
//! on one thread.
//!
//! | module | content |
//! |---|---|
//! | [`model`], [`history`], [`nodes`], [`stages`] | the data: test, samples over time, nodes, plan |
//! | [`draw`], [`head`], [`charts`], [`numbers`], [`lists`], [`compact`], [`panel`] | rendering |
//! | [`palette`], [`scale`] | styles, axes |
//! | [`keys`], [`tty`] | the terminal |

pub mod charts;
pub mod compact;
pub mod draw;
#[cfg(test)]
mod fakes;
pub mod head;
pub mod history;
pub mod keys;
pub mod lists;
pub mod model;
pub mod nodes;
pub mod numbers;
pub mod palette;
pub mod panel;
pub mod scale;
pub mod stages;
#[cfg(test)]
mod tests;
pub mod tty;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crossterm::event::EventStream;
use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;

use super::backend::Backend;
use super::exit::Failure;
use super::follow::{self, Followed, OnInterrupt};
use super::interrupt::{Interrupts, KeyInterrupts};
use super::output;
use super::terminal::ProgressLine;
use keys::Action;
use model::{Model, Role};
use palette::Palette;
use tty::Tty;
use vajra_core::protocol::messages::TestState;
use vajra_report::text;
use vajra_results::Update;
use vajra_runtime::handle::LoadRequest;

/// Interval of frames: smooth enough for a running clock, at negligible cost.
const FRAME: Duration = Duration::from_millis(250);
/// Polling interval of the result and the nodes. For each result the node merges the histograms of
/// all workers.
const POLL: Duration = Duration::from_secs(2);
/// Number of intervals that are requested for the time before the view was opened: as many as a wide
/// terminal has dots in a row.
const POINTS: usize = 400;

/// Follows a test to its end, in the full-screen view, or with progress lines if `plain` is set or
/// the view is not possible.
///
/// # Errors
/// As [`follow::follow`].
pub async fn follow(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    plain: bool,
) -> Result<Followed, Failure> {
    let get = |name: &str| std::env::var(name).ok();
    if !plain && tty::possible(get) && !ended(backend, id).await {
        // If the terminal refuses, progress lines are still possible.
        if let Ok(tty) = Tty::open() {
            return full_screen(backend, id, interrupts, on_interrupt, tty).await;
        }
    }
    let mut progress = ProgressLine::on_stderr();
    follow::follow(backend, id, interrupts, on_interrupt, |p| {
        progress.show(&text::progress(p));
        Ok(())
    })
    .await
}

/// Whether the test has ended.
async fn ended(backend: &Backend, id: &str) -> bool {
    let status = backend.status(id).await;
    status.is_ok_and(|result| result.state == TestState::Ended)
}

/// Shows the view. The terminal is restored when the future completes or is dropped.
async fn full_screen(
    backend: &Backend,
    id: &str,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    tty: Tty,
) -> Result<Followed, Failure> {
    let role = match on_interrupt {
        OnInterrupt::StopTest => Role::Owner,
        OnInterrupt::Leave => Role::Watcher,
    };
    let view = View {
        backend,
        id,
        model: RefCell::new(Model::new(id, role)),
        opened: Instant::now(),
        keyboard: interrupts.keyboard(),
        interrupts_before: interrupts.keyboard().received(),
        palette: Palette::of(|name| std::env::var(name).ok()),
    };
    let followed = follow::follow_all(backend, id, interrupts, on_interrupt, |update| {
        view.update(update);
        Ok(())
    });
    tokio::select! {
        followed = followed => followed,
        never = view.poll() => match never {},
        never = view.run(tty) => match never {},
    }
}

type Response<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>>;

/// An open view.
struct View<'a> {
    backend: &'a Backend,
    id: &'a str,
    /// Updated from several futures of one thread, never borrowed across an await.
    model: RefCell<Model>,
    opened: Instant,
    keyboard: KeyInterrupts,
    interrupts_before: u32,
    palette: Palette,
}

impl View<'_> {
    fn update(&self, update: &Update) {
        let mut model = self.model.borrow_mut();
        model.tick(self.opened.elapsed());
        match update {
            Update::Progress(p) => model.progress(p),
            Update::Point(p) => model.point(p),
        }
    }

    /// Polls what progress lacks: timeline, nodes and result. Errors are ignored here, as `follow`
    /// detects a node that no longer answers.
    async fn poll(&self) -> Infallible {
        if let Ok(timeline) = self.backend.timeline(self.id, POINTS, false).await {
            self.model.borrow_mut().timeline(&timeline);
        }
        loop {
            if let Ok(nodes) = self.backend.nodes().await {
                self.model.borrow_mut().set_nodes(nodes);
            }
            if let Ok(result) = self.backend.status(self.id).await {
                let mut model = self.model.borrow_mut();
                model.tick(self.opened.elapsed());
                model.result(result);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Draws frames and handles keys.
    async fn run(&self, mut tty: Tty) -> Infallible {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = EventStream::new();
        let mut reading = true;
        let mut continued = ContinueSignal::new();
        let mut response: Option<Response> = None;
        loop {
            tokio::select! {
                _ = frames.tick() => {}
                () = continued.next() => tty.reenter(),
                text = async { match &mut response {
                    Some(response) => response.await,
                    None => std::future::pending().await,
                } } => {
                    response = None;
                    let text = text.unwrap_or_else(|failure| failure.message);
                    self.model.borrow_mut().notify(&text);
                }
                event = events.next(), if reading => match event {
                    Some(Ok(event)) => {
                        let help = self.model.borrow().help;
                        if let Some(action) = keys::action(&event, help) {
                            self.act(action, &mut tty, &mut response);
                        }
                    }
                    // Without key events, signals still work.
                    _ => reading = false,
                },
            }
            let mut model = self.model.borrow_mut();
            model.tick(self.opened.elapsed());
            model.stop_requests = self.keyboard.received() - self.interrupts_before;
            if let Some(line) = output::last_buffered() {
                model.logged(&line);
            }
            tty.draw(|frame| draw::draw(frame, &model, &self.palette));
        }
    }

    fn act<'b>(&'b self, action: Action, tty: &mut Tty, response: &mut Option<Response<'b>>) {
        let mut model = self.model.borrow_mut();
        let owner = model.role == Role::Owner;
        match action {
            Action::End => self.keyboard.send(),
            Action::Help => model.help = !model.help,
            Action::Zoom => model.span = Some(charts::other_span(&model)),
            Action::Redraw => tty.redraw(),
            Action::Suspend => tty.suspend(),
            Action::Pause | Action::Resume if owner && response.is_none() => {
                let how = match action {
                    Action::Pause => LoadRequest::Pause,
                    _ => LoadRequest::Resume,
                };
                model.notify(match how {
                    LoadRequest::Pause => "pausing …",
                    _ => "resuming …",
                });
                *response = Some(Box::pin(self.change_load(how)));
            }
            Action::Pause | Action::Resume => {}
        }
    }

    async fn change_load(&self, how: LoadRequest) -> Result<String, Failure> {
        let at = self.backend.change_load(self.id, how).await?;
        Ok(match how {
            LoadRequest::Pause => format!("paused at {at:.1} s; r resumes"),
            _ => format!("resumed at {at:.1} s"),
        })
    }
}

/// Receives SIGCONT, after which the shell has changed the terminal.
struct ContinueSignal {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl ContinueSignal {
    fn new() -> ContinueSignal {
        ContinueSignal {
            #[cfg(unix)]
            signal: {
                use tokio::signal::unix::{SignalKind, signal};
                let number = rustix::process::Signal::CONT.as_raw();
                signal(SignalKind::from_raw(number)).ok()
            },
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

//! The full-screen view of one test, on a terminal; lines of progress anywhere else.
//!
//! [`model`] holds what is known, and is fed; [`draw`] makes a picture of it, and knows
//! nothing else; [`tty`] has the terminal. This module brings them together: it follows the
//! test, asks for what progress does not tell, and reads keys, all on one thread.
//!
//! | module | idea |
//! |---|---|
//! | [`model`], [`history`], [`crew`], [`stages`] | what is known of the test, its time, its nodes, its plan |
//! | [`draw`], [`head`], [`charts`], [`numbers`], [`lists`], [`compact`] | the picture |
//! | [`palette`], [`scale`] | colours, axes |
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
use super::interrupt::{Interrupts, Presser};
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

/// Between two frames: often enough for a clock that runs, seldom enough to cost nothing.
const FRAME: Duration = Duration::from_millis(250);
/// Between two looks at the result and the nodes. A result costs the node the merging of all
/// workers' histograms.
const LOOK: Duration = Duration::from_secs(2);
/// Intervals asked for of the time before the view was opened: as many as a wide terminal has
/// dots across.
const POINTS: usize = 400;

/// Follows a test to its end: on a terminal in the full-screen view, elsewhere, or if `plain`
/// is asked for, with lines of progress.
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
        // A terminal that refuses still takes lines.
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

/// There is nothing to follow any more.
async fn ended(backend: &Backend, id: &str) -> bool {
    let status = backend.status(id).await;
    status.is_ok_and(|result| result.state == TestState::Ended)
}

/// The terminal is given back when this is done, or dropped.
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
        presser: interrupts.presser(),
        taken_before: interrupts.presser().taken(),
        palette: Palette::of(|name| std::env::var(name).ok()),
    };
    let followed = follow::follow_all(backend, id, interrupts, on_interrupt, |told| {
        view.told(told);
        Ok(())
    });
    tokio::select! {
        followed = followed => followed,
        never = view.look() => match never {},
        never = view.show(tty) => match never {},
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>>;

/// An open view.
struct View<'a> {
    backend: &'a Backend,
    id: &'a str,
    /// Fed from several sides, all on one thread and never across an await.
    model: RefCell<Model>,
    opened: Instant,
    presser: Presser,
    taken_before: u32,
    palette: Palette,
}

impl View<'_> {
    fn told(&self, told: &Update) {
        let mut model = self.model.borrow_mut();
        model.tick(self.opened.elapsed());
        match told {
            Update::Progress(p) => model.progress(p),
            Update::Point(p) => model.point(p),
        }
    }

    /// Asks for what nobody tells by himself. A question that fails is asked again: whether
    /// the node is gone is for whoever follows the test to say.
    async fn look(&self) -> Infallible {
        if let Ok(timeline) = self.backend.timeline(self.id, POINTS, false).await {
            self.model.borrow_mut().timeline(&timeline);
        }
        loop {
            if let Ok(nodes) = self.backend.nodes().await {
                self.model.borrow_mut().nodes(nodes);
            }
            if let Ok(result) = self.backend.status(self.id).await {
                let mut model = self.model.borrow_mut();
                model.tick(self.opened.elapsed());
                model.result(result);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Draws, and does what keys ask for.
    async fn show(&self, mut tty: Tty) -> Infallible {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = EventStream::new();
        let mut reading = true;
        let mut going_on = GoingOn::new();
        let mut answer: Option<Answer> = None;
        loop {
            tokio::select! {
                _ = frames.tick() => {}
                () = going_on.next() => tty.back(),
                said = async { match &mut answer {
                    Some(answer) => answer.await,
                    None => std::future::pending().await,
                } } => {
                    answer = None;
                    let said = said.unwrap_or_else(|failure| failure.message);
                    self.model.borrow_mut().say(&said);
                }
                event = events.next(), if reading => match event {
                    Some(Ok(event)) => {
                        let help = self.model.borrow().help;
                        if let Some(action) = keys::action(&event, help) {
                            self.act(action, &mut tty, &mut answer);
                        }
                    }
                    // Without a keyboard there are still signals.
                    _ => reading = false,
                },
            }
            let mut model = self.model.borrow_mut();
            model.tick(self.opened.elapsed());
            model.asked_to_stop = self.presser.taken() - self.taken_before;
            if let Some(line) = output::last_held() {
                model.logged(&line);
            }
            tty.draw(|frame| draw::draw(frame, &model, &self.palette));
        }
    }

    fn act<'b>(&'b self, action: Action, tty: &mut Tty, answer: &mut Option<Answer<'b>>) {
        let mut model = self.model.borrow_mut();
        let owner = model.role == Role::Owner;
        match action {
            Action::End => self.presser.press(),
            Action::Help => model.help = !model.help,
            Action::Zoom => model.span = Some(charts::other_span(&model)),
            Action::Redraw => tty.anew(),
            Action::Suspend => tty.suspend(),
            Action::Pause | Action::Resume if owner && answer.is_none() => {
                let how = match action {
                    Action::Pause => LoadRequest::Pause,
                    _ => LoadRequest::Resume,
                };
                model.say("asking the swarm …");
                *answer = Some(Box::pin(self.steer(how)));
            }
            Action::Pause | Action::Resume => {}
        }
    }

    async fn steer(&self, how: LoadRequest) -> Result<String, Failure> {
        let at = self.backend.steer(self.id, how).await?;
        Ok(match how {
            LoadRequest::Pause => format!("paused at {at:.1} s; r resumes"),
            _ => format!("goes on from {at:.1} s"),
        })
    }
}

/// Tells when the process goes on after it was stopped (SIGCONT): the shell has used the
/// terminal meanwhile.
struct GoingOn {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl GoingOn {
    fn new() -> GoingOn {
        GoingOn {
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

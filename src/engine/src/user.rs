//! A virtual user of the closed model.

use std::cell::Cell;

use super::session_slot::SessionSlot;

/// [`User::next_call`] of a user that is not scheduled.
pub const NOT_SCHEDULED: i64 = i64::MAX;

/// A virtual user.
#[derive(Debug)]
pub struct User {
    /// Number of the user in the plan.
    pub number: u32,
    /// Index in the thread's list of users.
    pub index: usize,
    /// Iterations that it has started.
    pub iterations: Cell<u32>,
    /// Time of its entry in the schedule that counts; earlier entries are obsolete.
    pub next_call: Cell<i64>,
    /// Why it does or does not send.
    pub state: Cell<UserState>,
    /// It has an iteration in progress.
    pub busy: Cell<bool>,
    /// It was removed from the share and finishes its iteration: the key of its slots in
    /// [`super::held::Holdings`].
    pub draining: Cell<Option<u64>>,
    /// Its session was interrupted, and is not closed yet.
    pub interrupted: Cell<bool>,
}

/// Why a user does or does not send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserState {
    /// Its first request was not scheduled yet.
    New,
    /// It sends requests.
    Active,
    /// It waits for a lease; the gap in the lease was counted.
    WithoutLease,
    /// It waits for a number of a request.
    WithoutNumber,
    /// It waits until the profile includes it.
    Excluded {
        /// The current gap in the lease was counted.
        gap_counted: bool,
    },
}

impl UserState {
    /// Whether the current gap in the lease was counted.
    pub fn gap_counted(self) -> bool {
        match self {
            UserState::New | UserState::Active | UserState::WithoutNumber => false,
            UserState::WithoutLease => true,
            UserState::Excluded { gap_counted } => gap_counted,
        }
    }
}

/// A user's session slot.
pub type UserSlot = SessionSlot<User>;

impl User {
    /// A user that has not sent anything.
    pub fn new(number: u32, index: usize, iterations: u32) -> User {
        User {
            number,
            index,
            iterations: Cell::new(iterations),
            next_call: Cell::new(NOT_SCHEDULED),
            state: Cell::new(UserState::New),
            busy: Cell::new(false),
            draining: Cell::new(None),
            interrupted: Cell::new(false),
        }
    }
}

//! Limits how many tests run at the same time.

use std::sync::{Condvar, Mutex};

/// Permit to run a test. Only two run at a time: on two cores, more would disturb each other.
pub struct Permit;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

impl Permit {
    pub fn acquire() -> Permit {
        let running = RUNNING.lock().unwrap();
        let mut running = FREE.wait_while(running, |n| *n >= 2).unwrap();
        *running += 1;
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap() -= 1;
        FREE.notify_one();
    }
}

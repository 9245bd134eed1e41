//! Pauses and timeouts of repeated requests.

use std::time::Duration;

/// Size in bytes above which a plan is sent less often.
const LARGE_PLAN: usize = 16 * 1024;

/// How often a request is repeated, and when the work fails.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Time between two attempts.
    pub pause: Duration,
    /// Longest time without progress.
    pub max_idle: Duration,
    /// Longest time in total.
    pub max_total: Duration,
}

impl RetryPolicy {
    /// Of a data file. An attempt is a request to each source.
    pub const FETCH: RetryPolicy = RetryPolicy {
        pause: Duration::from_millis(500),
        // More than the timeout of a part.
        max_idle: Duration::from_secs(35),
        max_total: Duration::from_secs(600),
    };

    /// Of a plan of this size in bytes, sent to this number of nodes: at most 200 requests per
    /// second.
    pub fn distribute(nodes: usize, plan: usize) -> RetryPolicy {
        let pause = match plan > LARGE_PLAN {
            true => Duration::from_secs(2),
            false => Duration::from_millis(200),
        };
        RetryPolicy {
            pause: pause.max(Duration::from_millis(5) * nodes as u32),
            max_idle: Duration::from_secs(15),
            max_total: Duration::from_secs(300),
        }
    }
}

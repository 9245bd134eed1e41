//! In steady state the engine allocates no memory per request: verified with a counting allocator
//! in a process that runs only the engine's threads.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{TIMEOUT, Target, pause_for};
use hdrhistogram::Histogram;
use vajra_engine::{LeaseClock, LoadRun, LoadSpec};
use vajra_plan::{HttpTask, Load, Plan, Slots, Task};
use vajra_task::{TaskContext, TestOrigin};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is forwarded unchanged to the system allocator, and its result is returned;
// the counter accesses none of that memory.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations in one second of steady load, and requests sent in about the same second.
async fn steady_state(plan: Plan) -> (u64, u64) {
    plan.validate().unwrap();
    let clock = LeaseClock::new();
    let context = Arc::new(TaskContext::default());
    let task = vajra_tasks::prepare_blocking(&plan.task, &context, TestOrigin::ThisNode);
    let task = task.unwrap();
    let run = LoadRun::prepare(LoadSpec {
        plan: Arc::new(plan),
        threads: 1,
        clock,
        preparation: Box::new(move || task.clone().into_host()),
        histogram: Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap(),
        dump: None,
        finished: Box::new(|| {}),
        held_changed: Box::new(|| {}),
    })
    .unwrap();
    let now = clock.now();
    run.set_lease(now.plus_ns(60_000_000_000));
    run.set_start(now.plus_ns(10_000_000));
    run.set_share(1, Slots::whole(), Duration::ZERO);
    let sent = async || run.snapshot().await.steps[0].counters.sent;
    // Until then, connections are opened and queues grow to their size.
    let started = Instant::now();
    while sent().await < 2_000 {
        assert!(started.elapsed() < TIMEOUT, "no steady load");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let first = sent().await;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    // Waiting for a number of requests would need snapshots, which allocate.
    pause_for(Duration::from_secs(1));
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    (allocated, sent().await - first)
}

#[tokio::test]
async fn no_allocation_per_request_in_steady_state() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let task = || Task::Http(HttpTask::get(&target.url));
    let minute = Duration::from_secs(60);
    // Without a fixed number of connections, slow responses on a busy machine open more of them.
    let open = Load {
        connections: Some(8),
        ..Load::open(1_000.0, minute)
    };
    for load in [Load::closed(8, minute), open] {
        let (allocated, sent) = steady_state(Plan::new(task(), load)).await;
        assert!(sent >= 500, "{sent} requests are too few for a conclusion");
        // One allocation per request would be `sent` allocations; queues that grow after a stall of
        // the machine cause a few.
        assert!(
            allocated * 20 < sent,
            "{allocated} allocations for {sent} requests"
        );
    }
}

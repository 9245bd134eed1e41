//! In steady state the engine allocates nothing for a request: shown by an allocator that
//! counts, in a process where nothing else runs but the engine's threads.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Target;
use hdrhistogram::Histogram;
use vajra_engine::{LeaseClock, LeaseInstant, LoadRun, LoadSpec};
use vajra_plan::{HttpTask, Load, Plan, SlotRange, Task};
use vajra_task::{TaskContext, TestOrigin};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came, and its answer back; the
// counter beside it touches no memory of theirs.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller guarantees.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations in a second in the middle of the load, and requests sent from a little after
/// its beginning to a little after its end.
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
    })
    .unwrap();
    let now = clock.now();
    run.set_lease(LeaseInstant(now.0 + 60_000_000_000));
    run.set_start(LeaseInstant(now.0 + 10_000_000));
    run.set_share(SlotRange::WHOLE);
    let sent = async || run.snapshot().await.steps[0].counters.sent;
    // Connections are opened and queues grow to their size.
    while sent().await < 2_000 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let first = sent().await;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(1));
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    (allocated, sent().await - first)
}

#[tokio::test]
async fn no_allocation_for_a_request_in_steady_state() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::start(dir.path(), &[]);
    let task = || Task::Http(HttpTask::get(&target.url));
    let minute = Duration::from_secs(60);
    // Without a number of connections a busy machine, late with responses, opens more of them.
    let open = Load {
        connections: Some(8),
        ..Load::open(1_000.0, minute)
    };
    for load in [Load::closed(8, minute), open] {
        let (allocated, sent) = steady_state(Plan::new(task(), load)).await;
        assert!(sent >= 500, "{sent} requests are too few to tell");
        // One for a request would be as many as these; a queue that grows when the machine had
        // no time for a while makes a few.
        assert!(
            allocated * 20 < sent,
            "{allocated} allocations for {sent} requests"
        );
    }
}

//! The limits of received messages. Lengths are in bytes.

use std::ops::RangeInclusive;
use std::time::Duration;

use vajra_core::metrics::{self, TimeKind};
use vajra_core::protocol::{coordinator, log, node, numbers, rendezvous, spec};

/// Longest gossip message. Gossipsub's frame limit is 64 KiB and includes the signature and
/// the author's key; an oversized frame closes the receiver's stream.
pub const MAX_GOSSIP: usize = 48 * 1024;
/// Longest request or reply of the control protocol, for all but large messages.
pub const MAX_CONTROL: usize = 64 * 1024;
/// Longest request or reply of the bulk protocol: [`MAX_CHUNK`] and its envelope.
pub const MAX_BULK: usize = MAX_CHUNK + 64 * 1024;
/// Largest payload of a bulk message: a whole plan, a page of snapshots, or a part of a data file or
/// record.
pub const MAX_CHUNK: usize = 1024 * 1024;

/// Largest data file.
pub const MAX_BLOB: u64 = vajra_plan::MAX_DATA_FILE;
/// Largest total size of the data files of a plan.
pub const MAX_DATA: u64 = vajra_plan::MAX_DATA_OF_PLAN;
/// Largest record. A result has 10 to 100 KB, the timeline of a test with a hundred workers and all
/// its histograms about 10 MiB.
pub const MAX_RECORD: u64 = 16 << 20;
/// Longest plan.
pub const MAX_PLAN: usize = 1024 * 1024;
/// Longest plan that its announcement contains; longer ones are fetched.
pub const MAX_INLINE_PLAN: usize = node::MAX_INLINE_PLAN;

/// Longest peer id; a libp2p `PeerId` has at most 42 bytes.
pub const MAX_PEER: usize = vajra_core::protocol::Peer::MAX_LEN;
/// Longest name of a node; a DNS host name has at most 253 bytes.
pub const MAX_NAME: usize = 255;
/// Longest name of a plan or step: 100 characters of at most 4 bytes.
pub const MAX_PLAN_NAME: usize = 400;
/// Longest version.
pub const MAX_VERSION: usize = 64;
/// Longest description of a machine: a few words and numbers.
pub const MAX_ENVIRONMENT: usize = 200;
/// Longest displayed message, reason or event text: a few lines in a terminal.
pub const MAX_TEXT: usize = 1024;
/// Longest keyword: the kind of an event or error.
pub const MAX_WORD: usize = 32;
/// Longest message of an error in the metrics.
pub const MAX_ERROR_MESSAGE: usize = 200;

/// Most listen addresses in an advert: those of a few interfaces, in both address families.
pub const MAX_ADDRESSES: usize = 16;
/// Longest multiaddress: a host name of 253 bytes, protocols and a peer id.
pub const MAX_ADDRESS: usize = 384;
/// Most task types of a node, several times those that exist.
pub const MAX_TASK_TYPES: usize = 16;
/// Longest name of a task type.
pub const MAX_TASK_TYPE: usize = 32;
/// Most labels of a node, so that an advert with the longest ones stays below [`MAX_GOSSIP`].
pub const MAX_LABELS: usize = 32;
/// Longest key of a label or parameter.
pub const MAX_KEY: usize = 64;
/// Longest value of a label.
pub const MAX_LABEL: usize = 256;
/// Most parameters of a task description.
pub const MAX_PARAMETERS: usize = 32;
/// Longest value of a parameter, usually a URL.
pub const MAX_PARAMETER: usize = 1024;
/// Most running tests in an advert.
pub const MAX_KNOWN_TESTS: usize = node::MAX_LIVE_TESTS;

/// Most electors of a test.
pub const MAX_ELECTORS: usize = rendezvous::MAX_ELECTORS;
/// Slots of a whole profile, which is the largest share.
pub const MAX_SLOTS: u32 = spec::SLOTS;
/// Most intervals of a share.
pub const MAX_INTERVALS: usize = vajra_core::MAX_INTERVALS;
/// Most intervals of all slots that a worker may act on: several shares.
pub const MAX_HELD_INTERVALS: usize = vajra_core::MAX_HELD_INTERVALS;
/// Most intervals of a worker in an allocation: what it may hold, and orders that it has not
/// applied.
pub const MAX_ENTRY_INTERVALS: usize = 4 * MAX_HELD_INTERVALS;
/// Most intervals of request numbers.
pub const MAX_NUMBER_INTERVALS: usize = numbers::MAX_INTERVALS;
/// Most workers of an allocation.
pub const MAX_ENTRIES: usize = spec::MAX_WORKERS;
/// Largest capacity, load or concurrency: ten times the most users of a plan.
pub const MAX_TASKS: u32 = 10_000_000;
/// Highest target rate in thousandths of an arrival per second: the highest rate of a plan.
pub const MAX_RATE_MILLI: u64 = 1_000_000_000;
/// Largest term and largest number of a beat, heartbeat, order or snapshot, so that a receiver can
/// increment it without overflow.
pub const MAX_NUMBER: u64 = 1 << 62;
/// Longest duration. Profiles take at most three days, and sums of a few durations do not overflow.
pub const MAX_SPAN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Latest clock reading in nanoseconds: 146 years after the origin, so that sums and differences of
/// two readings fit 64 bits.
pub const MAX_CLOCK_NS: u64 = 1 << 62;
/// Latest Unix time in milliseconds: the largest integer that all JSON readers represent exactly.
pub const MAX_UNIX_MS: u64 = 1 << 53;

/// Most checks of a pre-flight check: one per origin of a plan, and a few more.
pub const MAX_CHECKS: usize = 64;
/// Longest subject of a check: a host name of 253 bytes and a port.
pub const MAX_SUBJECT: usize = 300;

/// Most workers in the roster of an ended test; more do not fit a gossip message.
pub const MAX_ROSTER: usize = 1024;
/// Most events of an ended test.
pub const MAX_EVENTS: usize = coordinator::MAX_EVENTS;
/// Most events in a beat.
pub const MAX_BEAT_EVENTS: usize = coordinator::MAX_EVENTS_PER_BEAT;

/// Most log entries of a test.
pub const MAX_LOG_ENTRIES: usize = log::MAX_ENTRIES;
/// Longest values of a setup hook, as JSON.
pub const MAX_VALUES: usize = log::MAX_VALUES;

/// Most steps of a plan.
pub const MAX_STEPS: usize = 64;
/// Most pieces of a snapshot: the counters, and three histograms per step.
pub const MAX_PIECES: usize = 1 + TimeKind::ALL.len() * MAX_STEPS;
/// Most snapshots in a reply: a thousand workers without much load take four pages.
pub const MAX_SNAPSHOTS: usize = 256;
/// Most histograms in a reply. Checking one takes up to a millisecond.
pub const MAX_PAGE_HISTOGRAMS: usize = 1024;
/// Largest counter, so that the sum over 16,000 workers fits 64 bits. 2^50 bytes are a day at
/// 100 Gbit/s.
pub const MAX_COUNT: u64 = 1 << 50;
/// Most errors of a step: the distinct ones, and for each kind the sum of its other errors.
pub const MAX_STEP_ERRORS: usize = metrics::MAX_ERRORS + 16;
/// HTTP status codes that are counted: all three-digit numbers, since some servers send codes such
/// as 999.
pub const STATUS_CODES: RangeInclusive<u16> = 100..=999;
/// Most engine threads of a worker, above the cores of any machine.
pub const MAX_THREADS: u32 = 4096;

/// Length of the counts array of a histogram in the configuration used by Vajra.
pub const HISTOGRAM_COUNTS: usize = 23_552;
/// Length of the header in the V2 encoding of HdrHistogram.
pub const HISTOGRAM_HEADER: usize = 40;
/// Longest inflated histogram. An entry takes at most nine bytes.
pub const MAX_INFLATED: usize = HISTOGRAM_HEADER + 9 * HISTOGRAM_COUNTS;
/// Longest encoded histogram. Deflate adds a few bytes per block to incompressible data.
pub const MAX_HISTOGRAM: usize = MAX_INFLATED + 1024;

/// Most nested messages in one message. An empty one takes two bytes when encoded and up to 400 in
/// memory, so that otherwise 1 MiB could become 200 MiB.
pub const MAX_NESTED: usize = 24 * 1024;

//! Every limit on what others send. Lengths of texts are in bytes.

use std::ops::RangeInclusive;
use std::time::Duration;

use vajra_core::metrics::{self, TimeKind};
use vajra_core::protocol::{coordinator, log, node, rendezvous, spec};

/// Longest gossip message. Gossipsub's frame limit is 64 KiB and includes the signature and
/// the author's key; an oversized frame closes the receiver's stream.
pub const MAX_GOSSIP: usize = 48 * 1024;
/// Longest request or reply of the control behaviour: everything but the next constant's.
pub const MAX_CONTROL: usize = 64 * 1024;
/// Longest request or reply of the bulk behaviour: [`MAX_CHUNK`] and its envelope.
pub const MAX_BULK: usize = MAX_CHUNK + 64 * 1024;
/// Most payload in one bulk message: a whole plan, a page of snapshots, or a part of a data
/// file or record.
pub const MAX_CHUNK: usize = 1024 * 1024;

/// Largest data file.
pub const MAX_BLOB: u64 = vajra_plan::MAX_DATA_FILE;
/// Largest number of bytes of all data files of a plan.
pub const MAX_DATA: u64 = vajra_plan::MAX_DATA_OF_PLAN;
/// Longest record. A result has 10 to 100 KB; a test over time with all its histograms, and a
/// hundred workers, some 10 MiB.
pub const MAX_RECORD: u64 = 16 << 20;
/// Longest plan.
pub const MAX_PLAN: usize = 1024 * 1024;
/// Longest plan that rides along with its announcement; longer ones are fetched.
pub const MAX_INLINE_PLAN: usize = node::MAX_INLINE_PLAN;

/// Longest name of a peer; a libp2p `PeerId` has at most 42.
pub const MAX_PEER: usize = vajra_core::protocol::Peer::MAX_LEN;
/// Longest name of a node: a DNS host name has at most 253.
pub const MAX_NAME: usize = 255;
/// Longest name of a plan or step: 100 characters of at most 4 bytes.
pub const MAX_PLAN_NAME: usize = 400;
/// Longest version.
pub const MAX_VERSION: usize = 64;
/// Longest description of a machine: a few words and numbers.
pub const MAX_ENVIRONMENT: usize = 200;
/// Longest message, reason or event text for people: a few lines in a terminal.
pub const MAX_TEXT: usize = 1024;
/// Longest fixed word: the kind of an event or error.
pub const MAX_WORD: usize = 32;
/// Longest message of a counted error.
pub const MAX_ERROR_MESSAGE: usize = 200;

/// Most listen addresses in an advert: a few interfaces, two families.
pub const MAX_ADDRESSES: usize = 16;
/// Longest multiaddress: a host name of 253, and protocols and peer id around it.
pub const MAX_ADDRESS: usize = 384;
/// Most task types of a node.
pub const MAX_TASK_TYPES: usize = 16;
/// Longest name of a task type.
pub const MAX_TASK_TYPE: usize = 32;
/// Most labels of a node.
pub const MAX_LABELS: usize = 32;
/// Longest key of a label or parameter.
pub const MAX_KEY: usize = 64;
/// Longest value of a label.
pub const MAX_LABEL: usize = 256;
/// Most parameters of a task description.
pub const MAX_PARAMETERS: usize = 32;
/// Longest value of a parameter: browsers and servers commonly stop at URLs of 2,000.
pub const MAX_PARAMETER: usize = 1024;
/// Most running tests mentioned in an advert.
pub const MAX_KNOWN_TESTS: usize = node::MAX_LIVE_TESTS;

/// Most electors of a test.
pub const MAX_ELECTORS: usize = rendezvous::MAX_ELECTORS;
/// The whole of a profile, in slots; no share is larger.
pub const MAX_SLOTS: u32 = spec::SLOTS;
/// Largest capacity, load or concurrency: ten times the users that a plan may ask for.
pub const MAX_TASKS: u32 = 10_000_000;
/// Highest target rate in thousandths a second: the highest that a plan may ask for.
pub const MAX_RATE_MILLI: u64 = 1_000_000_000;
/// Largest term and largest number of a beat, heartbeat, order or snapshot: far from
/// overflow when a receiver counts on from it.
pub const MAX_NUMBER: u64 = 1 << 62;
/// Longest span of time: profiles end within a day or three, and sums of a few stay far
/// from overflow.
pub const MAX_SPAN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Latest reading of a clock, in nanoseconds: 146 years after its origin, so that sums and
/// differences of two stay within 64 bits.
pub const MAX_CLOCK_NS: u64 = 1 << 62;
/// Latest Unix time in milliseconds: the largest whole number that a JSON reader is sure of.
pub const MAX_UNIX_MS: u64 = 1 << 53;

/// Most checks of a pre-flight: a target each for the origins of a plan, and a few more.
pub const MAX_CHECKS: usize = 64;
/// Longest subject of a check: a host name of 253 and a port.
pub const MAX_SUBJECT: usize = 300;

/// Most workers in the roster of a test's end; more do not fit a gossip message.
pub const MAX_ROSTER: usize = 1024;
/// Most events in a test's end.
pub const MAX_EVENTS: usize = coordinator::MAX_EVENTS;
/// Most events in a beat.
pub const MAX_TOLD: usize = coordinator::MAX_EVENTS_PER_BEAT;

/// Most decisions of a test.
pub const MAX_DECISIONS: usize = log::MAX_ENTRIES;
/// Longest values of a setup.
pub const MAX_VALUES: usize = log::MAX_VALUES;

/// Most steps of a plan.
pub const MAX_STEPS: usize = 64;
/// Most pieces of a snapshot: all counters, and three histograms a step.
pub const MAX_PIECES: usize = 1 + TimeKind::ALL.len() * MAX_STEPS;
/// Most snapshots in a reply.
pub const MAX_SNAPSHOTS: usize = 256;
/// Most histograms in all snapshots of a reply: proving one takes up to a millisecond.
pub const MAX_PAGE_HISTOGRAMS: usize = 1024;
/// Largest counter, so that the sum over 16,000 workers stays within 64 bits: 2^50 bytes is
/// a day of 100 Gbit/s.
pub const MAX_COUNT: u64 = 1 << 50;
/// Most errors of a step: the distinct ones, and one more for every kind whose rest is summed.
pub const MAX_STEP_ERRORS: usize = metrics::MAX_ERRORS + 16;
/// HTTP status codes that are counted: all of three digits, since servers do send such as
/// 999 and the client hands them on.
pub const STATUS_CODES: RangeInclusive<u16> = 100..=999;
/// Most engine threads.
pub const MAX_THREADS: u32 = 4096;

/// Entries of a histogram's counts array in the one configuration.
pub const HISTOGRAM_COUNTS: usize = 23_552;
/// Length of the header of HdrHistogram's V2 encoding.
pub const HISTOGRAM_HEADER: usize = 40;
/// Longest inflated histogram: no entry takes more than nine bytes.
pub const MAX_INFLATED: usize = HISTOGRAM_HEADER + 9 * HISTOGRAM_COUNTS;
/// Longest encoded histogram: deflate adds at most a few bytes a block to what it cannot
/// compress.
pub const MAX_HISTOGRAM: usize = MAX_INFLATED + 1024;

/// Most nested messages in one message of any kind. An empty one takes two bytes on the wire
/// and up to 400 in memory, so without this 1 MiB could become 200.
pub const MAX_NESTED: usize = 16 * 1024;

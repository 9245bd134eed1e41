//! A load engine that sends nothing but counts what it would have sent. It follows the orders of
//! the protocol and enforces its lease by the local clock.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use vajra_core::metrics::{Counters, Piece, StepCounters, TimeKind, new_histogram};
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry, paused_for};
use vajra_core::protocol::messages::StopOrder;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::{EngineOrder, Measurement, Time};

/// One test's load on one machine.
#[derive(Debug)]
pub struct Engine {
    /// Arrivals per second of the whole profile.
    rate: u64,
    length: Duration,
    start: Option<Time>,
    slots: u32,
    lease: Time,
    stop: Option<StopOrder>,
    counted_until: Time,
    /// Log entries that it acts on.
    log: Arc<[LogEntry]>,
    max_pause: Duration,
    /// Slot-nanoseconds of sending, times thousandths of an arrival per second.
    work: u128,
    recorded: u64,
    histogram: Histogram<u64>,
    response_us: u64,
    finished: bool,
    /// Whether it reports overload.
    pub overloaded: bool,
}

impl Engine {
    /// An engine for a profile of this rate and length; every response takes `response_us`.
    pub fn new(rate: u64, length: Duration, max_pause: Duration, response_us: u64) -> Engine {
        Engine {
            log: Arc::from([]),
            max_pause,
            rate,
            length,
            start: None,
            slots: 0,
            lease: Time::ZERO,
            stop: None,
            counted_until: Time::ZERO,
            work: 0,
            recorded: 0,
            histogram: new_histogram(),
            response_us,
            finished: false,
            overloaded: false,
        }
    }

    /// End of the profile, once its start is known.
    pub fn ends(&self) -> Option<Time> {
        let more = paused_for(&self.log, self.max_pause);
        self.start.map(|s| s + self.length + more)
    }

    /// Log entries that it acts on.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// Integral of the whole load between two times, in thousandths of an arrival per second times
    /// nanoseconds.
    fn level(&self, from: Time, to: Time) -> u128 {
        let Some(start) = self.start else {
            return 0;
        };
        let (mut level, mut paused) = (u128::from(self.rate) * 1_000, false);
        let (mut sum, mut at) = (0, from);
        for entry in self.log.iter() {
            let next = (start + entry.at).max(at).min(to);
            sum += if paused {
                0
            } else {
                level * next.since(at).as_nanos()
            };
            at = next;
            match entry.kind {
                EntryKind::LoadChanged(LoadCommand::Load { level_milli }) => {
                    level = u128::from(level_milli)
                }
                EntryKind::LoadChanged(LoadCommand::Pause) => paused = true,
                EntryKind::LoadChanged(LoadCommand::Resume) => paused = false,
                _ => {}
            }
        }
        sum + if paused {
            0
        } else {
            level * to.since(at).as_nanos()
        }
    }

    /// Stop order.
    pub fn stopped(&self) -> Option<StopOrder> {
        self.stop
    }

    /// Whether the final measurement was made.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// Slots that it acts on at `now`. Before the start this counts what will be sent from the
    /// start on, which is stricter than what the target receives.
    pub fn sending(&self, now: Time) -> u32 {
        let over = self.ends().is_none_or(|end| now >= end);
        if over
            || self.stop.is_some()
            || self.finished
            || (now >= self.lease && !planted(Bug::GateOpen))
        {
            0
        } else {
            self.slots
        }
    }

    /// Counts the requests sent until `now`.
    pub fn count_until(&mut self, now: Time) {
        if let (Some(start), Some(end)) = (self.start, self.ends())
            && self.stop.is_none()
            && !self.finished
        {
            let from = self.counted_until.max(start);
            let open = planted(Bug::GateOpen);
            let to = if open {
                now.min(end)
            } else {
                now.min(end).min(self.lease)
            };
            self.work += u128::from(self.slots) * self.level(from, to);
        }
        self.counted_until = now;
    }

    /// The machine was paused until `now` and sent nothing.
    pub fn skip_to(&mut self, now: Time) {
        self.counted_until = now;
    }

    /// Executes an order.
    pub fn order(&mut self, now: Time, order: &EngineOrder) {
        self.count_until(now);
        match order {
            EngineOrder::Prepare => {}
            EngineOrder::Start(at) => self.start = Some(*at),
            EngineOrder::Share { slots, .. } => self.slots = *slots,
            EngineOrder::Lease(until) => self.lease = *until,
            EngineOrder::Log(log) => self.log = log.clone(),
            EngineOrder::Stop(order) => self.stop = Some(*order),
        }
    }

    /// Number of requests sent.
    pub fn sent(&self) -> u64 {
        (self.work / (u128::from(SLOTS) * 1_000_000_000_000)) as u64
    }

    /// Takes a measurement.
    pub fn measure(&mut self, now: Time, is_final: bool) -> Measurement {
        self.count_until(now);
        self.finished |= is_final;
        let sent = self.sent();
        self.histogram
            .saturating_record_n(self.response_us, sent - self.recorded);
        self.recorded = sent;
        let mut data = Vec::new();
        if let Err(e) = V2DeflateSerializer::new().serialize(&self.histogram, &mut data) {
            unreachable!("writing a histogram to memory: {e:?}");
        }
        Measurement {
            is_final,
            elapsed: self.start.map_or(Duration::ZERO, |s| now.since(s)),
            engine_cpu: Duration::ZERO,
            engine_threads: 1,
            overloaded: self.overloaded,
            pieces: vec![
                Piece::Counters(vec![StepCounters {
                    name: "request".into(),
                    counters: Counters {
                        planned: sent,
                        sent,
                        ok: sent,
                        ..Counters::default()
                    },
                }]),
                Piece::Histogram {
                    step: 0,
                    kind: TimeKind::Response,
                    data: Arc::from(data),
                },
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_counts_its_share_of_the_rate_while_its_lease_runs() {
        let mut engine = Engine::new(1_000, Duration::from_secs(10), Duration::ZERO, 5);
        engine.order(Time(0), &EngineOrder::Start(Time(SECOND)));
        let share = EngineOrder::Share {
            slots: SLOTS / 2,
            offset: 0,
        };
        engine.order(Time(0), &share);
        engine.order(Time(0), &EngineOrder::Lease(Time(3 * SECOND)));
        assert_eq!(engine.sending(Time(2 * SECOND)), SLOTS / 2);
        assert_eq!(engine.sending(Time(3 * SECOND)), 0);
        engine.count_until(Time(5 * SECOND));
        assert_eq!(engine.sent(), 1_000);
        engine.order(Time(6 * SECOND), &EngineOrder::Lease(Time(20 * SECOND)));
        engine.count_until(Time(30 * SECOND));
        assert_eq!(engine.sent(), 3_500, "missed arrivals are not sent later");
    }
}

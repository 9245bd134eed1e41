//! A load engine that sends nothing but counts what it would have sent: it obeys the orders
//! of the protocol, and holds its lease by its own machine's clock.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use vajra_core::metrics::{Counters, Piece, StepCounters, TimeKind, new_histogram};
use vajra_core::protocol::decisions::{Decision, LoadCommand, LogEntry, prolonged};
use vajra_core::protocol::messages::StopOrder;
use vajra_core::protocol::planted::{Bug, planted};
use vajra_core::protocol::spec::SLOTS;
use vajra_core::protocol::{EngineOrder, Measurement, Time};

/// One test's load on one machine.
#[derive(Debug)]
pub struct Engine {
    /// Arrivals a second of the whole profile.
    rate: u64,
    length: Duration,
    start: Option<Time>,
    slots: u32,
    lease: Time,
    stop: Option<StopOrder>,
    settled: Time,
    /// The decisions acted on.
    decisions: Arc<[LogEntry]>,
    max_pause: Duration,
    /// Slot-nanoseconds sent in, times thousandths of an arrival a second.
    work: u128,
    recorded: u64,
    histogram: Histogram<u64>,
    response_us: u64,
    finished: bool,
    /// It says that it cannot time its load well.
    pub overloaded: bool,
}

impl Engine {
    /// An engine for a profile of this rate and length; every response takes `response_us`.
    pub fn new(rate: u64, length: Duration, max_pause: Duration, response_us: u64) -> Engine {
        Engine {
            decisions: Arc::from([]),
            max_pause,
            rate,
            length,
            start: None,
            slots: 0,
            lease: Time::ZERO,
            stop: None,
            settled: Time::ZERO,
            work: 0,
            recorded: 0,
            histogram: new_histogram(),
            response_us,
            finished: false,
            overloaded: false,
        }
    }

    /// When the profile is over, once its start is known.
    pub fn ends(&self) -> Option<Time> {
        let more = prolonged(&self.decisions, self.max_pause);
        self.start.map(|s| s + self.length + more)
    }

    /// The decisions acted on.
    pub fn decisions(&self) -> &[LogEntry] {
        &self.decisions
    }

    /// Thousandths of an arrival a second, times nanoseconds, of the whole load between two
    /// instants.
    fn level(&self, from: Time, to: Time) -> u128 {
        let Some(start) = self.start else {
            return 0;
        };
        let (mut level, mut paused) = (u128::from(self.rate) * 1_000, false);
        let (mut sum, mut at) = (0, from);
        for d in self.decisions.iter() {
            let next = (start + d.at).max(at).min(to);
            sum += if paused {
                0
            } else {
                level * next.since(at).as_nanos()
            };
            at = next;
            match d.what {
                Decision::Steered(LoadCommand::Load { level_milli }) => {
                    level = u128::from(level_milli)
                }
                Decision::Steered(LoadCommand::Pause) => paused = true,
                Decision::Steered(LoadCommand::Resume) => paused = false,
                _ => {}
            }
        }
        sum + if paused {
            0
        } else {
            level * to.since(at).as_nanos()
        }
    }

    /// The stop ordered.
    pub fn stopped(&self) -> Option<StopOrder> {
        self.stop
    }

    /// Its final measurement has been made.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The slots that it acts on at this moment. Before the profile has begun this counts
    /// what will be sent when it does, which is stricter than what the target sees.
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

    /// Counts what was sent until now, unless the machine stood still.
    pub fn settle(&mut self, now: Time) {
        if let (Some(start), Some(end)) = (self.start, self.ends())
            && self.stop.is_none()
            && !self.finished
        {
            let from = self.settled.max(start);
            let open = planted(Bug::GateOpen);
            let to = if open {
                now.min(end)
            } else {
                now.min(end).min(self.lease)
            };
            self.work += u128::from(self.slots) * self.level(from, to);
        }
        self.settled = now;
    }

    /// The machine stood still until now: nothing was sent.
    pub fn woke(&mut self, now: Time) {
        self.settled = now;
    }

    /// Carries out an order.
    pub fn order(&mut self, now: Time, order: &EngineOrder) {
        self.settle(now);
        match order {
            EngineOrder::Prepare => {}
            EngineOrder::Start(at) => self.start = Some(*at),
            EngineOrder::Share { slots, .. } => self.slots = *slots,
            EngineOrder::Lease(until) => self.lease = *until,
            EngineOrder::LogEntry(decisions) => self.decisions = decisions.clone(),
            EngineOrder::Stop(order) => self.stop = Some(*order),
        }
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        (self.work / (u128::from(SLOTS) * 1_000_000_000_000)) as u64
    }

    /// Measures.
    pub fn measure(&mut self, now: Time, is_final: bool) -> Measurement {
        self.settle(now);
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
        engine.settle(Time(5 * SECOND));
        assert_eq!(engine.sent(), 1_000);
        engine.order(Time(6 * SECOND), &EngineOrder::Lease(Time(20 * SECOND)));
        engine.settle(Time(30 * SECOND));
        assert_eq!(engine.sent(), 3_500, "nothing is made up for");
    }
}

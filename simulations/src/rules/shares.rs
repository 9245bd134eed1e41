//! Rules of shares and leases, on one coordinator, one worker or one node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vajra_core::protocol::allocation::AllocationName;
use vajra_core::protocol::announcement::Submission;
use vajra_core::protocol::coordinator::{Coordinator, CoordinatorInit};
use vajra_core::protocol::election::Acknowledged;
use vajra_core::protocol::log::{EntryKind, LoadCommand, LogEntry};
use vajra_core::protocol::messages::{
    Advert, Assign, ClockReply, EndReason, Gossip, Heartbeat, HeartbeatReply, Order, Register,
    RegisterReply, Reply, Request, ShareReport, Status,
};
use vajra_core::protocol::rendezvous::Seed;
use vajra_core::protocol::spec::{OnLost, SLOTS, Timings};
use vajra_core::protocol::split::split;
use vajra_core::protocol::worker::Worker;
use vajra_core::protocol::{
    Digest, Effects, EngineOrder, Incarnation, Input, Node, NodeId, Output, RemoteTime,
};
use vajra_core::{Numbers, Slots};

use super::support::{BrokenRule, TEST, ensure, keys, local, ms, node, spec};

const PLAN: Digest = Digest([3; 32]);

struct Subject(Coordinator);

impl Subject {
    fn new(term: u64, on_lost: OnLost, timings: Timings) -> Subject {
        Subject::after(term, on_lost, timings, Vec::new())
    }

    /// A coordinator that inherits these log entries.
    fn after(term: u64, on_lost: OnLost, timings: Timings, log: Vec<LogEntry>) -> Subject {
        let init = CoordinatorInit {
            test: TEST,
            me: node(99),
            keys: keys(&node(99)),
            term,
            won_at: ms(0),
            spec: spec(on_lost),
            digest: PLAN,
            earlier_lease: Duration::ZERO,
            start_by: vajra_core::protocol::Time::MAX,
            start: None,
            stop: None,
            log,
            leased_until: Duration::ZERO,
            free: None,
            events: Vec::new(),
        };
        let fx = &mut Effects::default();
        Subject(Coordinator::new(init, timings, fx))
    }

    fn register(
        &mut self,
        at: u64,
        term: u64,
        node: NodeId,
        number: u64,
        report: Option<u32>,
    ) -> RegisterReply {
        self.register_with(
            at,
            term,
            node,
            number,
            report.map(|slots| Slots::range(0, slots)),
        )
    }

    fn register_with(
        &mut self,
        at: u64,
        term: u64,
        node: NodeId,
        number: u64,
        report: Option<Slots>,
    ) -> RegisterReply {
        let r = Register {
            test: TEST,
            term,
            node,
            number,
            name: "w".into(),
            capacity: 100,
            task_types: vec!["SLEEP".into()],
            version: "simulated".into(),
            labels: BTreeMap::new(),
            unable: None,
            report: report.map(|slots| ShareReport {
                share: slots.clone(),
                held: slots,
            }),
            since_start: None,
            stop: None,
            finished: false,
            sent: RemoteTime(0),
        };
        self.0.register(ms(at), &r, &mut Effects::default())
    }

    fn heartbeat(
        &mut self,
        at: u64,
        node: &NodeId,
        number: u64,
        answered: u64,
        applied: u64,
        status: Status,
    ) -> Option<HeartbeatReply> {
        let hb = Heartbeat {
            test: TEST,
            term: 1,
            node: node.clone(),
            registration: 1,
            number,
            answered,
            applied,
            held: self.held(node),
            since_start: None,
            handled_until: Duration::ZERO,
            unused: Numbers::EMPTY,
            returned: Numbers::EMPTY,
            load: 0,
            status,
            finished: false,
            stop: None,
            idle: false,
            log_len: 0,
            sent: RemoteTime(0),
        };
        self.0.heartbeat(ms(at), &hb, &mut Effects::default())
    }

    fn tick(&mut self, at: u64) -> (Vec<Output>, Option<EndReason>) {
        let mut fx = Effects::default();
        let ended = self.0.tick(ms(at), &BTreeSet::new(), &mut fx);
        (fx.outputs, ended.map(|e| e.reason))
    }

    fn acknowledge_start(&mut self) {
        self.0.acknowledged(Acknowledged {
            share_lease: Duration::ZERO,
            start: true,
            log_len: 0,
            numbers: 0,
        });
    }

    fn acknowledge_log(&mut self, log_len: usize) {
        self.0.acknowledged(Acknowledged {
            log_len,
            ..Acknowledged::default()
        });
    }

    fn ordered(&self, node: &NodeId) -> u32 {
        let mut shares = self.0.shares();
        shares
            .find(|(n, _)| *n == node)
            .map_or(0, |(_, share)| share.count())
    }

    /// What a worker holds once it has applied its newest order.
    fn held(&self, node: &NodeId) -> Slots {
        let mut shares = self.0.shares();
        let share = shares.find(|(n, _)| *n == node);
        share.map_or(Slots::EMPTY, |(_, share)| share.clone())
    }

    /// Workers 0 and 1 registered and confirmed, in term 1.
    fn confirmed(on_lost: OnLost, timings: Timings) -> Subject {
        let mut subject = Subject::new(1, on_lost, timings);
        for i in 0..2 {
            subject.register(0, 1, node(i), 1, None);
            subject.heartbeat(0, &node(i), 1, 0, 0, Status::Idle);
            subject.heartbeat(0, &node(i), 2, 1, 0, Status::Idle);
        }
        subject
    }

    /// Workers 0 and 1 with their shares applied.
    fn running(on_lost: OnLost) -> Subject {
        let mut subject = Subject::confirmed(on_lost, Timings::lan());
        subject.tick(0);
        subject.acknowledge_start();
        subject.tick(0);
        for i in 0..2 {
            subject.heartbeat(0, &node(i), 3, 2, 1, Status::Running);
        }
        subject
    }
}

pub fn no_share_before_the_start_is_acknowledged() -> Result<(), BrokenRule> {
    let mut subject = Subject::confirmed(OnLost::Reassign, Timings::lan());
    subject.tick(0);
    subject.tick(10);
    ensure(
        subject.ordered(&node(0)) == 0,
        "a share is assigned of which a successor would not know the start",
    )?;
    subject.acknowledge_start();
    subject.tick(20);
    ensure(subject.ordered(&node(0)) > 0, "no share at all")
}

pub fn no_longer_lease_before_it_is_acknowledged() -> Result<(), BrokenRule> {
    let timings = Timings {
        heartbeats_per_second: 1,
        ..Timings::lan()
    };
    let basic = timings.share_lease;
    let mut subject = Subject::confirmed(OnLost::Reassign, timings);
    let reply = subject.heartbeat(10, &node(0), 3, 2, 0, Status::Idle);
    ensure(
        reply.and_then(|r| r.lease) == Some(basic),
        "a lease that a successor would not wait for",
    )
}

pub fn parts_add_up() -> Result<(), BrokenRule> {
    let sum: u32 = split(SLOTS, &[1, 1, 1]).iter().sum();
    ensure(sum == SLOTS, "the parts exceed the whole")
}

pub fn no_answer_without_authority() -> Result<(), BrokenRule> {
    let mut alone = Node::new(local(node(0)), keys(&node(0)), Timings::lan(), ms(0));
    let submission = Submission {
        name: "rule".into(),
        plan: b"plan".as_slice().into(),
        unix_ms: 0,
        nonce: Seed([0; 16]),
    };
    let announcement = alone.announcement(ms(0), &submission);
    let test = announcement.test;
    alone.handle(ms(0), Input::Submit(announcement, submission.plan));
    alone.handle(
        ms(1),
        Input::Inspected {
            test,
            spec: Ok(spec(OnLost::Reassign)),
            unable: None,
        },
    );
    let ask = |asked: &mut Node, at: u64| {
        let hb = Heartbeat {
            test,
            term: 1,
            node: node(1),
            registration: 1,
            number: 1,
            answered: 0,
            applied: 0,
            held: Slots::EMPTY,
            since_start: None,
            handled_until: Duration::ZERO,
            unused: Numbers::EMPTY,
            returned: Numbers::EMPTY,
            load: 0,
            status: Status::Idle,
            finished: false,
            stop: None,
            idle: false,
            log_len: 0,
            sent: RemoteTime(0),
        };
        let outputs = asked.handle(
            ms(at),
            Input::Request {
                from: node(1).peer,
                request: Request::Heartbeat(hb),
            },
        );
        outputs
            .iter()
            .any(|o| matches!(o, Output::Reply(Reply::Heartbeat(_))))
    };
    for at in (1..500).step_by(10) {
        alone.handle(ms(at), Input::Tick);
    }
    ensure(ask(&mut alone, 500), "a coordinator does not answer")?;
    ensure(
        !ask(&mut alone, 5_000),
        "a coordinator answers after its authority has expired",
    )
}

pub fn a_leaving_worker_frees_its_slots_at_once() -> Result<(), BrokenRule> {
    let mut subject = Subject::running(OnLost::Reassign);
    subject.heartbeat(100, &node(0), 4, 3, 1, Status::Leaving);
    ensure(
        subject.0.reserved(ms(101)).count() <= SLOTS / 2,
        "returned slots stay reserved for a lease",
    )
}

pub fn an_old_heartbeat_is_not_answered() -> Result<(), BrokenRule> {
    let mut subject = Subject::running(OnLost::Reassign);
    let old = subject.heartbeat(50, &node(0), 2, 1, 0, Status::Running);
    ensure(old.is_none(), "a copy of an old heartbeat renews a lease")
}

/// A worker of the test that has registered with the coordinator of term 1.
fn registered(me: &NodeId, fx: &mut Effects) -> Worker {
    let mut worker = Worker::new(
        TEST,
        Arc::new(local(me.clone())),
        spec(OnLost::Reassign),
        PLAN,
        None,
        Timings::lan(),
        fx,
    );
    worker.follow(ms(0), 1, &node(9), fx);
    let registered = RegisterReply {
        test: TEST,
        term: 1,
        incarnation: me.incarnation,
        number: 1,
        accepted: true,
        message: String::new(),
        heartbeat_interval: Duration::from_millis(250),
        metrics_interval: Duration::from_secs(1),
        order_floor: 0,
        honoured: false,
        clock: ClockReply::default(),
    };
    worker.registered(ms(1), &registered, fx);
    worker
}

pub fn a_lease_of_a_week_is_not_accepted() -> Result<(), BrokenRule> {
    let me = node(1);
    let fx = &mut Effects::default();
    let mut worker = registered(&me, fx);
    let reply = HeartbeatReply {
        test: TEST,
        term: 1,
        incarnation: me.incarnation,
        registration: 1,
        number: 1,
        lease: Some(Duration::from_secs(7 * 24 * 3600)),
        register_again: false,
        message: String::new(),
        order: None,
        allocation: None,
        numbers: None,
        stop: None,
        log: Vec::new(),
        clock: ClockReply::default(),
    };
    worker.heartbeat_answered(ms(2), &reply, fx);
    let leases = fx.outputs.iter().filter_map(|o| match o {
        Output::Engine(_, EngineOrder::Lease(until)) => Some(*until),
        _ => None,
    });
    let longest = leases.max();
    ensure(longest > Some(ms(1_000)), "a lease is not accepted")?;
    ensure(
        longest < Some(ms(60_000)),
        "the load continues for a week after its coordinator has gone",
    )
}

pub fn an_order_to_an_earlier_incarnation_is_refused() -> Result<(), BrokenRule> {
    let mut restarted = node(1);
    restarted.incarnation = Incarnation(2);
    let fx = &mut Effects::default();
    let mut worker = registered(&restarted, fx);
    let order = Order {
        number: 1,
        share: Slots::EMPTY,
        floor: Duration::ZERO,
        start: None,
    };
    let assign = Assign {
        test: TEST,
        term: 1,
        incarnation: Incarnation(1),
        registration: 1,
        digest: PLAN,
        order,
        allocation: AllocationName {
            number: 1,
            digest: PLAN,
        },
        list: None,
        description: spec(OnLost::Reassign).task,
        sent: RemoteTime(0),
    };
    let reply = worker.assigned(ms(2), &assign, fx);
    ensure(
        !reply.accepted,
        "an order to an earlier incarnation is applied",
    )
}

pub fn a_restart_frees_no_slots() -> Result<(), BrokenRule> {
    let mut subject = Subject::running(OnLost::Reassign);
    let mut restarted = node(0);
    restarted.incarnation = Incarnation(2);
    subject.register(100, 1, restarted, 1, None);
    ensure(
        subject.0.reserved(ms(101)).count() == SLOTS,
        "the share of an earlier incarnation is free before its lease has expired",
    )
}

pub fn a_worker_without_answers_is_not_renewed() -> Result<(), BrokenRule> {
    let mut subject = Subject::running(OnLost::Reassign);
    for (number, at) in (4..).zip((100..1_400).step_by(250)) {
        subject.heartbeat(at, &node(0), number, 3, 1, Status::Running);
    }
    let reply = subject.heartbeat(1_500, &node(0), 20, 3, 1, Status::Running);
    ensure(
        reply.is_some_and(|r| r.lease.is_none()),
        "a worker that receives no answers keeps its slots",
    )
}

pub fn a_report_is_honoured_once() -> Result<(), BrokenRule> {
    let mut subject = Subject::new(2, OnLost::Reassign, Timings::lan());
    let first = subject.register(0, 2, node(0), 1, Some(300_000));
    ensure(first.honoured, "a report is not honoured at all")?;
    let other = Slots::range(400_000, 500_000);
    let second = subject.register_with(100, 2, node(0), 2, Some(other));
    ensure(!second.honoured, "a report is honoured twice")
}

pub fn a_late_report_is_not_honoured() -> Result<(), BrokenRule> {
    let mut subject = Subject::new(2, OnLost::Reassign, Timings::lan());
    let late = subject.register(2_600, 2, node(0), 1, Some(300_000));
    ensure(
        !late.honoured,
        "a report is honoured after its slots may have been assigned",
    )
}

pub fn a_loss_ends_a_test_under_fail() -> Result<(), BrokenRule> {
    let mut subject = Subject::running(OnLost::Fail);
    let (_, ended) = subject.tick(3_000);
    ensure(
        matches!(ended, Some(EndReason::Failed(_))),
        "a test with on_lost_worker = fail continues after a loss",
    )
}

pub fn a_suspended_node_ignores_its_own_gap() -> Result<(), BrokenRule> {
    let mut suspended = Node::new(local(node(0)), keys(&node(0)), Timings::lan(), ms(0));
    let advert = Advert {
        node: node(1),
        number: 1,
        name: "n1".into(),
        version: "simulated".into(),
        addresses: Vec::new(),
        capacity: 1,
        load: 0,
        task_types: Vec::new(),
        labels: BTreeMap::new(),
        status: Status::Idle,
        interval: Duration::from_secs(2),
        tests: Vec::new(),
        environment: String::new(),
    };
    suspended.handle(
        ms(0),
        Input::Gossip {
            author: node(1).peer,
            message: Gossip::Advert(advert.into()),
        },
    );
    suspended.handle(ms(30_000), Input::Tick);
    ensure(
        suspended.members().live(ms(30_000)).count() == 1,
        "a node that was suspended considers the others gone",
    )
}

pub fn no_renewal_before_earlier_entries_are_committed() -> Result<(), BrokenRule> {
    let pause = LogEntry {
        id: 7,
        at: Duration::from_secs(1),
        max_delay: Duration::ZERO,
        kind: EntryKind::LoadChanged(LoadCommand::Pause),
    };
    let mut subject = Subject::after(1, OnLost::Reassign, Timings::lan(), vec![pause]);
    subject.register(0, 1, node(0), 1, None);
    let early = subject.heartbeat(10, &node(0), 1, 0, 0, Status::Idle);
    ensure(
        early.is_none(),
        "a node without the entry of a pause may continue",
    )?;
    subject.acknowledge_log(1);
    let reply = subject.heartbeat(20, &node(0), 2, 0, 0, Status::Idle);
    let reply = reply.ok_or(BrokenRule("no heartbeat is answered"))?;
    ensure(reply.log.len() == 1, "an answer lacks the entry")
}

//! Rules of shares and leases, on one coordinator, one worker or one node.

use std::collections::BTreeSet;
use std::sync::Arc;

use vajra_core::protocol::coordinator::{Coordinator, CoordinatorInit};
use vajra_core::protocol::decisions::{Decision, LoadCommand, LogEntry};
use vajra_core::protocol::election::Acknowledged;
use vajra_core::protocol::messages::{
    Advert, Assign, ClockReply, EndReason, Gossip, Heartbeat, HeartbeatReply, Order, Register,
    RegisterReply, Reply, Request, ShareReport, Status,
};
use vajra_core::protocol::spec::{SLOTS, Submission, Timings};
use vajra_core::protocol::split::split;
use vajra_core::protocol::worker::Worker;
use vajra_core::protocol::{Digest, Effects, Input, Node, Output, RemoteTime};

use super::*;
use crate::world::TEST;

const PLAN: Digest = Digest([3; 32]);

struct Office(Coordinator);

impl Office {
    fn new(term: u64, on_lost: OnLost, timings: Timings) -> Office {
        Office::after(term, on_lost, timings, Vec::new())
    }

    /// Takes over from somebody who had decided this.
    fn after(term: u64, on_lost: OnLost, timings: Timings, decisions: Vec<LogEntry>) -> Office {
        let charge = CoordinatorInit {
            test: TEST,
            me: node(99),
            term,
            won_at: ms(0),
            spec: spec(on_lost),
            digest: PLAN,
            earlier_lease: Duration::ZERO,
            start: None,
            stop: None,
            decisions,
            events: Vec::new(),
        };
        let fx = &mut Effects::default();
        Office(Coordinator::new(charge, timings, fx))
    }

    fn register(
        &mut self,
        at: u64,
        term: u64,
        node: NodeId,
        number: u64,
        report: Option<u32>,
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
            report: report.map(|slots| ShareReport { slots, offset: 0 }),
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
        who: &NodeId,
        number: u64,
        answered: u64,
        applied: u64,
        status: Status,
    ) -> Option<HeartbeatReply> {
        let hb = Heartbeat {
            test: TEST,
            term: 1,
            node: who.clone(),
            registration: 1,
            number,
            answered,
            applied,
            load: 0,
            status,
            finished: false,
            decisions: 0,
            sent: RemoteTime(0),
        };
        self.0.heartbeat(ms(at), &hb, &mut Effects::default())
    }

    fn tick(&mut self, at: u64) -> (Vec<Output>, Option<EndReason>) {
        let mut fx = Effects::default();
        let ended = self.0.tick(ms(at), &BTreeSet::new(), &mut fx);
        (fx.outputs, ended.map(|e| e.reason))
    }

    fn start_known(&mut self) {
        self.0.acknowledged(Acknowledged {
            share_lease: Duration::ZERO,
            start: true,
            decisions: 0,
        });
    }

    fn decisions_known(&mut self, decisions: usize) {
        self.0.acknowledged(Acknowledged {
            decisions,
            ..Acknowledged::default()
        });
    }

    fn ordered(&self, who: &NodeId) -> u32 {
        let mut shares = self.0.shares();
        shares
            .find(|(n, _)| *n == who)
            .map_or(0, |(_, slots)| slots)
    }

    /// Workers 0 and 1 registered and confirmed, in term 1.
    fn confirmed(on_lost: OnLost, timings: Timings) -> Office {
        let mut office = Office::new(1, on_lost, timings);
        for i in 0..2 {
            office.register(0, 1, node(i), 1, None);
            office.heartbeat(0, &node(i), 1, 0, 0, Status::Idle);
            office.heartbeat(0, &node(i), 2, 1, 0, Status::Idle);
        }
        office
    }

    /// And with their shares ordered and applied.
    fn running(on_lost: OnLost) -> Office {
        let mut office = Office::confirmed(on_lost, Timings::lan());
        office.tick(0);
        office.start_known();
        office.tick(0);
        for i in 0..2 {
            office.heartbeat(0, &node(i), 3, 2, u64::from(i) + 1, Status::Running);
        }
        office
    }
}

pub fn no_share_before_a_majority_knows_the_start() -> Result<(), String> {
    let mut office = Office::confirmed(OnLost::Reassign, Timings::lan());
    office.tick(0);
    office.tick(10);
    ensure(
        office.ordered(&node(0)) == 0,
        "a share was given that a successor would know no start of",
    )?;
    office.start_known();
    office.tick(20);
    ensure(office.ordered(&node(0)) > 0, "no share at all")
}

pub fn no_longer_lease_before_a_majority_knows_it() -> Result<(), String> {
    let timings = Timings {
        heartbeats_a_second: 1,
        ..Timings::lan()
    };
    let basic = timings.share_lease;
    let mut office = Office::confirmed(OnLost::Reassign, timings);
    let reply = office.heartbeat(10, &node(0), 3, 2, 0, Status::Idle);
    ensure(
        reply.and_then(|r| r.lease) == Some(basic),
        "a lease that a successor would not wait for",
    )
}

pub fn parts_add_up() -> Result<(), String> {
    let sum: u32 = split(SLOTS, &[1, 1, 1]).iter().sum();
    ensure(sum == SLOTS, "the parts are more than the whole")
}

pub fn no_answer_without_authority() -> Result<(), String> {
    let mut alone = Node::new(myself(node(0)), Timings::lan(), ms(0));
    alone.handle(
        ms(0),
        Input::Submit(Submission {
            test: TEST,
            name: "rule".into(),
            plan: b"plan".as_slice().into(),
            unix_ms: 0,
        }),
    );
    alone.handle(
        ms(1),
        Input::Inspected {
            test: TEST,
            spec: Ok(spec(OnLost::Reassign)),
            unable: None,
        },
    );
    let ask = |who: &mut Node, at: u64| {
        let hb = Heartbeat {
            test: TEST,
            term: 1,
            node: node(1),
            registration: 1,
            number: 1,
            answered: 0,
            applied: 0,
            load: 0,
            status: Status::Idle,
            finished: false,
            decisions: 0,
            sent: RemoteTime(0),
        };
        let outputs = who.handle(
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
        "a coordinator that slept past its authority answers",
    )
}

pub fn who_leaves_frees_its_slots_at_once() -> Result<(), String> {
    let mut office = Office::running(OnLost::Reassign);
    office.heartbeat(100, &node(0), 4, 3, 1, Status::Leaving);
    ensure(
        office.0.reserved(ms(101)) <= SLOTS / 2,
        "slots given back stay reserved for a lease",
    )
}

pub fn an_old_heartbeat_is_not_answered() -> Result<(), String> {
    let mut office = Office::running(OnLost::Reassign);
    let old = office.heartbeat(50, &node(0), 2, 1, 0, Status::Running);
    ensure(old.is_none(), "a copy of an old heartbeat renews a lease")
}

pub fn an_answer_to_an_earlier_life_is_not_taken() -> Result<(), String> {
    let mut reborn = node(1);
    reborn.incarnation = Incarnation(2);
    let fx = &mut Effects::default();
    let mut worker = Worker::new(
        TEST,
        Arc::new(myself(reborn.clone())),
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
        incarnation: reborn.incarnation,
        number: 1,
        accepted: true,
        message: String::new(),
        heartbeat_interval: Duration::from_millis(250),
        metrics_interval: Duration::from_secs(1),
        order_floor: 0,
        honoured: None,
        clock: ClockReply::default(),
    };
    worker.registered(ms(1), &registered, fx);
    let order = Order {
        number: 1,
        slots: SLOTS,
        offset: 0,
        start: None,
    };
    let assign = Assign {
        test: TEST,
        term: 1,
        incarnation: Incarnation(1),
        registration: 1,
        digest: PLAN,
        order,
        description: spec(OnLost::Reassign).task,
        sent: RemoteTime(0),
    };
    let reply = worker.assigned(ms(2), &assign, fx);
    ensure(
        !reply.accepted,
        "an order to a process that is gone is obeyed",
    )
}

pub fn a_restart_frees_nothing() -> Result<(), String> {
    let mut office = Office::running(OnLost::Reassign);
    let mut reborn = node(0);
    reborn.incarnation = Incarnation(2);
    office.register(100, 1, reborn, 1, None);
    ensure(
        office.0.reserved(ms(101)) == SLOTS,
        "the share of an earlier life is free before its lease has lapsed",
    )
}

pub fn who_hears_no_answer_is_not_renewed() -> Result<(), String> {
    let mut office = Office::running(OnLost::Reassign);
    for (number, at) in (4..).zip((100..1_400).step_by(250)) {
        office.heartbeat(at, &node(0), number, 3, 1, Status::Running);
    }
    let reply = office.heartbeat(1_500, &node(0), 20, 3, 1, Status::Running);
    ensure(
        reply.is_some_and(|r| r.lease.is_none()),
        "a worker that cannot hear us keeps its slots for ever",
    )
}

pub fn a_report_is_honoured_once() -> Result<(), String> {
    let mut office = Office::new(2, OnLost::Reassign, Timings::lan());
    let first = office.register(0, 2, node(0), 1, Some(300_000));
    ensure(first.honoured.is_some(), "a report is not honoured at all")?;
    let second = office.register(100, 2, node(0), 2, Some(300_000));
    ensure(second.honoured.is_none(), "a report is honoured twice")
}

pub fn a_late_report_is_not_honoured() -> Result<(), String> {
    let mut office = Office::new(2, OnLost::Reassign, Timings::lan());
    let late = office.register(2_600, 2, node(0), 1, Some(300_000));
    ensure(
        late.honoured.is_none(),
        "a report is honoured after its slots may have been given away",
    )
}

pub fn a_loss_ends_a_test_that_asks_for_it() -> Result<(), String> {
    let mut office = Office::running(OnLost::Fail);
    let (_, ended) = office.tick(3_000);
    ensure(
        matches!(ended, Some(EndReason::Failed(_))),
        "a test with on_lost_worker = fail goes on after a loss",
    )
}

pub fn who_slept_blames_nobody() -> Result<(), String> {
    let mut sleeper = Node::new(myself(node(0)), Timings::lan(), ms(0));
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
    sleeper.handle(
        ms(0),
        Input::Gossip {
            author: node(1).peer,
            message: Gossip::Advert(advert),
        },
    );
    sleeper.handle(ms(30_000), Input::Tick);
    ensure(
        sleeper.members().live(ms(30_000)).count() == 1,
        "a node that slept takes the others for gone",
    )
}

pub fn no_renewal_before_earlier_decisions_are_settled() -> Result<(), String> {
    let pause = LogEntry {
        id: 7,
        at: Duration::from_secs(1),
        lag: Duration::ZERO,
        what: Decision::Steered(LoadCommand::Pause),
    };
    let mut office = Office::after(1, OnLost::Reassign, Timings::lan(), vec![pause]);
    office.register(0, 1, node(0), 1, None);
    let early = office.heartbeat(10, &node(0), 1, 0, 0, Status::Idle);
    ensure(early.is_none(), "who has not heard of a pause may go on")?;
    office.decisions_known(1);
    let told = office.heartbeat(20, &node(0), 2, 0, 0, Status::Idle);
    let told = told.ok_or("nobody is answered any more")?;
    ensure(told.decisions.len() == 1, "an answer does not tell of it")
}

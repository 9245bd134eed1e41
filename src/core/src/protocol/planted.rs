//! Deliberate bugs, one for every rule of election, authority, shares and leases. The simulator
//! plants each of them and must detect it (`simulate mutants`): a check that passes without the
//! rule checks nothing.
//!
//! Without the feature `planted-bugs`, which only the simulator enables, [`planted`] is `false` at
//! compile time and no bug is in the binary.

macro_rules! bugs {
    ($($name:ident, $key:literal, $rule:literal;)*) => {
        /// A rule left out or implemented wrongly.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug {
            $(#[doc = $rule] $name,)*
        }

        impl Bug {
            /// All bugs.
            pub const ALL: &[Bug] = &[$(Bug::$name),*];

            /// Name on the command line.
            pub fn key(self) -> &'static str {
                match self { $(Bug::$name => $key,)* }
            }

            /// Description of the faulty behaviour.
            pub fn description(self) -> &'static str {
                match self { $(Bug::$name => $rule,)* }
            }
        }
    };
}

bugs! {
    // ---- election and authority ----
    NoRankDelay, "no-rank-delay", "every elector polls at once, regardless of its rank";
    NoPoll, "no-poll", "an elector claims without polling first";
    ClaimOnce, "claim-once", "a claim is sent once and not repeated";
    NoWithdrawal, "no-withdrawal", "a candidate does not withdraw for a rival of earlier rank";
    ClaimRaisesTerm, "claim-raises-term", "a claim alone raises the term of its receivers";
    SecondVote, "second-vote", "an elector votes twice in a term, but keeps promises";
    SecondVoteUnbound, "second-vote-unbound", "an elector votes twice in a term and ignores promises";
    PromiseIgnored, "promise-ignored", "an elector votes despite a promise to another node";
    NoPromiseByBeat, "no-promise-by-beat", "an elector acknowledges a beat without promising";
    MinorityElects, "minority-elects", "one vote less than a majority makes a coordinator";
    AuthorityForever, "authority-forever", "the authority lease is ignored";
    AuthorityFromVotes, "authority-from-votes", "authority counts from the votes' arrival, not from the claim's sending";
    AuthorityFromAcks, "authority-from-acks", "authority counts from the acknowledgements' arrival, not from the beat's sending";
    BeatsWithoutAuthority, "beats-without-authority", "a coordinator sends beats after its authority has expired";
    ResignFreesAll, "resign-frees-all", "a resignation also frees promises of other terms";
    OldBeats, "old-beats", "a beat that is not newer than the newest of its term renews a promise";
    TermsUnbounded, "terms-unbounded", "a term far above the known ones is considered at once";
    NoBackOff, "no-back-off", "an elector may force step-downs and polls again and again";
    LowerTermFollowed, "lower-term-followed", "beats of a lower term are acknowledged";
    RestartedElectorVotes, "restarted-elector-votes", "a restarted node votes in older tests";
    NoMargins, "no-margins", "no margin for drift on either side";
    NoHolderMargin, "no-holder-margin", "a margin for drift on the waiting side only";
    StretchUnacknowledged, "stretch-unacknowledged", "a longer share lease is granted before a majority has acknowledged it";
    StretchNotWaited, "stretch-not-waited", "a new coordinator waits only for a share lease of the basic length";
    VoteForgetsLease, "vote-forgets-lease", "votes do not carry the longest known share lease";
    StartUnacknowledged, "start-unacknowledged", "shares are assigned before a majority has acknowledged the start";
    LogUnacknowledged, "log-unacknowledged", "a log entry is acted on before a majority has acknowledged it";
    LogForgotten, "log-forgotten", "votes do not carry the log";
    RenewedUninformed, "renewed-uninformed", "a lease is renewed although the worker may lack a log entry";
    RunTwice, "run-twice", "a new coordinator repeats a hook that an earlier one started";
    StartForgotten, "start-forgotten", "beats, votes and reports do not carry the start, so a profile starts twice";

    // ---- shares and leases ----
    SplitRoundsUp, "split-rounds-up", "every part of the split is rounded up";
    AnswersWithoutAuthority, "answers-without-authority", "a coordinator answers after its authority has expired";
    LeaseFromReceipt, "lease-from-receipt", "a worker counts its lease from the answer's arrival";
    RenewalUncounted, "renewal-uncounted", "the coordinator counts a lease from the registration, not from its last answer";
    LeavesWhileSending, "leaves-while-sending", "a leaving node returns its lease before its load has stopped";
    LeavesSilently, "leaves-silently", "a leaving node does not return its lease";
    OrdersUnnumbered, "orders-unnumbered", "a worker obeys older orders";
    OtherRegistrations, "other-registrations", "a worker obeys orders and answers of earlier registrations and terms";
    NewestOrderCounts, "newest-order-counts", "a shrink counts before it is acknowledged";
    OldHeartbeats, "old-heartbeats", "heartbeats older than the last handled one are handled";
    AnswersUnnamed, "answers-unnamed", "every answer counts as an answer to the newest heartbeat";
    IncarnationsUnnamed, "incarnations-unnamed", "answers to an earlier incarnation are accepted";
    RestartFreesShare, "restart-frees-share", "the share of an earlier incarnation is free at once";
    OneWayRenewed, "one-way-renewed", "a worker that receives no answers is renewed";
    SlotsUnconfirmed, "slots-unconfirmed", "new slots are assigned before an answer was confirmed";
    AssignedBeforeExpiry, "assigned-before-expiry", "a silent worker's slots are reassigned before its lease has expired";
    ExpiredReported, "expired-reported", "a share with an expired lease is reported to a new coordinator";
    ReportedTwice, "reported-twice", "a report is honoured twice in a term";
    ReportedLate, "reported-late", "a report is honoured after unreported slots were assigned";
    UnreportedAtOnce, "unreported-at-once", "a later coordinator assigns unreported slots at once";
    GateOpen, "gate-open", "the engine ignores its lease";
    ClockStops, "clock-stops", "the clock does not count suspension";
    HoldReassigns, "hold-reassigns", "on_lost_worker = hold reassigns slots";
    FailContinues, "fail-continues", "on_lost_worker = fail continues after a loss";
    RemovedAtOnce, "removed-at-once", "slots of removed users count as free before the users have finished";
    NumbersUnacknowledged, "numbers-unacknowledged", "request numbers are granted before a majority has acknowledged that they are not free";
    SuspensionIgnored, "suspension-ignored", "a node that was suspended considers the others gone";

    HeldIgnored, "held-ignored", "slots that a worker's heartbeat names besides its share count as free";
    FloorIgnored, "floor-ignored", "a new holder of slots also sends arrivals that the former holder has handled";
    LayersMoveUsers, "layers-move-users", "users that scaling adds change the slots of the others";
    ReturnedGrantedTwice, "returned-granted-twice", "request numbers that a worker returned stay free after they are granted again";
    ShareDropped, "share-dropped", "a worker drops its share at each fail-over";
    SplitUnfair, "split-unfair", "all workers but one get one slot";
    RangesAtZero, "ranges-at-zero", "all shares begin at slot 0";
    DrainIgnored, "drain-ignored", "a node that drains keeps its share";
    StopAtOnce, "stop-at-once", "every stop is immediate";
    CommandsUndelayed, "commands-undelayed", "a load command counts at once";
    CommandsWithoutLag, "commands-without-lag", "numbers of arrivals are used again after a load command";
    LostForgotten, "lost-forgotten", "the end of a test lacks lost workers";
    EventsEmpty, "events-empty", "events have no text";

    // ---- proof of authority ----
    AnnouncementUnchecked, "announcement-unchecked", "an announcement counts without the signature of its submitter";
    TenureUncertified, "tenure-uncertified", "a coordinator is followed without the votes of a majority";
    RelayedUnchecked, "relayed-unchecked", "a beat that an elector relays counts without the signature of its coordinator";

    LeaseUnbounded, "lease-unbounded", "a worker accepts a share lease of any length";
    StartBelieved, "start-believed", "a vote names a start that is later than the beat says that it relays";
    StopUnsigned, "stop-unsigned", "a request to stop the test counts without the signature of its author";
    RelayedUnsigned, "relayed-unsigned", "a fetched snapshot counts without the signature of its worker";
    AnyoneCounts, "anyone-counts", "snapshots of nodes without a share count";

    // ---- metrics ----
    FinalOnly, "final-only", "workers send no snapshot but their final one";
    SnapshotsSummed, "snapshots-summed", "snapshots are summed instead of merged";
    OlderSnapshotKept, "older-snapshot-kept", "an older snapshot replaces a newer one";
}

/// Whether this build contains the planted bugs. A node refuses to compile with them.
pub const ENABLED: bool = cfg!(feature = "planted-bugs");

#[cfg(feature = "planted-bugs")]
mod planting {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug, or none, in all later calls on this thread.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted on this thread.
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use planting::{plant, planted};

/// Whether this bug is planted: never in this build.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_: Bug) -> bool {
    false
}

//! Deliberate bugs, one for every rule of election, authority, shares and leases: a check
//! that cannot tell a broken rule from a kept one checks nothing, so the simulator plants
//! each of these and must catch it (`simulate mutants`).
//!
//! Without the feature `planted-bugs`, which only the simulator asks for, [`planted`] is
//! `false` at compile time and none of it is in the binary.

macro_rules! bugs {
    ($($name:ident, $key:literal, $rule:literal;)*) => {
        /// A rule left out or got wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug {
            $(#[doc = $rule] $name,)*
        }

        impl Bug {
            /// Every one of them.
            pub const ALL: &[Bug] = &[$(Bug::$name),*];

            /// Its name on the command line.
            pub fn key(self) -> &'static str {
                match self { $(Bug::$name => $key,)* }
            }

            /// What it does wrong.
            pub fn what(self) -> &'static str {
                match self { $(Bug::$name => $rule,)* }
            }
        }
    };
}

bugs! {
    // ---- election and authority ----
    NoRankDelay, "no-rank-delay", "every elector stands at once, whatever its rank";
    NoPoll, "no-poll", "an elector claims without asking first whether it would be voted for";
    ClaimOnce, "claim-once", "a claim is sent once and not repeated";
    NoWithdrawal, "no-withdrawal", "a candidate stays when it hears an earlier-ranked rival";
    ClaimRaisesTerm, "claim-raises-term", "a claim alone raises the term of whoever hears it";
    SecondVote, "second-vote", "two votes in a term, promises kept";
    SecondVoteUnbound, "second-vote-unbound", "two votes in a term, promises ignored";
    PromiseIgnored, "promise-ignored", "a vote for another while a promise holds";
    NoPromiseByBeat, "no-promise-by-beat", "an elector acknowledges a beat without promising";
    MinorityElects, "minority-elects", "one vote less than a majority makes a coordinator";
    AuthorityForever, "authority-forever", "the authority lease is ignored";
    AuthorityFromVotes, "authority-from-votes", "authority counts from the votes' arrival, not from the claim's sending";
    AuthorityFromAcks, "authority-from-acks", "authority counts from the acknowledgements' arrival, not from the beat's sending";
    BeatsWithoutAuthority, "beats-without-authority", "a coordinator whose authority ran out beats on";
    ResignFreesAll, "resign-frees-all", "a resignation frees promises of other terms, too";
    LowerTermFollowed, "lower-term-followed", "beats of a lower term are acknowledged";
    RestartedElectorVotes, "restarted-elector-votes", "a restarted node votes in older tests";
    NoMargins, "no-margins", "no margin for drift on either side";
    NoHolderMargin, "no-holder-margin", "a margin for drift on the waiting side only";
    StretchUnacknowledged, "stretch-unacknowledged", "a longer share lease is granted before a majority knows of it";
    StretchNotWaited, "stretch-not-waited", "a new coordinator waits for a share lease of the basic length only";
    VoteForgetsLease, "vote-forgets-lease", "votes do not carry the longest share lease heard";
    StartUnacknowledged, "start-unacknowledged", "shares are given before a majority knows the start";
    DecisionsUnacknowledged, "decisions-unacknowledged", "a decision is acted on before a majority knows it";
    DecisionsForgotten, "decisions-forgotten", "votes do not carry what was decided";
    RenewedUninformed, "renewed-uninformed", "a lease is renewed for whoever has not heard of a decision";
    RunTwice, "run-twice", "a new coordinator runs again what an earlier one began";
    StartForgotten, "start-forgotten", "beats, votes and reports do not carry the start: a profile starts twice";

    // ---- shares and leases ----
    SplitRoundsUp, "split-rounds-up", "every part of the split is rounded up";
    AnswersWithoutAuthority, "answers-without-authority", "a coordinator whose authority ran out answers on";
    LeaseFromReceipt, "lease-from-receipt", "a worker counts its lease from the answer's arrival";
    RenewalUncounted, "renewal-uncounted", "the coordinator counts a lease from the registration, not from its last answer";
    LeavesWhileSending, "leaves-while-sending", "a leaving node gives its lease back before its load has stopped";
    LeavesSilently, "leaves-silently", "a node that leaves does not give its lease back";
    OrdersUnnumbered, "orders-unnumbered", "a worker obeys older orders";
    OtherRegistrations, "other-registrations", "a worker obeys orders and answers of earlier registrations and terms";
    NewestOrderCounts, "newest-order-counts", "grow before shrink: a shrink counts before it is acknowledged";
    OldHeartbeats, "old-heartbeats", "heartbeats older than the last handled one are handled";
    AnswersUnnamed, "answers-unnamed", "an answer is taken for one to the newest heartbeat";
    IncarnationsUnnamed, "incarnations-unnamed", "answers to an earlier incarnation are taken";
    RestartFreesShare, "restart-frees-share", "the share of an earlier incarnation is free at once";
    OneWayRenewed, "one-way-renewed", "a worker that hears no answer is renewed";
    SlotsUnconfirmed, "slots-unconfirmed", "new slots before an answer was confirmed";
    GivenBeforeLapse, "given-before-lapse", "a silent worker's slots are given away before its lease has lapsed";
    LapsedReported, "lapsed-reported", "a share whose lease has lapsed is reported to a new coordinator";
    ReportedTwice, "reported-twice", "a report is honoured twice in a term";
    ReportedLate, "reported-late", "a report is honoured after unaccounted slots were handed out";
    UnaccountedAtOnce, "unaccounted-at-once", "a later coordinator hands out unaccounted slots at once";
    GateOpen, "gate-open", "the engine does not look at its lease";
    ClockStops, "clock-stops", "the clock stands still while the machine does";
    HoldGivesAway, "hold-gives-away", "on_lost_worker = hold gives slots away";
    FailRunsOn, "fail-runs-on", "on_lost_worker = fail goes on after a loss";
    SleeperBlames, "sleeper-blames", "a node that slept takes the others for gone";

    // ---- metrics ----
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

    /// Plants a bug, or none, in everything that this thread runs from now on.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted here.
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use planting::{plant, planted};

/// Whether this bug is planted here: never.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_: Bug) -> bool {
    false
}

//! The enums of the result model. Their JSON is text in snake case.
//!
//! Results and lists are exchanged by nodes of different versions. A word that this version does
//! not have is read as `Unknown`, so that one new word does not make a whole list unreadable.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use vajra_core::protocol::messages::{EndReason, TestState};
use vajra_core::protocol::{membership, messages};
use vajra_plan::{Mode, Pick};

/// An enum with its JSON text, and `Unknown` for every other text.
macro_rules! words {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $text:tt,)+ }
    ) => {
        $(#[$about])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
            ToSchema,
        )]
        pub enum $name {
            $(
                $(#[$doc])*
                #[serde(rename = $text)]
                $variant,
            )+
            /// A word of a newer version, or not reported.
            #[default]
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl $name {
            /// The text in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                    $name::Unknown => "unknown",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Unlike `write_str`, this respects a width.
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// The generator's judgement of its own work.
    Verdict {
        /// The generator carried out the plan.
        Valid = "valid",
        /// Part of the load was unsent or late.
        Degraded = "degraded",
        /// The generator spoiled the measurement, or a part of it is missing.
        Invalid = "invalid",
    }
}

words! {
    /// How a test ended.
    EndKind {
        /// The plan was carried out.
        Completed = "completed",
        /// A stop was requested.
        Stopped = "stopped",
        /// It could not start, or a rule ended it.
        Failed = "failed",
    }
}

words! {
    /// A change of the load of a running test.
    ChangeKind {
        /// To a new full load.
        Scaled = "scaled",
        /// No arrivals until it is resumed.
        Paused = "paused",
        /// The end of a pause.
        Resumed = "resumed",
    }
}

words! {
    /// How iterations choose rows of a data file.
    DataPick {
        /// In order over the whole swarm, repeating from the first.
        Sequential = "sequential",
        /// At random.
        Random = "random",
        /// In order over the whole swarm, each at most once.
        Unique = "unique",
        /// Row *n* for user *n*.
        User = "user",
    }
}

impl From<Pick> for DataPick {
    fn from(pick: Pick) -> DataPick {
        match pick {
            Pick::Sequential => DataPick::Sequential,
            Pick::Random => DataPick::Random,
            Pick::Unique => DataPick::Unique,
            Pick::User => DataPick::User,
        }
    }
}

words! {
    /// Order of the plans of a suite.
    SuiteMode {
        /// One after the other.
        Sequential = "sequential",
        /// All at the same time.
        Parallel = "parallel",
    }
}

impl From<Mode> for SuiteMode {
    fn from(mode: Mode) -> SuiteMode {
        match mode {
            Mode::Sequential => SuiteMode::Sequential,
            Mode::Parallel => SuiteMode::Parallel,
        }
    }
}

words! {
    /// What a node is doing, as it reports itself.
    NodeStatus {
        /// No load.
        Idle = "idle",
        /// It carries load.
        Running = "running",
        /// It carries more load than it can send in time.
        Overloaded = "overloaded",
        /// It finishes its load and accepts no new share.
        Draining = "draining",
        /// It returns its leases and stops.
        Leaving = "leaving",
        /// It has bootstrap addresses and never reached one.
        Isolated = "isolated",
        /// It reports a fault.
        Error = "error",
    }
}

words! {
    /// Whether a node's adverts arrive, as seen by the answering node.
    NodeHealth {
        /// In time.
        Healthy = "healthy",
        /// An advert is overdue.
        Late = "late",
        /// None for so long that the node counts as gone.
        Gone = "gone",
    }
}

words! {
    /// An event of the swarm.
    SwarmEventKind {
        /// A node was seen for the first time.
        Joined = "joined",
        /// A node announced that it leaves.
        Left = "left",
        /// A node's adverts stopped without an announcement.
        Gone = "gone",
        /// A node was seen again after it had left or was gone.
        Rejoined = "rejoined",
    }
}

words! {
    /// The outcome of a plan of a suite.
    PlanOutcome {
        /// The test ran and its thresholds passed.
        Passed = "passed",
        /// The test could not run.
        CouldNotRun = "could_not_run",
        /// A stop was requested.
        Stopped = "stopped",
        /// A threshold failed.
        ThresholdsFailed = "thresholds_failed",
        /// The verdict is not `valid`, with `--strict`.
        NotValid = "not_valid",
        /// An earlier plan's outcome stopped the suite.
        NotStarted = "not_started",
    }
}

impl From<&EndReason> for EndKind {
    fn from(reason: &EndReason) -> EndKind {
        match reason {
            EndReason::Completed => EndKind::Completed,
            EndReason::Stopped => EndKind::Stopped,
            EndReason::Failed(_) => EndKind::Failed,
        }
    }
}

impl From<messages::Status> for NodeStatus {
    fn from(status: messages::Status) -> NodeStatus {
        match status {
            messages::Status::Unknown => NodeStatus::Unknown,
            messages::Status::Idle => NodeStatus::Idle,
            messages::Status::Running => NodeStatus::Running,
            messages::Status::Overloaded => NodeStatus::Overloaded,
            messages::Status::Error => NodeStatus::Error,
            messages::Status::Draining => NodeStatus::Draining,
            messages::Status::Leaving => NodeStatus::Leaving,
        }
    }
}

impl From<membership::Health> for NodeHealth {
    fn from(health: membership::Health) -> NodeHealth {
        match health {
            membership::Health::Healthy => NodeHealth::Healthy,
            membership::Health::Late => NodeHealth::Late,
            membership::Health::Gone => NodeHealth::Gone,
        }
    }
}

/// The text of a test's state in JSON.
pub fn state_name(state: TestState) -> &'static str {
    match state {
        TestState::Electing => "electing",
        TestState::Registering => "registering",
        TestState::Running => "running",
        TestState::Stopping => "stopping",
        TestState::Ended => "ended",
    }
}

/// A [`TestState`] as text, for `#[serde(with)]`: the protocol core does not depend on serde.
pub(crate) mod state_text {
    use std::borrow::Cow;

    use serde::{Deserialize as _, Deserializer, Serializer};
    use vajra_core::protocol::messages::TestState;

    use super::state_name;

    pub fn serialize<S: Serializer>(state: &TestState, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(state_name(*state))
    }

    /// A state of a newer version is one before the end: it is read as `Running`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TestState, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let all = [
            TestState::Electing,
            TestState::Registering,
            TestState::Running,
            TestState::Stopping,
            TestState::Ended,
        ];
        let found = all.into_iter().find(|state| state_name(*state) == text);
        Ok(found.unwrap_or(TestState::Running))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_and_variant_convert_both_ways() {
        for verdict in [Verdict::Valid, Verdict::Degraded, Verdict::Invalid] {
            let text = serde_json::to_string(&verdict).unwrap();
            assert_eq!(text, format!("\"{verdict}\""));
            assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
        }
        let text = serde_json::to_string(&PlanOutcome::ThresholdsFailed).unwrap();
        assert_eq!(text, "\"thresholds_failed\"");
        for pick in [Pick::Sequential, Pick::Random, Pick::Unique, Pick::User] {
            let text = serde_json::to_string(&DataPick::from(pick)).unwrap();
            assert_eq!(text, format!("\"{}\"", pick.as_str()));
        }
        for mode in [Mode::Sequential, Mode::Parallel] {
            let text = serde_json::to_string(&SuiteMode::from(mode)).unwrap();
            assert_eq!(text, format!("\"{mode}\""));
        }
    }

    #[test]
    fn a_word_of_a_newer_version_is_read_as_unknown() {
        let read: NodeStatus = serde_json::from_str("\"hibernating\"").unwrap();
        assert_eq!(read, NodeStatus::Unknown);
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"unknown\"");
    }

    #[test]
    fn the_schema_lists_the_texts_in_json() {
        let schema = serde_json::to_value(<NodeHealth as utoipa::PartialSchema>::schema()).unwrap();
        let texts = serde_json::json!(["healthy", "late", "gone", "unknown"]);
        assert_eq!(schema["enum"], texts);
        let written = serde_json::to_value(NodeHealth::Gone).unwrap();
        assert_eq!(written, "gone");
    }
}

//! The kinds of a test's events.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($name:ident, $text:literal, $doc:literal;)*) => {
        /// Kind of a [`TestEvent`](super::messages::TestEvent).
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum EventKind {
            $(#[doc = $doc] $name,)*
            /// A kind of a newer version.
            Other(Box<str>),
        }

        impl EventKind {
            /// The name in messages and results.
            pub fn as_str(&self) -> &str {
                match self {
                    $(EventKind::$name => $text,)*
                    EventKind::Other(name) => name,
                }
            }
        }

        impl From<&str> for EventKind {
            fn from(name: &str) -> EventKind {
                match name {
                    $($text => EventKind::$name,)*
                    name => EventKind::Other(name.into()),
                }
            }
        }
    };
}

kinds! {
    Elected, "elected", "A coordinator was elected.";
    Registered, "registered", "A worker registered, with or without a share of an earlier term.";
    Refused, "refused", "A worker registered that cannot take a share.";
    Joined, "joined", "A worker registered during the load.";
    Rejoined, "rejoined", "A known worker registered again.";
    Left, "left", "A worker left and returned its share.";
    Lost, "lost", "A worker was lost.";
    NoCoordinator, "no_coordinator", "No coordinator renews the load.";
    Assigned, "assigned", "Shares are assigned and the start is planned.";
    Rebalanced, "rebalanced", "A worker's share changed during the load.";
    Overloaded, "overloaded", "A worker reported overload.";
    ShareReduced, "share_reduced", "The share of an overloaded worker is reduced.";
    Threshold, "threshold", "A threshold failed and ends the test.";
    StopRequested, "stop_requested", "A stop was requested.";
    Scaled, "scaled", "The load was scaled.";
    Paused, "paused", "The load was paused.";
    Resumed, "resumed", "The load was resumed.";
    Setup, "setup", "The setup hook finished.";
    SetupFailed, "setup_failed", "The setup hook failed.";
    Teardown, "teardown", "The teardown hook finished.";
    TeardownFailed, "teardown_failed", "The teardown hook failed.";
    Ended, "ended", "The test ended.";
}

impl FromStr for EventKind {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<EventKind, Infallible> {
        Ok(name.into())
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for EventKind {
    fn eq(&self, name: &str) -> bool {
        self.as_str() == name
    }
}

impl PartialEq<&str> for EventKind {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unknown_ones_are_kept() {
        assert_eq!(EventKind::from("share_reduced"), EventKind::ShareReduced);
        assert_eq!(
            EventKind::from("from_the_future").as_str(),
            "from_the_future"
        );
        assert_eq!(EventKind::from(EventKind::Ended.as_str()), EventKind::Ended);
    }
}

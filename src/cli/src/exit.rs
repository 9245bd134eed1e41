//! How a command ends: its exit code, and the one line that says why.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command. Where several apply, the order of
/// this list decides, [`Exit::Success`] aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It did what was asked.
    Success = 0,
    /// The command line makes no sense.
    Usage = 2,
    /// A plan or a configuration is wrong.
    BadInput = 104,
    /// It could not run: a port, no able worker, too few workers, no swarm.
    CouldNotRun = 1,
    /// Somebody stopped the test.
    Stopped = 105,
    /// A threshold was not kept.
    Thresholds = 99,
    /// The result is degraded or invalid, and `--strict` was asked for.
    NotValid = 98,
}

impl Exit {
    /// Of several, the one that counts.
    pub fn first(of: impl IntoIterator<Item = Exit>) -> Exit {
        let order = [
            Exit::Usage,
            Exit::BadInput,
            Exit::CouldNotRun,
            Exit::Stopped,
            Exit::Thresholds,
            Exit::NotValid,
        ];
        let rank = |exit: &Exit| order.iter().position(|o| o == exit).unwrap_or(order.len());
        of.into_iter().min_by_key(rank).unwrap_or(Exit::Success)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed: one line that says what to do, and the exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// For people; one line.
    pub message: String,
}

impl Failure {
    /// The command line makes no sense.
    pub fn usage(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, why)
    }

    /// A plan or a configuration is wrong.
    pub fn input(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::BadInput, why)
    }

    /// It could not run.
    pub fn run(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::CouldNotRun, why)
    }

    /// Somebody stopped it.
    pub fn stopped(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::Stopped, why)
    }

    fn new(exit: Exit, why: impl fmt::Display) -> Failure {
        let message = one_line(&why.to_string());
        Failure { exit, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_exits_the_first_of_the_list_counts() {
        use Exit::*;
        assert_eq!(Exit::first([]), Success);
        assert_eq!(Exit::first([Success, NotValid, Success]), NotValid);
        assert_eq!(Exit::first([NotValid, Thresholds, Stopped]), Stopped);
        assert_eq!(Exit::first([Thresholds, CouldNotRun]), CouldNotRun);
    }

    #[test]
    fn a_failure_is_one_line_whatever_its_cause_says() {
        assert_eq!(Failure::run("first\n\n  second\n").message, "first; second");
    }
}

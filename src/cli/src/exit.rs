//! Exit codes, and the one-line error of a failed command.

use std::fmt;
use std::process::ExitCode;

/// Exit codes of all commands. If several apply, the first of this list is used, except for
/// [`Exit::Success`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// Invalid command line.
    Usage = 2,
    /// Invalid plan or configuration.
    BadInput = 104,
    /// Could not run: a port in use, no able worker, too few workers, no swarm.
    CouldNotRun = 1,
    /// The test was stopped.
    Stopped = 105,
    /// A threshold failed.
    Thresholds = 99,
    /// The result is degraded or invalid, with `--strict`.
    NotValid = 98,
}

impl Exit {
    /// The one to use if several apply.
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

/// A failed command: the exit code, and one line with the error and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line; several only for an invalid plan, which is quoted.
    pub message: String,
}

impl Failure {
    /// Invalid command line.
    pub fn usage(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, why)
    }

    /// Invalid plan or configuration.
    pub fn input(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::BadInput, why)
    }

    /// Could not run.
    pub fn run(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::CouldNotRun, why)
    }

    /// Stopped by a user.
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
    fn the_first_exit_code_of_the_list_is_used() {
        use Exit::*;
        assert_eq!(Exit::first([]), Success);
        assert_eq!(Exit::first([Success, NotValid, Success]), NotValid);
        assert_eq!(Exit::first([NotValid, Thresholds, Stopped]), Stopped);
        assert_eq!(Exit::first([Thresholds, CouldNotRun]), CouldNotRun);
    }

    #[test]
    fn a_failure_is_one_line_even_if_its_cause_has_several() {
        assert_eq!(Failure::run("first\n\n  second\n").message, "first; second");
    }
}

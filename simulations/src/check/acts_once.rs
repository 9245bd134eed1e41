//! Nothing twice: each arrival and each request number is carried out at most once, and each user is
//! active on at most one machine at any instant.

use super::checker::Checker;
use crate::violation::Violation;
use crate::world::World;

/// Checks the record of what the engines did.
#[derive(Debug)]
pub struct ActsOnce {
    /// Index of the test.
    pub of: usize,
}

impl Checker for ActsOnce {
    fn name(&self) -> &'static str {
        "nothing twice"
    }

    fn after(&mut self, world: &World, _touched: usize) -> Result<(), Violation> {
        match &world.tests[self.of].acts.repeated {
            Some(r) => Err(world.violation(
                self.name(),
                format!(
                    "{} {} was carried out by n{} and by n{}",
                    r.what, r.number, r.machines.0, r.machines.1
                ),
            )),
            None => Ok(()),
        }
    }

    fn at_end(&mut self, world: &World) -> Result<(), Violation> {
        let test = &world.tests[self.of];
        for (user, iterations) in test.acts.users.iter().enumerate() {
            let mut sorted = iterations.clone();
            sorted.sort_unstable();
            let overlap = sorted.windows(2).find(|w| w[1].from < w[0].to);
            if let Some([first, second]) = overlap {
                return Err(world.violation(
                    self.name(),
                    format!(
                        "user {user} was active on n{} from {:.4} s to {:.4} s and on n{} from {:.4} s",
                        first.machine,
                        first.from.as_secs_f64(),
                        first.to.as_secs_f64(),
                        second.machine,
                        second.from.as_secs_f64()
                    ),
                ));
            }
        }
        let most = test.plan.load.requests().unwrap_or(u64::MAX);
        let (_, numbers) = test.acts.count();
        if numbers as u64 > most {
            let text = format!("{numbers} request numbers of {most} were used");
            return Err(world.violation(self.name(), text));
        }
        Ok(())
    }
}

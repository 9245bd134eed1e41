//! The variables of templates.
//!
//! Templates look names up when they use them, so that the number of constants and setup values
//! does not affect the cost of a request.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use minijinja::value::Object;

use vajra_plan::{Draws, Values, value_of};
use vajra_task::Arrival;

/// Variables that are the same in all iterations.
#[derive(Debug, Default)]
pub struct Constants {
    /// Secrets, by their name after `env.`.
    pub env: Value,
    /// The plan's constants.
    pub vars: Value,
}

/// The values that a plan's setup extracted, shared by all threads of a test on a node. They may
/// be set after the task is prepared.
#[derive(Clone, Debug, Default)]
pub struct SetupValues(Arc<OnceLock<Value>>);

impl SetupValues {
    /// Sets the values. Only the first call has an effect.
    pub fn set(&self, values: &Values) {
        // An error means that they are set already.
        let _ = self.0.set(value_of(values));
    }

    /// The values for templates, if they are set.
    pub fn get(&self) -> Option<&Value> {
        self.0.get()
    }
}

/// Variables of one iteration.
#[derive(Clone, Debug)]
pub struct Variables {
    constants: Arc<Constants>,
    /// The setup's values, if they are set.
    pub setup: Option<Value>,
    iteration: Value,
    user: Value,
    scenario: Value,
    draws: (&'static str, Value),
    /// Rows of data and extracted values.
    own: BTreeMap<String, Value>,
}

impl Variables {
    /// Variables before the first iteration.
    pub fn new(constants: Arc<Constants>) -> Variables {
        Variables {
            constants,
            setup: None,
            iteration: Value::UNDEFINED,
            user: Value::UNDEFINED,
            scenario: Value::UNDEFINED,
            draws: Draws::new(0).entry(),
            own: BTreeMap::new(),
        }
    }

    /// Starts a new iteration, without rows and extracted values.
    pub fn start(&mut self, arrival: Arrival, scenario: Value, setup: Option<Value>) {
        self.iteration = arrival.number.into();
        self.user = arrival.user.into();
        self.draws = Draws::new(arrival.seed()).entry();
        (self.scenario, self.setup) = (scenario, setup);
        self.own.clear();
    }

    /// Adds a row or an extracted value.
    pub fn add(&mut self, name: &str, value: Value) {
        match self.own.get_mut(name) {
            Some(known) => *known = value,
            None => {
                self.own.insert(name.to_owned(), value);
            }
        }
    }

    /// A row or an extracted value.
    pub fn own(&self, name: &str) -> Option<&Value> {
        self.own.get(name)
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "env" => Some(self.constants.env.clone()),
            "vars" => Some(self.constants.vars.clone()),
            "setup" => self.setup.clone(),
            "iteration" => Some(self.iteration.clone()),
            "user" => Some(self.user.clone()),
            "scenario" => Some(self.scenario.clone()),
            key if key == self.draws.0 => Some(self.draws.1.clone()),
            key => self.own.get(key).cloned(),
        }
    }
}

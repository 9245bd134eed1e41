//! What the templates of an iteration can use.
//!
//! Templates look a name up when they come to it, so that a request costs no copy of all of
//! them, however many constants and values of the setup there are.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use minijinja::value::Object;

use crate::Arrival;
use vajra_plan::{Draws, Values, value_of};

/// What is the same in all iterations.
#[derive(Debug, Default)]
pub struct Constants {
    /// Secrets, by the name behind `env.`.
    pub env: Value,
    /// The plan's constants.
    pub vars: Value,
}

/// The setup's values, for all who run the plan here: there once they were handed out.
#[derive(Clone, Debug, Default)]
pub struct SetupValues(Arc<OnceLock<Value>>);

impl SetupValues {
    /// Hands them out. They are given once; whatever comes later changes nothing.
    pub fn give(&self, values: &Values) {
        // An error tells that they were there already.
        let _ = self.0.set(value_of(values));
    }

    /// As templates see them, if they are there.
    pub fn get(&self) -> Option<&Value> {
        self.0.get()
    }
}

/// Variables of one iteration.
#[derive(Clone, Debug)]
pub struct Variables {
    constants: Arc<Constants>,
    /// The setup's values, if they are there.
    pub setup: Option<Value>,
    iteration: Value,
    user: Value,
    scenario: Value,
    draws: (&'static str, Value),
    /// Rows of data, and what steps extracted.
    own: BTreeMap<String, Value>,
}

impl Variables {
    /// Of no iteration yet.
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

    /// Those of a new iteration, before its data.
    pub fn begin(&mut self, arrival: Arrival, scenario: Value, setup: Option<Value>) {
        self.iteration = arrival.number.into();
        self.user = arrival.user.into();
        self.draws = Draws::new(arrival.seed()).entry();
        (self.scenario, self.setup) = (scenario, setup);
        self.own.clear();
    }

    /// Adds a row, or an extracted value.
    pub fn add(&mut self, name: &str, value: Value) {
        match self.own.get_mut(name) {
            Some(known) => *known = value,
            None => {
                self.own.insert(name.to_owned(), value);
            }
        }
    }

    /// A row, or an extracted value.
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

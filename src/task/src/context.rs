//! What a node provides to the tasks that it runs.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::policy::TargetPolicy;
use crate::secrets::Secrets;
use vajra_core::sync::lock;

/// What a node provides to the tasks that it runs.
#[derive(Debug, Default)]
pub struct TaskContext {
    /// Targets that tests may have.
    pub policy: TargetPolicy,
    /// Secrets that plans may refer to.
    pub secrets: Secrets,
    /// Local addresses that connections start from, in rotation; if empty, the system chooses.
    pub sources: Vec<IpAddr>,
    /// State that all tests of the node share, such as caches.
    pub shared: SharedState,
}

/// One value of each type that a task asks for, created when first used.
#[derive(Default)]
pub struct SharedState(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl SharedState {
    /// The value of a type; its default if it was not used before.
    pub fn get<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut values = lock(&self.0);
        let value = values
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(T::default()));
        match value.clone().downcast() {
            Ok(value) => value,
            Err(_) => unreachable!("values are stored under their own type"),
        }
    }
}

impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedState").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_state_has_one_value_per_type() {
        let context = TaskContext::default();
        let numbers = context.shared.get::<Mutex<Vec<u8>>>();
        assert!(Arc::ptr_eq(&numbers, &context.shared.get()));
        let text = context.shared.get::<String>();
        assert_eq!(text.as_str(), "");
    }
}

//! The shipped task types, and how a plan's task is prepared.

use std::sync::Arc;

use serde_json::{Value, json};
use vajra_plan as plan;
use vajra_task::{
    Failure, FromTask, MetricDeclaration, PrepareError, Task, TaskContext, TestOrigin,
};

use crate::http::HttpPrepared;
use crate::scenario::{ScenarioPrepared, ScenarioSpec, SetupValues};
use crate::simple::{CpuTask, FailingTask, SleepTask};

/// The task types that this node can run, as its adverts name them.
pub const TASK_TYPES: [&str; 4] = [
    HttpPrepared::NAME,
    SleepTask::NAME,
    CpuTask::NAME,
    ScenarioPrepared::NAME,
];

/// A task type: what a plan may contain for it, and what it measures.
#[derive(Debug, Clone, Copy)]
pub struct TaskType {
    /// Name in plans and adverts.
    pub name: &'static str,
    /// JSON Schema of its part of a plan.
    pub schema: fn() -> Value,
    /// Its custom metrics.
    pub metrics: fn() -> &'static [MetricDeclaration],
}

impl TaskType {
    fn of<T: Task>() -> TaskType {
        TaskType {
            name: T::NAME,
            schema: T::schema,
            metrics: T::metrics,
        }
    }
}

/// The task types of a node, by name.
#[derive(Debug, Clone)]
pub struct TaskRegistry(Vec<TaskType>);

impl TaskRegistry {
    /// The task types that ship with Vajra.
    pub fn shipped() -> TaskRegistry {
        TaskRegistry(vec![
            TaskType::of::<HttpPrepared>(),
            TaskType::of::<SleepTask>(),
            TaskType::of::<CpuTask>(),
            TaskType::of::<ScenarioPrepared>(),
        ])
    }

    /// A task type by its name.
    pub fn get(&self, name: &str) -> Option<&TaskType> {
        self.iter().find(|t| t.name == name)
    }

    /// All task types.
    pub fn iter(&self) -> impl Iterator<Item = &TaskType> {
        self.0.iter()
    }
}

/// A plan's task, ready to run.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// HTTP requests.
    Http(Arc<HttpPrepared>),
    /// Waiting.
    Sleep(Arc<SleepTask>),
    /// Using a core.
    Cpu(Arc<CpuTask>),
    /// Scenarios.
    Scenarios(Arc<ScenarioPrepared>),
    /// Failing, because the task could not be prepared.
    Failing(Arc<FailingTask>),
}

impl Prepared {
    /// A task whose requests fail because the real one could not be prepared.
    pub fn failing(error: PrepareError) -> Prepared {
        Prepared::Failing(Arc::new(FailingTask::new(Failure::from(error))))
    }

    /// The endpoints that it connects to: one for each scheme, host and port.
    pub fn endpoints(&self) -> Vec<Arc<HttpPrepared>> {
        match self {
            Prepared::Http(http) => vec![http.clone()],
            Prepared::Scenarios(scenarios) => scenarios.endpoints.clone(),
            Prepared::Sleep(_) | Prepared::Cpu(_) | Prepared::Failing(_) => Vec::new(),
        }
    }

    /// Converts it to what its host runs, such as the engine's `EngineTask`.
    pub fn into_host<H: FromTask>(self) -> H {
        match self {
            Prepared::Http(task) => H::from_task(task),
            Prepared::Sleep(task) => H::from_task(task),
            Prepared::Cpu(task) => H::from_task(task),
            Prepared::Scenarios(task) => H::from_task(task),
            Prepared::Failing(task) => H::from_task(task),
        }
    }
}

/// Prepares a plan's task: resolves and checks its target, reads its secrets, builds its request.
/// A node that can't prepare it can't take part in the test and reports the error to the
/// coordinator. Missing rows of data are reported only if everything else succeeds.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    task: &plan::Task,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
) -> Result<Prepared, PrepareError> {
    let (task, context) = (task.clone(), context.clone());
    let preparing = tokio::task::spawn_blocking(move || prepare_blocking(&task, &context, origin));
    match preparing.await {
        Ok(result) => result,
        Err(e) => Err(PrepareError::Request(format!(
            "the request can't be built: {e}"
        ))),
    }
}

/// [`prepare`] for a thread that may block.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_blocking(
    task: &plan::Task,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
) -> Result<Prepared, PrepareError> {
    prepare_with(task, context, origin, &SetupValues::default())
}

/// [`prepare_blocking`] for a task that uses the values of a setup, which may be set later.
///
/// # Errors
/// See [`PrepareError`].
pub fn prepare_with(
    task: &plan::Task,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
    setup: &SetupValues,
) -> Result<Prepared, PrepareError> {
    Ok(match task {
        plan::Task::Http(http) => {
            Prepared::Http(Arc::new(HttpPrepared::prepare(http, context, origin)?))
        }
        plan::Task::Sleep { ms } => {
            Prepared::Sleep(declared(json!({ "ms": ms }), context, origin)?)
        }
        plan::Task::Cpu { ms } => Prepared::Cpu(declared(json!({ "ms": ms }), context, origin)?),
        plan::Task::Scenarios(scenarios) => {
            let spec = |scenarios| ScenarioSpec {
                scenarios,
                setup: setup.clone(),
            };
            // Each node that takes part may have to run the hooks.
            for hook in [plan::Hook::Setup, plan::Hook::Teardown] {
                if !scenarios.hook_steps(hook).is_empty() {
                    ScenarioPrepared::prepare(&spec(scenarios.only(hook)), context, origin)?;
                }
            }
            let spec = spec((**scenarios).clone());
            let prepared = ScenarioPrepared::prepare(&spec, context, origin)?;
            Prepared::Scenarios(Arc::new(prepared))
        }
    })
}

/// Prepares a task from its declared parameters.
fn declared<T: Task<Spec = vajra_task::ParameterValues>>(
    parameters: Value,
    context: &Arc<TaskContext>,
    origin: TestOrigin,
) -> Result<Arc<T>, PrepareError> {
    let Value::Object(parameters) = parameters else {
        unreachable!("parameters are a JSON object");
    };
    let values = T::parameters().validate(&parameters)?;
    T::prepare(&values, context, origin).map(Arc::new)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_lists_the_advertised_task_types() {
        let names: Vec<&str> = TaskRegistry::shipped().iter().map(|t| t.name).collect();
        assert_eq!(names, TASK_TYPES);
    }

    #[test]
    fn every_task_type_describes_its_part_of_a_plan() {
        let registry = TaskRegistry::shipped();
        let schema = |name| (registry.get(name).unwrap().schema)();
        assert_eq!(schema("SLEEP")["properties"]["ms"]["maximum"], 3_600_000);
        assert_eq!(schema("CPU")["required"], json!(["ms"]));
        for name in ["HTTP", "SCENARIO"] {
            let text = schema(name).to_string();
            assert!(text.contains("url"), "{name}: {text}");
            for (at, prefix) in text.match_indices("#/$defs/") {
                let definition = &text[at + prefix.len()..];
                let definition = &definition[..definition.find('"').unwrap()];
                let schema = schema(name);
                assert!(
                    !schema["$defs"][definition].is_null(),
                    "{name}: {definition}"
                );
            }
        }
        assert!(registry.get("FTP").is_none());
    }

    #[test]
    fn declared_ranges_are_those_of_plans() {
        let context = Arc::new(TaskContext::default());
        let sleep = |ms| plan::Task::Sleep { ms };
        let prepare = |task| prepare_blocking(&task, &context, TestOrigin::OtherNode);
        assert!(prepare(sleep(3_600_000)).is_ok());
        let error = prepare(sleep(3_600_001)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the parameter \"ms\" is 3600001, expected an integer from 0 to 3600000"
        );
    }
}

//! The task SDK: what a task for Vajra's load engine is written against.
//!
//! A [`Task`] is prepared once per test on each node: its target is checked against the
//! [`TargetPolicy`], its [`Secrets`] are read, its request is built. Each engine thread creates a
//! [`Client`], which opens [`Session`]s, one per concurrent user or connection. A session runs one
//! request at a time.
//!
//! - **The lease gate:** immediately before it sends, a session calls [`Gate::open`], which
//!   checks the node's lease and takes the send time. Only the [`Permit`] that it returns allows
//!   a session to report success.
//! - **The target policy:** a task resolves its target with [`TargetPolicy::resolve`] and checks
//!   each address before it connects, so that tests of other nodes reach only targets that the
//!   operator allows.
//! - **Parameters:** a [`Parameters`] declaration validates input and describes it as JSON Schema.
//! - **Metrics:** sessions report checks, [`Phase`]s and custom metrics ([`MetricDeclaration`])
//!   through the gate. [`CustomMetrics`] merge exactly.
//!
//! ```
//! use std::rc::Rc;
//! use std::sync::Arc;
//! use vajra_task::*;
//!
//! /// Computes a checksum; nothing is sent.
//! struct Checksum {
//!     bytes: usize,
//! }
//!
//! struct Worker(Arc<Checksum>);
//!
//! const EVEN: MetricId = MetricId(0);
//!
//! impl Task for Checksum {
//!     const NAME: &'static str = "CHECKSUM";
//!     type Spec = ParameterValues;
//!     type Client = Worker;
//!
//!     fn parameters() -> Parameters {
//!         let bytes = ParameterKind::Integer { min: 1, max: 1_000_000 };
//!         Parameters::new([Parameter::required("bytes", bytes, "Length of the input, in bytes.")])
//!     }
//!
//!     fn metrics() -> &'static [MetricDeclaration] {
//!         &[MetricDeclaration {
//!             name: "even",
//!             kind: MetricKind::Rate,
//!             unit: "",
//!             help: "Ratio of even checksums.",
//!         }]
//!     }
//!
//!     fn prepare(
//!         spec: &ParameterValues,
//!         _: &Arc<TaskContext>,
//!         _: TestOrigin,
//!     ) -> Result<Checksum, PrepareError> {
//!         let bytes = spec.integer("bytes").unwrap_or(1);
//!         Ok(Checksum { bytes: bytes as usize })
//!     }
//!
//!     fn client(self: &Arc<Self>, _: Rc<Traffic>) -> Worker {
//!         Worker(self.clone())
//!     }
//! }
//!
//! impl Client for Worker {
//!     type Session = Worker;
//!
//!     fn session(&self) -> Worker {
//!         Worker(self.0.clone())
//!     }
//! }
//!
//! impl Session for Worker {
//!     async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
//!         let Some(permit) = gate.open() else {
//!             return Outcome::NotSent;
//!         };
//!         let sum: usize = (0..self.0.bytes).sum();
//!         gate.count_rate(EVEN, sum % 2 == 0);
//!         Outcome::Ok { status: None, permit }
//!     }
//!
//!     async fn idle(&mut self) {
//!         std::future::pending().await
//!     }
//! }
//! ```

mod arrival;
mod context;
mod gate;
mod metrics;
mod origin;
mod outcome;
mod parameters;
mod phase;
mod policy;
mod prepare;
mod secrets;
mod task;

pub use arrival::{Arrival, NextStep};
pub use context::{SharedState, TaskContext};
pub use gate::{Gate, Permit};
pub use metrics::{
    CustomMetrics, MergeError, MetricDeclaration, MetricId, MetricKind, MetricValue,
};
pub use origin::TestOrigin;
pub use outcome::{Failure, FailureKind, Outcome};
pub use parameters::{
    Parameter, ParameterError, ParameterKind, ParameterValue, ParameterValues, Parameters, Presence,
};
pub use phase::{Phase, PhaseTimes};
pub use policy::{AllowTarget, AllowTargetError, Refusal, TargetPolicy};
pub use prepare::PrepareError;
pub use secrets::{HeaderText, SecretError, Secrets};
pub use task::{Client, FromTask, Session, Task, Traffic};

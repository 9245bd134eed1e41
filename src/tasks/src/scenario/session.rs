//! Runs the iterations of scenarios.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cookie_store::{CookieStore, RawCookie};
use minijinja::Value;
use url::Url;

use vajra_plan::{self as plan, Pick, Received, Values, value_of};
use vajra_task::{
    Arrival, Client as _, Failure, FailureKind, Gate, MetricId, NextStep, Outcome, Permit, Phase,
    Session, Task as _, Traffic,
};

use super::prepared::{PreparedStep, ScenarioPrepared};
use super::row::Row;
use super::variables::Variables;
use crate::http::{HttpClient, HttpSession, Message, error_status};

/// What an engine thread's sessions share.
pub struct Thread {
    /// The scenarios.
    pub task: Arc<ScenarioPrepared>,
    /// A client for each endpoint.
    pub clients: Vec<HttpClient>,
}

impl Thread {
    /// Without connections.
    pub fn new(task: Arc<ScenarioPrepared>, traffic: Rc<Traffic>) -> Thread {
        let clients = task.endpoints.iter().map(|e| e.client(traffic.clone()));
        Thread {
            clients: clients.collect(),
            task,
        }
    }
}

/// Runs one iteration at a time.
pub struct ScenarioSession {
    thread: Rc<Thread>,
    /// One for each endpoint, opened when first needed.
    connections: Vec<Option<HttpSession>>,
    cookies: CookieStore,
    /// Variables of this iteration. Templates share them only while they are rendered.
    variables: Arc<Variables>,
    arrival: Arrival,
    scenario: usize,
    step: usize,
    /// The iteration ends before its last step.
    ended: bool,
    /// Name of data that has no row for this iteration.
    exhausted: Option<String>,
    received: Received,
}

impl ScenarioSession {
    /// A session that is not connected.
    pub fn new(thread: Rc<Thread>) -> ScenarioSession {
        ScenarioSession {
            connections: thread.clients.iter().map(|_| None).collect(),
            variables: Arc::new(Variables::new(thread.task.constants.clone())),
            thread,
            cookies: CookieStore::default(),
            arrival: Arrival {
                number: 0,
                user: None,
                iteration: 0,
            },
            scenario: 0,
            step: 0,
            ended: false,
            exhausted: None,
            received: Received::default(),
        }
    }

    /// Replaces the setup's values in this iteration.
    pub fn set_setup_values(&mut self, values: &Values) {
        Arc::make_mut(&mut self.variables).setup = Some(value_of(values));
    }

    /// A value that a step of this iteration extracted.
    pub fn extracted(&self, name: &str) -> Option<String> {
        self.variables.own(name).map(Value::to_string)
    }

    /// The last response.
    pub fn received(&self) -> &Received {
        &self.received
    }

    fn connection(&mut self, endpoint: usize) -> &mut HttpSession {
        let clients = &self.thread.clients;
        self.connections[endpoint].get_or_insert_with(|| clients[endpoint].session())
    }

    /// Selects the rows of this iteration.
    fn select_rows(&mut self, position: u64) {
        let task = self.thread.task.clone();
        for feed in task.feeds.iter().filter(|f| f.used_by[self.scenario]) {
            let rows = feed.table.rows();
            let uses_before = || task.mix.before(position, |s| feed.used_by[s]);
            let row = match (feed.pick, self.arrival.user) {
                (Pick::Random, _) => plan::hash(self.arrival.seed(), 1 << 32) % rows,
                (Pick::User, Some(user)) => u64::from(user) % rows,
                // Each user starts at its own row.
                (Pick::Sequential, Some(_)) => position % rows,
                (Pick::Unique, _) => uses_before(),
                (Pick::Sequential | Pick::User, _) => uses_before() % rows,
            };
            match row < rows {
                true => {
                    let table = feed.table.clone();
                    let row = Value::from_object(Row { table, row });
                    Arc::make_mut(&mut self.variables).add(&feed.name, row);
                }
                false => self.exhausted = Some(feed.name.clone()),
            }
        }
    }

    /// Renders the step's request.
    fn message(&self, step: &plan::Step, prepared: &PreparedStep) -> Result<Message, Failure> {
        if let Some(name) = &self.exhausted {
            let message = format!("data {name} has no more rows");
            return Err(Failure::new(FailureKind::Template, message));
        }
        let task = &self.thread.task;
        if prepared.needs_setup && self.variables.setup.is_none() {
            let message = "this node has not received the values of the plan's setup";
            return Err(Failure::new(FailureKind::Template, message));
        }
        let context = Value::from_dyn_object(self.variables.clone());
        let mut message = Message {
            method: step.method.clone(),
            origin: prepared.origin.clone(),
            path: path_of(task.render(&prepared.path, &context)?, &prepared.origin),
            headers: Vec::with_capacity(prepared.headers.len() + 2),
            body: task.render_body(&step.body, &context)?,
        };
        for (name, value) in &prepared.headers {
            message
                .headers
                .push((name.clone(), task.render(value, &context)?));
        }
        if self.cookies.iter_any().next().is_some()
            && let Some(url) = self.url(prepared, &message.path)
        {
            let cookies = self.cookies.get_request_values(&url);
            let cookies: Vec<String> = cookies.map(|(n, v)| format!("{n}={v}")).collect();
            if !cookies.is_empty() {
                message.headers.push(("cookie".into(), cookies.join("; ")));
            }
        }
        let has_body = ["POST", "PUT", "PATCH"].contains(&step.method.as_str());
        if has_body || !message.body.is_empty() {
            let length = message.body.len().to_string();
            message.headers.push(("content-length".into(), length));
        }
        Ok(message)
    }

    fn url(&self, prepared: &PreparedStep, path: &str) -> Option<Url> {
        Url::parse(&format!("{}{path}", prepared.origin)).ok()
    }

    fn store_cookies(&mut self, prepared: &PreparedStep, path: &str) {
        let sets_cookie = |(name, _): &&(String, String)| name == "set-cookie";
        if !self.received.headers.iter().any(|h| sets_cookie(&h)) {
            return;
        }
        let Some(url) = self.url(prepared, path) else {
            return;
        };
        let headers = self.received.headers.iter().filter(sets_cookie);
        let cookies = headers.filter_map(|(_, value)| RawCookie::parse(value.clone()).ok());
        self.cookies.store_response_cookies(cookies, &url);
    }

    /// Evaluates the checks and extracts values. Of several failures, the status comes before
    /// checks and checks before extraction.
    fn evaluate<G: Gate>(
        &mut self,
        step: &plan::Step,
        prepared: &PreparedStep,
        gate: &mut G,
    ) -> Result<(), Failure> {
        let mut failure = None;
        for check in &step.check {
            let passed = check.passes(&self.received);
            gate.check(passed);
            if !passed && failure.is_none() {
                failure = Some(Failure::new(FailureKind::Check, check.to_string()));
            }
        }
        for (name, extract) in &step.extract {
            match extract.find(&self.received) {
                Some(value) => {
                    Arc::make_mut(&mut self.variables).add(name, value.into());
                }
                None => {
                    self.ended = true;
                    let message = format!("{name}: {extract} is not in the response");
                    failure.get_or_insert(Failure::new(FailureKind::Extract, message));
                }
            }
        }
        let status = self.received.status;
        if status >= 400 && !prepared.checks_status {
            failure = Some(error_status(status));
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The path of a rendered text, which may be a whole URL of the same origin.
fn path_of(rendered: String, origin: &str) -> String {
    match rendered.strip_prefix(origin) {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => rendered,
    }
}

/// A gate that records when the request is sent.
struct Timed<'a, G> {
    gate: &'a mut G,
    sent: Option<Instant>,
}

impl<G: Gate> Gate for Timed<'_, G> {
    fn open(&mut self) -> Option<Permit> {
        let permit = self.gate.open();
        if permit.is_some() {
            self.sent = Some(Instant::now());
        }
        permit
    }

    fn check(&mut self, passed: bool) {
        self.gate.check(passed);
    }

    fn phase(&mut self, phase: Phase, duration: Duration) {
        self.gate.phase(phase, duration);
    }

    fn add(&mut self, metric: MetricId, amount: u64) {
        self.gate.add(metric, amount);
    }

    fn count_rate(&mut self, metric: MetricId, hit: bool) {
        self.gate.count_rate(metric, hit);
    }

    fn observe(&mut self, metric: MetricId, value: u64) {
        self.gate.observe(metric, value);
    }
}

impl Session for ScenarioSession {
    fn start(&mut self, arrival: Arrival) -> usize {
        let task = self.thread.task.clone();
        let position = arrival.position();
        self.scenario = task.mix.scenario(position);
        (self.step, self.ended, self.arrival) = (0, false, arrival);
        self.exhausted = None;
        self.cookies.clear();
        let (name, setup) = (task.names[self.scenario].clone(), task.setup.get().cloned());
        Arc::make_mut(&mut self.variables).start(arrival, name, setup);
        self.select_rows(position);
        task.scenarios[self.scenario][0].index
    }

    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let task = self.thread.task.clone();
        let step = &task.plan.scenarios[self.scenario].steps[self.step];
        let prepared = &task.scenarios[self.scenario][self.step];
        let message = match self.message(step, prepared) {
            Ok(message) => message,
            Err(failure) => {
                self.ended = true;
                return failure.into();
            }
        };
        let mut timed = Timed { gate, sent: None };
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        let connection = self.connection(prepared.endpoint);
        let sent = connection.send(&mut timed, &message, prepared.timeout, &mut received);
        let sent = sent.await;
        received.time = timed.sent.map_or_else(Default::default, |at| at.elapsed());
        self.received = received;
        let permit = match sent {
            Ok(permit) => permit,
            Err(outcome) => {
                self.ended = true;
                return outcome;
            }
        };
        self.store_cookies(prepared, &message.path);
        let status = Some(self.received.status);
        match self.evaluate(step, prepared, gate) {
            Ok(()) => Outcome::Ok { status, permit },
            Err(failure) => Outcome::Failed { status, failure },
        }
    }

    fn next_step(&mut self) -> Option<NextStep> {
        let task = &self.thread.task;
        let steps = &task.plan.scenarios[self.scenario].steps;
        if self.ended || self.step + 1 == steps.len() {
            return None;
        }
        let think = &steps[self.step].think;
        let pause = plan::pause(think, self.arrival.seed(), self.step);
        self.step += 1;
        Some(NextStep {
            step: task.scenarios[self.scenario][self.step].index,
            pause,
        })
    }

    async fn connect(&mut self) {
        self.connection(0).connect().await;
    }

    async fn idle(&mut self) {
        match self.connections.first_mut() {
            Some(Some(connection)) => connection.idle().await,
            _ => std::future::pending().await,
        }
    }
}

//! A user on its way through a scenario.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use cookie_store::{CookieStore, RawCookie};
use minijinja::Value;
use url::Url;

use super::ready::{Ready, ScenarioPrepared};
use super::row::Row;
use super::variables::Variables;
use crate::http::{HttpClient, HttpSession, Message};
use crate::{Arrival, Client as _, Failure, Gate, Next, Outcome, Session};
use vajra_plan::{self as plan, Pick, Received, Values, value_of};

/// What an engine thread's sessions share.
pub struct Thread {
    /// The scenarios.
    pub ready: Arc<ScenarioPrepared>,
    /// A client for each endpoint.
    pub clients: Vec<HttpClient>,
}

/// A user.
pub struct ScenarioSession {
    thread: Rc<Thread>,
    /// One for each endpoint, opened when first needed.
    connections: Vec<Option<HttpSession>>,
    cookies: CookieStore,
    /// What templates of this iteration can use. Shared with them only while they are filled
    /// in.
    variables: Arc<Variables>,
    arrival: Arrival,
    scenario: usize,
    step: usize,
    /// The iteration has come to its end before its last step.
    over: bool,
    /// Data without a row left for this iteration.
    exhausted: Option<String>,
    received: Received,
}

impl ScenarioSession {
    /// Not connected, and on no way yet.
    pub fn new(thread: Rc<Thread>) -> ScenarioSession {
        ScenarioSession {
            connections: thread.clients.iter().map(|_| None).collect(),
            variables: Arc::new(Variables::new(thread.ready.constants.clone())),
            thread,
            cookies: CookieStore::default(),
            arrival: Arrival {
                number: 0,
                user: None,
                turn: 0,
            },
            scenario: 0,
            step: 0,
            over: false,
            exhausted: None,
            received: Received::default(),
        }
    }

    /// Lets this iteration use other values of a setup than those that were handed out.
    pub fn hand(&mut self, values: &Values) {
        Arc::make_mut(&mut self.variables).setup = Some(value_of(values));
    }

    /// What a step of this iteration extracted.
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

    /// The rows of this iteration.
    fn take_rows(&mut self, place: u64) {
        let ready = self.thread.ready.clone();
        for feed in ready.feeds.iter().filter(|f| f.used_by[self.scenario]) {
            let rows = feed.table.rows();
            let turn = || ready.mix.before(place, |s| feed.used_by[s]);
            let row = match (feed.pick, self.arrival.user) {
                (Pick::Random, _) => plan::hash(self.arrival.seed(), 1 << 32) % rows,
                (Pick::User, Some(user)) => u64::from(user) % rows,
                // Each user begins at a row of its own, and goes on from there.
                (Pick::Sequential, Some(_)) => place % rows,
                (Pick::Unique, _) => turn(),
                (Pick::Sequential | Pick::User, _) => turn() % rows,
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

    /// The step's request, filled in.
    fn message(&self, step: &plan::Step, ready: &Ready) -> Result<Message, Failure> {
        if let Some(name) = &self.exhausted {
            let message = format!("data {name} has no row left");
            return Err(Failure::new("template", message));
        }
        let all = &self.thread.ready;
        if ready.needs_setup && self.variables.setup.is_none() {
            let message = "the values of the plan's setup have not come to this node";
            return Err(Failure::new("template", message));
        }
        let context = Value::from_dyn_object(self.variables.clone());
        let mut message = Message {
            method: step.method.clone(),
            origin: ready.origin.clone(),
            path: path_of(all.fill(&ready.path, &context)?, &ready.origin),
            headers: Vec::with_capacity(ready.headers.len() + 2),
            body: all.fill_body(&step.body, &context)?,
        };
        for (name, value) in &ready.headers {
            message
                .headers
                .push((name.clone(), all.fill(value, &context)?));
        }
        if self.cookies.iter_any().next().is_some()
            && let Some(url) = self.url(ready, &message.path)
        {
            let cookies = self.cookies.get_request_values(&url);
            let cookies: Vec<String> = cookies.map(|(n, v)| format!("{n}={v}")).collect();
            if !cookies.is_empty() {
                message.headers.push(("cookie".into(), cookies.join("; ")));
            }
        }
        let sends = ["POST", "PUT", "PATCH"].contains(&step.method.as_str());
        if sends || !message.body.is_empty() {
            let length = message.body.len().to_string();
            message.headers.push(("content-length".into(), length));
        }
        Ok(message)
    }

    fn url(&self, ready: &Ready, path: &str) -> Option<Url> {
        Url::parse(&format!("{}{path}", ready.origin)).ok()
    }

    fn keep_cookies(&mut self, ready: &Ready, path: &str) {
        let sets = |(name, _): &&(String, String)| name == "set-cookie";
        if !self.received.headers.iter().any(|h| sets(&h)) {
            return;
        }
        let Some(url) = self.url(ready, path) else {
            return;
        };
        let headers = self.received.headers.iter().filter(sets);
        let cookies = headers.filter_map(|(_, value)| RawCookie::parse(value.clone()).ok());
        self.cookies.store_response_cookies(cookies, &url);
    }

    /// What the response is worth, and what is taken out of it.
    fn judge<G: Gate>(
        &mut self,
        step: &plan::Step,
        ready: &Ready,
        gate: &mut G,
    ) -> Result<(), Failure> {
        let mut wrong = None;
        for check in &step.check {
            let held = check.passes(&self.received);
            gate.checked(held);
            if !held && wrong.is_none() {
                wrong = Some(Failure::new("check", check.to_string()));
            }
        }
        for (name, extract) in &step.extract {
            match extract.find(&self.received) {
                Some(value) => {
                    Arc::make_mut(&mut self.variables).add(name, value.into());
                }
                None => {
                    self.over = true;
                    let message = format!("{name}: {extract} is not there");
                    wrong.get_or_insert(Failure::new("extract", message));
                }
            }
        }
        let status = self.received.status;
        if status >= 400 && !ready.judges_status {
            wrong = Some(super::super::http::bad_status(status));
        }
        wrong.map_or(Ok(()), Err)
    }
}

/// A path; where a whole URL of the same place was filled in, that URL's.
fn path_of(filled: String, origin: &str) -> String {
    match filled.strip_prefix(origin) {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => filled,
    }
}

/// Notes when the request is sent.
struct Timed<'a, G> {
    gate: &'a mut G,
    sent: Option<Instant>,
}

impl<G: Gate> Gate for Timed<'_, G> {
    fn open(&mut self) -> bool {
        let open = self.gate.open();
        if open {
            self.sent = Some(Instant::now());
        }
        open
    }
}

impl Session for ScenarioSession {
    fn begin(&mut self, arrival: Arrival) -> usize {
        let ready = self.thread.ready.clone();
        // A user of the closed model goes through the pattern from its own place on.
        let place = arrival.place();
        self.scenario = ready.mix.scenario(place);
        (self.step, self.over, self.arrival) = (0, false, arrival);
        self.exhausted = None;
        self.cookies.clear();
        let (name, setup) = (
            ready.names[self.scenario].clone(),
            ready.handed.get().cloned(),
        );
        Arc::make_mut(&mut self.variables).begin(arrival, name, setup);
        self.take_rows(place);
        ready.scenarios[self.scenario][0].index
    }

    async fn run<G: Gate>(&mut self, gate: &mut G) -> Outcome {
        let all = self.thread.ready.clone();
        let step = &all.plan.scenarios[self.scenario].steps[self.step];
        let ready = &all.scenarios[self.scenario][self.step];
        let message = match self.message(step, ready) {
            Ok(message) => message,
            Err(failure) => {
                self.over = true;
                return failure.into();
            }
        };
        let mut timed = Timed { gate, sent: None };
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        let connection = self.connection(ready.endpoint);
        let sent = connection.send(&mut timed, &message, ready.timeout, &mut received);
        let sent = sent.await;
        received.time = timed.sent.map_or_else(Default::default, |at| at.elapsed());
        self.received = received;
        if let Err(ended) = sent {
            self.over = true;
            return ended;
        }
        self.keep_cookies(ready, &message.path);
        let status = Some(self.received.status);
        match self.judge(step, ready, gate) {
            Ok(()) => Outcome::Ok { status },
            Err(failure) => Outcome::Failed { status, failure },
        }
    }

    fn next(&mut self) -> Option<Next> {
        let ready = &self.thread.ready;
        let steps = &ready.plan.scenarios[self.scenario].steps;
        if self.over || self.step + 1 == steps.len() {
            return None;
        }
        let think = &steps[self.step].think;
        let pause = plan::pause(think, self.arrival.seed(), self.step);
        self.step += 1;
        Some(Next {
            step: ready.scenarios[self.scenario][self.step].index,
            pause,
        })
    }

    async fn prepare(&mut self) {
        self.connection(0).prepare().await;
    }

    async fn idle(&mut self) {
        match self.connections.first_mut() {
            Some(Some(connection)) => connection.idle().await,
            _ => std::future::pending().await,
        }
    }
}

//! What a plan may ask for: every range and combination, checked in one place.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parse::{MAX_PLAN_BYTES, PlanError};
use super::units::show_duration;
use super::{
    Arrivals, HttpTask, HttpVersion, Load, Model, Plan, Profile, TargetUrl, Task, TlsOptions,
};

pub const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
pub const MS: Duration = Duration::from_millis(1);

/// Most headers of a request.
const MAX_HEADERS: usize = 100;
/// Largest generated body in bytes.
pub(super) const MAX_BODY: u64 = 64 << 20;
/// Most requests that share a connection.
pub(super) const MAX_STREAMS: u64 = 1000;
/// Most addresses to connect to in turn.
pub(super) const MAX_ADDRESSES: u64 = 1000;
/// Most tags, and most labels to choose nodes by.
pub(super) const MAX_PAIRS: usize = 32;
/// Most requests of a plan: more than 24 h at the highest rate.
pub(super) const MAX_REQUESTS: u64 = 1_000_000_000_000;
/// Headers that the engine sets itself; another value would break the connection.
const OWN_HEADERS: [&str; 4] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
];

impl Plan {
    /// Checks every field. A plan made by [`super::parse_toml`], [`super::parse_json`] or
    /// [`Plan::from_bytes`] has passed; one put together or changed by hand has not.
    ///
    /// # Errors
    /// The first field that is wrong, what was given, and what is allowed.
    pub fn validate(&self) -> Result<(), PlanError> {
        if let Some(name) = &self.name {
            text("name", name, 1, 100)?;
        }
        pairs("tags", &self.tags)?;
        pairs("swarm.where", &self.swarm.labels)?;
        match &self.task {
            Task::Http(http) => http.validate()?,
            Task::Sleep { ms } => within("task.ms", *ms, 0, 3_600_000)?,
            Task::Cpu { ms } => within("task.ms", *ms, 0, 60_000)?,
            Task::Scenarios(_) => {}
        }
        self.load.validate()?;
        if let Task::Scenarios(scenarios) = &self.task {
            scenarios.validate(&self.load)?;
        }
        within(
            "thresholds",
            self.thresholds.len() as u64,
            0,
            MAX_PAIRS as u64,
        )?;
        for (i, threshold) in self.thresholds.iter().enumerate() {
            let found_at = || vec!["thresholds".into(), i.into()];
            let checked = threshold.check_scope(&self.task);
            checked.map_err(|why| PlanError::field("thresholds", why).found_at(found_at()))?;
        }
        within(
            "swarm.min_workers",
            u64::from(self.swarm.min_workers),
            1,
            10_000,
        )?;
        if let Some(timeout) = self.swarm.graceful_timeout {
            lasting("swarm.graceful_timeout", timeout, Duration::ZERO, HOUR)?;
        }
        lasting("limits.lag_p99", self.limits.lag_p99, MS, HOUR)?;
        if !(0.0..=1.0).contains(&self.limits.dropped) {
            let given = self.limits.dropped;
            return Err(PlanError::field(
                "limits.dropped",
                format!("{given} is not between 0 and 1"),
            ));
        }
        let size = self.to_bytes().len();
        if size > MAX_PLAN_BYTES {
            return Err(PlanError::TooLarge(size));
        }
        Ok(())
    }
}

/// A request's method and headers.
///
/// # Errors
/// Which of them can't be sent.
pub fn validate_request(method: &str, headers: &[(String, String)]) -> Result<(), PlanError> {
    if !is_token(method) || method.len() > 32 || method == "CONNECT" {
        return Err(PlanError::field(
            "task.method",
            format!("{:?} is no request method such as GET or POST", method),
        ));
    }
    within("task.headers", headers.len() as u64, 0, MAX_HEADERS as u64)?;
    for (name, value) in headers {
        let wrong = |problem: String| {
            let path = vec!["task".into(), "headers".into(), name.as_str().into()];
            Err(PlanError::field("task.headers", problem).found_at(path))
        };
        if !is_token(name) {
            return wrong(format!("{name:?} is no header name"));
        }
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return wrong(format!("{name:?} is set by the engine itself"));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return wrong(format!("the value of {name:?} holds a control character"));
        }
    }
    Ok(())
}

impl HttpTask {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        TargetUrl::parse(&self.url).map_err(|why| PlanError::field("task.url", why))?;
        validate_request(&self.method, &self.headers)?;
        if let Some(size) = self.body_size {
            within("task.body_size", size, 0, MAX_BODY)?;
            if !self.body.is_empty() {
                return Err(PlanError::field(
                    "task.body_size",
                    "is for a generated body; leave it or task.body out",
                ));
            }
        }
        self.validate_connections()?;
        lasting("task.timeout", self.timeout, MS, HOUR)
    }

    fn validate_connections(&self) -> Result<(), PlanError> {
        within("task.streams", u64::from(self.streams), 1, MAX_STREAMS)?;
        if self.streams > 1 && self.version == HttpVersion::One {
            return Err(PlanError::field(
                "task.streams",
                "is for HTTP/2: set task.version to \"2\", or leave it out",
            ));
        }
        if self.streams > 1 && self.disable_keepalive {
            return Err(PlanError::field(
                "task.streams",
                "makes no sense with task.disable_keepalive, a connection for each request",
            ));
        }
        let addresses = self.addresses.len() as u64;
        within("task.addresses", addresses, 0, MAX_ADDRESSES)?;
        if let Some(interval) = self.dns_refresh {
            lasting("task.dns_refresh", interval, 1000 * MS, DAY)?;
            if !self.addresses.is_empty() {
                return Err(PlanError::field(
                    "task.dns_refresh",
                    "makes no sense with task.addresses, which says where to connect",
                ));
            }
        }
        self.tls.validate(self.url.starts_with("https:"))
    }
}

impl TlsOptions {
    fn validate(&self, https: bool) -> Result<(), PlanError> {
        if !https && *self != TlsOptions::default() {
            return Err(PlanError::field(
                "task.tls",
                "is for https:// URLs; the plan's is an http:// one",
            ));
        }
        match (&self.client_cert, &self.client_key) {
            (Some(_), None) => Err(PlanError::field(
                "task.tls.client_key",
                "is missing; a client certificate needs its private key",
            )),
            (None, Some(_)) => Err(PlanError::field(
                "task.tls.client_cert",
                "is missing; a client key needs its certificate",
            )),
            (_, Some(key)) if !key.starts_with("env:") && !key.starts_with("file:") => {
                Err(PlanError::field(
                    "task.tls.client_key",
                    "must be a reference, env:NAME or file:PATH: keys never travel with a plan",
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Load {
    fn validate(&self) -> Result<(), PlanError> {
        match self.model {
            Model::Open => self.validate_open()?,
            Model::Closed => self.validate_closed()?,
        }
        lasting("load.duration", self.duration, 100 * MS, DAY)?;
        lasting("load.warm_up", self.warm_up, Duration::ZERO, DAY)?;
        lasting("load.ramp_up", self.ramp_up, Duration::ZERO, DAY)?;
        lasting(
            "load.max_lateness",
            self.max_lateness,
            MS,
            Duration::from_secs(10),
        )?;
        self.validate_stages()?;
        if let Some(requests) = self.requests {
            within("load.requests", requests, 1, MAX_REQUESTS)?;
        }
        if Profile::of(self).total_arrivals() == Some(0) {
            return Err(PlanError::field(
                "load",
                "asks for no request at all: raise the rate or the duration",
            ));
        }
        Ok(())
    }

    fn validate_open(&self) -> Result<(), PlanError> {
        let Some(rate) = self.rate else {
            return Err(PlanError::field(
                "load.rate",
                "is missing; the open model needs one",
            ));
        };
        if !(0.001..=1_000_000.0).contains(&rate) {
            return Err(PlanError::field(
                "load.rate",
                format!("{rate} is not allowed; it must be between 0.001 and 1000000 a second"),
            ));
        }
        if self.users.is_some() {
            return Err(PlanError::field(
                "load.users",
                "is for the closed model; with a rate, leave it out",
            ));
        }
        if !self.think_time.is_none() {
            return Err(PlanError::field(
                "load.think_time",
                "is for the closed model; with a rate, leave it out",
            ));
        }
        for (field, limit) in [
            ("load.connections", self.connections),
            ("load.max_in_flight", self.max_in_flight),
        ] {
            if let Some(n) = limit {
                within(field, u64::from(n), 1, 1_000_000)?;
            }
        }
        Ok(())
    }

    fn validate_closed(&self) -> Result<(), PlanError> {
        let Some(users) = self.users else {
            return Err(PlanError::field(
                "load.users",
                "is missing; the closed model needs it",
            ));
        };
        within("load.users", u64::from(users), 1, 1_000_000)?;
        self.think_time
            .validate()
            .map_err(|why| PlanError::field("load.think_time", why))?;
        if self.arrivals != Arrivals::Constant {
            return Err(PlanError::field(
                "load.arrivals",
                "is for the open model; users send when their response has come",
            ));
        }
        let only_open = [
            ("load.rate", self.rate.is_some()),
            ("load.connections", self.connections.is_some()),
            ("load.max_in_flight", self.max_in_flight.is_some()),
        ];
        match only_open.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(PlanError::field(
                field,
                "is for the open model; with users, leave it out",
            )),
            None => Ok(()),
        }
    }
}

fn is_token(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(legal)
}

fn text(field: &'static str, given: &str, min: usize, max: usize) -> Result<(), PlanError> {
    let length = given.chars().count();
    if length < min || length > max || given.chars().any(char::is_control) {
        return Err(PlanError::field(
            field,
            format!(
                "must have {min} to {max} characters and no control characters; it has {length}"
            ),
        ));
    }
    Ok(())
}

fn pairs(field: &'static str, given: &BTreeMap<String, String>) -> Result<(), PlanError> {
    within(field, given.len() as u64, 0, MAX_PAIRS as u64)?;
    for (key, value) in given {
        text(field, key, 1, 64)?;
        text(field, value, 0, 256)?;
    }
    Ok(())
}

fn within(field: &'static str, given: u64, min: u64, max: u64) -> Result<(), PlanError> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(PlanError::field(
        field,
        format!("{given} is not allowed; it must be between {min} and {max}"),
    ))
}

/// A length of time that is within a range.
///
/// # Errors
/// It is not.
pub fn lasting(
    field: &'static str,
    given: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), PlanError> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let (given, min, max) = (show_duration(given), show_duration(min), show_duration(max));
    Err(PlanError::field(
        field,
        format!("{given} is not allowed; it must be between {min} and {max}"),
    ))
}

//! Tasks and loads as they are written, before it is known whether they make sense: one flat
//! table each, so that an unknown field is reported where it stands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::parse::PlanError;
use super::stages::peak;
use super::units::{self, Bytes, Count};
use super::{
    Arrivals, Data, HttpTask, HttpVersion, Load, Model, Pacing, Scenario, Scenarios, Stage, Step,
    Task, ThinkTime, TlsOptions, Values,
};

/// A `[task]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTask {
    #[serde(rename = "type")]
    task_type: Option<String>,
    pub url: Option<String>,
    version: Option<HttpVersion>,
    streams: Option<u32>,
    method: Option<String>,
    headers: Option<RawHeaders>,
    body: Option<String>,
    body_size: Option<Bytes>,
    #[serde(default, with = "units::as_optional_text")]
    timeout: Option<Duration>,
    insecure: Option<bool>,
    tls: Option<TlsOptions>,
    disable_keepalive: Option<bool>,
    addresses: Option<Vec<SocketAddr>>,
    #[serde(default, with = "units::as_optional_text")]
    dns_refresh: Option<Duration>,
    ms: Option<u64>,
    /// Of scenarios in their canonical form.
    http: Option<HttpTask>,
    scenarios: Option<Vec<Scenario>>,
    data: Option<BTreeMap<String, Data>>,
    setup: Option<Vec<Step>>,
    teardown: Option<Vec<Step>>,
    vars: Option<Values>,
}

impl RawTask {
    /// It is a request without a URL.
    pub fn wants_url(&self) -> bool {
        self.task_type.as_deref() == Some("HTTP") && self.url.is_none()
    }
}

/// Headers as a list of pairs, or as a table where no name occurs twice.
#[derive(Clone, Debug)]
pub struct RawHeaders(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for RawHeaders {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<RawHeaders, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RawHeaders;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers as a table, or as a list of [\"name\", \"value\"]")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<RawHeaders, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    all.push(pair);
                }
                Ok(RawHeaders(all))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<RawHeaders, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(RawHeaders(all))
            }
        }
        d.deserialize_any(Visitor)
    }
}

impl TryFrom<RawTask> for Task {
    type Error = PlanError;

    fn try_from(raw: RawTask) -> Result<Task, PlanError> {
        let Some(task_type) = raw.task_type.as_deref() else {
            return Err(PlanError::field(
                "task.type",
                "is missing; it is HTTP, SLEEP or CPU",
            ));
        };
        if task_type == "SCENARIO" {
            let missing = || PlanError::field("task", "lacks http or scenarios");
            return Ok(Task::Scenarios(Box::new(Scenarios {
                http: raw.http.ok_or_else(missing)?,
                scenarios: raw.scenarios.ok_or_else(missing)?,
                data: raw.data.unwrap_or_default(),
                setup: raw.setup.unwrap_or_default(),
                teardown: raw.teardown.unwrap_or_default(),
                vars: raw.vars.unwrap_or_default(),
            })));
        }
        let once = raw.setup.is_some() || raw.teardown.is_some() || raw.vars.is_some();
        if raw.http.is_some() || raw.scenarios.is_some() || raw.data.is_some() || once {
            return Err(PlanError::field(
                "task",
                format!("has scenarios, and its type is {task_type}"),
            ));
        }
        if task_type == "HTTP" {
            if raw.ms.is_some() {
                return Err(PlanError::field(
                    "task.ms",
                    "is for SLEEP and CPU tasks, not for HTTP",
                ));
            }
            let url = raw.url.ok_or_else(|| {
                PlanError::field(
                    "task.url",
                    "is missing; give the http:// or https:// URL to request",
                )
            })?;
            return Ok(Task::Http(HttpTask {
                url,
                version: raw.version.unwrap_or_default(),
                streams: raw.streams.unwrap_or(1),
                method: raw.method.unwrap_or_else(get),
                headers: raw.headers.map(|h| h.0).unwrap_or_default(),
                body: raw.body.unwrap_or_default(),
                body_size: raw.body_size.map(|b| b.0),
                timeout: raw.timeout.unwrap_or_else(ten_seconds),
                insecure: raw.insecure.unwrap_or_default(),
                tls: raw.tls.unwrap_or_default(),
                disable_keepalive: raw.disable_keepalive.unwrap_or_default(),
                addresses: raw.addresses.unwrap_or_default(),
                dns_refresh: raw.dns_refresh,
            }));
        }
        let only_http = [
            ("task.url", raw.url.is_some()),
            ("task.version", raw.version.is_some()),
            ("task.streams", raw.streams.is_some()),
            ("task.method", raw.method.is_some()),
            ("task.headers", raw.headers.is_some()),
            ("task.body", raw.body.is_some()),
            ("task.body_size", raw.body_size.is_some()),
            ("task.timeout", raw.timeout.is_some()),
            ("task.insecure", raw.insecure.is_some()),
            ("task.tls", raw.tls.is_some()),
            ("task.disable_keepalive", raw.disable_keepalive.is_some()),
            ("task.addresses", raw.addresses.is_some()),
            ("task.dns_refresh", raw.dns_refresh.is_some()),
        ];
        if let Some((field, _)) = only_http.into_iter().find(|(_, given)| *given) {
            return Err(PlanError::field(
                field,
                format!("is for HTTP tasks, not for {task_type}"),
            ));
        }
        let ms = raw
            .ms
            .ok_or_else(|| PlanError::field("task.ms", "is missing; give milliseconds"));
        match task_type {
            "SLEEP" => Ok(Task::Sleep { ms: ms? }),
            "CPU" => Ok(Task::Cpu { ms: ms? }),
            other => Err(PlanError::field(
                "task.type",
                format!("{other:?} is not known; it is HTTP, SLEEP or CPU"),
            )),
        }
    }
}

/// A `[load]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLoad {
    model: Option<Model>,
    rate: Option<Count>,
    users: Option<Count>,
    think_time: Option<ThinkTime>,
    #[serde(default, with = "units::as_optional_text")]
    duration: Option<Duration>,
    #[serde(default, with = "units::as_text")]
    warm_up: Duration,
    #[serde(default, with = "units::as_text")]
    ramp_up: Duration,
    requests: Option<Count>,
    connections: Option<Count>,
    max_in_flight: Option<Count>,
    #[serde(default = "hundred_ms", with = "units::as_text")]
    max_lateness: Duration,
    #[serde(default)]
    pacing: Pacing,
    #[serde(default)]
    arrivals: Arrivals,
    #[serde(default)]
    stages: Vec<Stage>,
}

impl TryFrom<RawLoad> for Load {
    type Error = PlanError;

    fn try_from(mut raw: RawLoad) -> Result<Load, PlanError> {
        if !raw.stages.is_empty() {
            let peak = peak(&raw.stages).map(Count);
            match raw.model {
                Some(Model::Open) => raw.rate = peak.or(raw.rate),
                Some(Model::Closed) => raw.users = peak.or(raw.users),
                None if raw.rate.is_some() => raw.rate = peak.or(raw.rate),
                None if raw.users.is_some() => raw.users = peak.or(raw.users),
                None => {
                    return Err(PlanError::field(
                        "load.model",
                        "is missing; say whether the stages' targets are arrivals a second (\"open\") \
                         or users (\"closed\")",
                    ));
                }
            }
            let length = raw.stages.iter().map(|s| s.length).sum();
            raw.duration = raw.duration.or(Some(length));
        }
        let model = match (raw.model, raw.rate, raw.users) {
            (Some(model), ..) => model,
            (None, Some(_), Some(_)) => {
                return Err(PlanError::field(
                    "load",
                    "has both rate and users; give a rate (open model) or users (closed model)",
                ));
            }
            (None, Some(_), None) => Model::Open,
            (None, None, Some(_)) => Model::Closed,
            (None, None, None) => {
                return Err(PlanError::field(
                    "load",
                    "has neither rate nor users; give a rate (open model) or users (closed model)",
                ));
            }
        };
        Ok(Load {
            model,
            rate: raw.rate.map(|c| c.0),
            users: whole("load.users", raw.users)?,
            think_time: raw.think_time.unwrap_or(ThinkTime::NONE),
            duration: raw.duration.ok_or_else(|| {
                PlanError::field("load.duration", "is missing; give one such as \"30s\"")
            })?,
            warm_up: raw.warm_up,
            ramp_up: raw.ramp_up,
            requests: whole("load.requests", raw.requests)?,
            connections: whole("load.connections", raw.connections)?,
            max_in_flight: whole("load.max_in_flight", raw.max_in_flight)?,
            max_lateness: raw.max_lateness,
            pacing: raw.pacing,
            arrivals: raw.arrivals,
            stages: raw.stages,
        })
    }
}

/// A count that must be whole and fit its type.
fn whole<T: TryFrom<u64>>(
    field: &'static str,
    count: Option<Count>,
) -> Result<Option<T>, PlanError> {
    let Some(Count(n)) = count else {
        return Ok(None);
    };
    let fits = n >= 0.0 && n.fract() == 0.0 && n <= 9e15;
    match fits.then(|| T::try_from(n as u64)) {
        Some(Ok(value)) => Ok(Some(value)),
        _ => Err(PlanError::field(
            field,
            format!("{n} is not a whole number in range"),
        )),
    }
}

pub fn one() -> u32 {
    1
}

pub fn get() -> String {
    "GET".into()
}

pub fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

pub fn hundred_ms() -> Duration {
    Duration::from_millis(100)
}

//! `[task]`, and tasks in the canonical form.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess};

use super::headers::RawHeaders;
use crate::error::PlanError;
use crate::http::{DEFAULT_METHOD, DEFAULT_TIMEOUT, HttpTask, HttpVersion, TlsOptions};
use crate::limits::{MAX_ADDRESSES, MAX_BODY, MAX_STREAMS};
use crate::model::Task;
use crate::scenario::Scenarios;
use crate::units::{self, Bytes};

/// What an arrival of the open model, or an iteration of a user of the closed model, does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task", extend("if" = {"properties": {"type": {"const": "HTTP"}}}))]
#[schemars(extend("then" = {"properties": {"ms": false}}))]
#[schemars(extend("else" = {"required": ["ms"], "propertyNames": {"enum": ["type", "ms"]}}))]
pub struct RawTask {
    /// Type of the task.
    #[serde(rename = "type")]
    #[schemars(required)]
    task_type: Option<TaskType>,
    /// `HTTP`: `http://` or `https://` URL to request.
    pub url: Option<String>,
    /// HTTP version; for `2` see [connections](configuration.md#connections).
    #[schemars(extend("default" = HttpVersion::default()))]
    version: Option<HttpVersion>,
    /// HTTP/2: concurrent requests on one connection.
    #[schemars(range(min = 1, max = MAX_STREAMS), extend("default" = 1))]
    streams: Option<u32>,
    /// Request method.
    #[schemars(length(min = 1, max = 32), extend("default" = DEFAULT_METHOD))]
    method: Option<String>,
    /// Request headers. A value `env:NAME` or `file:PATH` is a reference that each worker
    /// resolves itself, if `--allow-secret` permits it; the resolved value is never sent to other
    /// nodes.
    headers: Option<RawHeaders>,
    /// Request body.
    body: Option<String>,
    /// Length of a generated, incompressible body, instead of `body`.
    #[schemars(extend("maximum" = MAX_BODY))]
    body_size: Option<Bytes>,
    /// Maximum time from the send to the end of the response.
    #[serde(default, with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1ms to 1h"))]
    #[schemars(extend("default" = units::show_duration(DEFAULT_TIMEOUT)))]
    timeout: Option<Duration>,
    /// Whether any TLS certificate is accepted.
    #[schemars(extend("default" = false))]
    insecure: Option<bool>,
    tls: Option<TlsOptions>,
    /// Whether every request opens a new connection.
    #[schemars(extend("default" = false))]
    disable_keepalive: Option<bool>,
    /// Addresses (`10.0.0.5:8080`) to connect to in round-robin order, instead of those that the
    /// URL's host resolves to.
    #[schemars(with = "Option<Vec<String>>", length(max = MAX_ADDRESSES))]
    addresses: Option<Vec<SocketAddr>>,
    /// Interval at which the URL's host is resolved again; without it, once.
    #[serde(default, with = "units::as_optional_text")]
    #[schemars(with = "Option<units::Time>", extend("x-range" = "1s to 1day"))]
    dns_refresh: Option<Duration>,
    /// `SLEEP` and `CPU`: duration in milliseconds; at most 60,000 for `CPU`.
    #[schemars(range(max = 3_600_000))]
    ms: Option<u64>,
}

/// Type of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum TaskType {
    /// An HTTP request.
    Http,
    /// Waits without sending anything; to try out a swarm.
    Sleep,
    /// Keeps a core busy.
    Cpu,
}

impl RawTask {
    /// Whether it is an HTTP request without a URL.
    pub fn lacks_url(&self) -> bool {
        self.task_type == Some(TaskType::Http) && self.url.is_none()
    }
}

impl TryFrom<RawTask> for Task {
    type Error = PlanError;

    fn try_from(raw: RawTask) -> Result<Task, PlanError> {
        let Some(task_type) = raw.task_type else {
            return Err(PlanError::field(
                "task.type",
                "is missing; it must be HTTP, SLEEP or CPU",
            ));
        };
        if task_type == TaskType::Http {
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
                method: raw.method.unwrap_or_else(|| DEFAULT_METHOD.to_owned()),
                headers: raw.headers.map(|h| h.0).unwrap_or_default(),
                body: raw.body.unwrap_or_default(),
                body_size: raw.body_size.map(|b| b.0),
                timeout: raw.timeout.unwrap_or(DEFAULT_TIMEOUT),
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
            let problem = match task_type {
                TaskType::Cpu => "is for HTTP tasks, not for CPU",
                _ => "is for HTTP tasks, not for SLEEP",
            };
            return Err(PlanError::field(field, problem));
        }
        let missing = || PlanError::field("task.ms", "is missing; give milliseconds");
        let ms = raw.ms.ok_or_else(missing)?;
        Ok(match task_type {
            TaskType::Cpu => Task::Cpu { ms },
            _ => Task::Sleep { ms },
        })
    }
}

/// A task in the canonical form or as it is written. Scenarios have a form of their own; the
/// other types are read as `[task]`.
impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Task, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Task;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table with a task")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut rest: A) -> Result<Task, A::Error> {
                // The canonical form starts with the type, so that no entry has to be buffered.
                let mut before = Vec::new();
                let mut scenarios = false;
                while let Some(key) = rest.next_key::<String>()? {
                    let value: serde_json::Value = rest.next_value()?;
                    let is_type = key == "type";
                    scenarios = is_type && value == "SCENARIO";
                    if !scenarios {
                        before.push((key, value));
                    }
                    if is_type {
                        break;
                    }
                }
                let all = MapAccessDeserializer::new(Replayed {
                    before: before.into_iter(),
                    value: None,
                    rest,
                });
                match scenarios {
                    true => Scenarios::deserialize(all).map(|s| Task::Scenarios(Box::new(s))),
                    false => RawTask::deserialize(all)?
                        .try_into()
                        .map_err(A::Error::custom),
                }
            }
        }
        d.deserialize_map(Visitor)
    }
}

/// A table whose first entries have been read already.
struct Replayed<A> {
    before: std::vec::IntoIter<(String, serde_json::Value)>,
    value: Option<serde_json::Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Replayed<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.before.next() {
            Some((key, value)) => {
                self.value = Some(value);
                seed.deserialize(serde::de::value::StringDeserializer::new(key))
                    .map(Some)
            }
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}

//! Settings from one source: the command line, the environment, or a file. Each source is parsed on
//! its own, so that errors can name it, and then merged by precedence.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::args::{NodeArgs, SwarmArgs};
use super::exit::Failure;
use super::logging::{LogFormat, LogLevel, LogSettings};
use super::value_parsers::{Bootstrap, HostPort, ListenOn, Pair, from_text, from_texts};
use vajra_network::SwarmName;
use vajra_runtime::config::TimingProfile;

/// Settings from one source; `None` if the source does not set them. Also the schema of a
/// configuration file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layer {
    /// Addresses of nodes to connect to at start.
    #[serde(deserialize_with = "from_texts")]
    pub bootstrap: Option<Vec<Bootstrap>>,
    /// Listen addresses of the swarm.
    #[serde(deserialize_with = "from_texts")]
    pub listen: Option<Vec<ListenOn>>,
    /// Whether mDNS is on.
    pub mdns: Option<bool>,
    /// Name of the swarm.
    #[serde(deserialize_with = "from_text")]
    pub swarm: Option<SwarmName>,
    /// Key file of the swarm.
    pub swarm_key: Option<PathBuf>,
    /// Refuse to start without a swarm key.
    pub require_swarm_key: Option<bool>,
    /// Listen address of the API.
    #[serde(deserialize_with = "from_text")]
    pub api: Option<HostPort>,
    /// File with the API token.
    pub api_token_file: Option<PathBuf>,
    /// The API token itself. Only from the environment: other users can read command lines.
    #[serde(skip)]
    pub api_token: Option<String>,
    /// Directory for identity, known peers and results.
    pub data_dir: Option<PathBuf>,
    /// Store nothing on disk.
    pub ephemeral: Option<bool>,
    /// Name of the node.
    pub name: Option<String>,
    /// Labels of the node.
    pub labels: Option<BTreeMap<String, String>>,
    /// Capacity in concurrent tasks.
    pub capacity: Option<u32>,
    /// Threads that generate load.
    pub engine_threads: Option<usize>,
    /// Targets that tests of other nodes may use.
    pub allow_target: Option<Vec<String>>,
    /// Secrets that plans may refer to.
    pub allow_secret: Option<Vec<String>>,
    /// Local addresses of connections to targets.
    pub source_addresses: Option<Vec<IpAddr>>,
    /// Protocol timing profile.
    #[serde(deserialize_with = "from_text")]
    pub timings: Option<TimingProfile>,
    /// Log level.
    #[serde(deserialize_with = "from_text")]
    pub log_level: Option<LogLevel>,
    /// Log format.
    #[serde(deserialize_with = "from_text")]
    pub log_format: Option<LogFormat>,
}

impl Layer {
    /// The swarm options of the command line.
    ///
    /// # Errors
    /// An invalid value, with the name of its option.
    pub fn from_swarm_args(args: &SwarmArgs) -> Result<Layer, Failure> {
        Ok(Layer {
            bootstrap: list("--bootstrap", &args.bootstrap)?,
            listen: list("--listen", &args.listen)?,
            mdns: args.no_mdns.then_some(false),
            swarm: one("--swarm", args.swarm.as_deref())?,
            swarm_key: args.swarm_key.clone(),
            engine_threads: args.engine_threads,
            allow_target: non_empty(&args.allow_target),
            allow_secret: non_empty(&args.allow_secret),
            source_addresses: list("--source-address", &args.source_address)?,
            timings: one("--timings", args.timings.as_deref())?,
            log_level: one("--log-level", args.log_level.as_deref())?,
            log_format: one("--log-format", args.log_format.as_deref())?,
            ..Layer::default()
        })
    }

    /// The options of a long-running node.
    ///
    /// # Errors
    /// As [`Layer::from_swarm_args`].
    pub fn from_node_args(args: &NodeArgs) -> Result<Layer, Failure> {
        Ok(Layer {
            api: one("--api", args.api.as_deref())?,
            api_token_file: args.api_token_file.clone(),
            data_dir: args.data_dir.clone(),
            ephemeral: args.ephemeral.then_some(true),
            name: args.name.clone(),
            labels: labels("--label", &args.label)?,
            capacity: args.capacity,
            ..Layer::from_swarm_args(&args.swarm)?
        })
    }

    /// The environment variables, which `get` reads. Lists are separated by commas.
    ///
    /// # Errors
    /// An invalid value, with the name of its variable.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Layer, Failure> {
        let text = |key: &str| get(key).filter(|value| !value.is_empty());
        let many = |key: &str| -> Vec<String> {
            let value = text(key).unwrap_or_default();
            value
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(String::from)
                .collect()
        };
        fn read<T: FromStr<Err: Display>>(
            key: &str,
            value: Option<String>,
        ) -> Result<Option<T>, Failure> {
            one(key, value.as_deref())
        }
        Ok(Layer {
            bootstrap: list("VAJRA_BOOTSTRAP", &many("VAJRA_BOOTSTRAP"))?,
            listen: list("VAJRA_LISTEN", &many("VAJRA_LISTEN"))?,
            mdns: read("VAJRA_MDNS", text("VAJRA_MDNS"))?,
            swarm: read("VAJRA_SWARM", text("VAJRA_SWARM"))?,
            swarm_key: text("VAJRA_SWARM_KEY").map(PathBuf::from),
            require_swarm_key: read("VAJRA_REQUIRE_SWARM_KEY", text("VAJRA_REQUIRE_SWARM_KEY"))?,
            api: read("VAJRA_API", text("VAJRA_API"))?,
            api_token_file: text("VAJRA_API_TOKEN_FILE").map(PathBuf::from),
            api_token: text("VAJRA_API_TOKEN"),
            data_dir: text("VAJRA_DATA_DIR").map(PathBuf::from),
            ephemeral: read("VAJRA_EPHEMERAL", text("VAJRA_EPHEMERAL"))?,
            name: text("VAJRA_NAME"),
            labels: labels("VAJRA_LABELS", &many("VAJRA_LABELS"))?,
            capacity: read("VAJRA_CAPACITY", text("VAJRA_CAPACITY"))?,
            engine_threads: read("VAJRA_ENGINE_THREADS", text("VAJRA_ENGINE_THREADS"))?,
            allow_target: non_empty(&many("VAJRA_ALLOW_TARGET")),
            allow_secret: non_empty(&many("VAJRA_ALLOW_SECRET")),
            source_addresses: list("VAJRA_SOURCE_ADDRESSES", &many("VAJRA_SOURCE_ADDRESSES"))?,
            timings: read("VAJRA_TIMINGS", text("VAJRA_TIMINGS"))?,
            log_level: read("VAJRA_LOG_LEVEL", text("VAJRA_LOG_LEVEL"))?,
            log_format: read("VAJRA_LOG_FORMAT", text("VAJRA_LOG_FORMAT"))?,
        })
    }

    /// The log settings, with defaults.
    pub fn log_settings(&self) -> LogSettings {
        LogSettings {
            level: self.log_level.unwrap_or_default(),
            format: self.log_format.unwrap_or_default(),
        }
    }

    /// These settings, completed from a source of lower precedence. Lists and labels are replaced as
    /// a whole and never merged: otherwise an entry of a file could not be removed.
    pub fn over(self, lower: Layer) -> Layer {
        Layer {
            bootstrap: self.bootstrap.or(lower.bootstrap),
            listen: self.listen.or(lower.listen),
            mdns: self.mdns.or(lower.mdns),
            swarm: self.swarm.or(lower.swarm),
            swarm_key: self.swarm_key.or(lower.swarm_key),
            require_swarm_key: self.require_swarm_key.or(lower.require_swarm_key),
            api: self.api.or(lower.api),
            // Token and token file are one setting.
            api_token: self.api_token.or(match self.api_token_file {
                Some(_) => None,
                None => lower.api_token,
            }),
            api_token_file: self.api_token_file.or(lower.api_token_file),
            data_dir: self.data_dir.clone().or(match self.ephemeral {
                Some(true) => None,
                _ => lower.data_dir,
            }),
            ephemeral: self.ephemeral.or(match self.data_dir {
                Some(_) => None,
                None => lower.ephemeral,
            }),
            name: self.name.or(lower.name),
            labels: self.labels.or(lower.labels),
            capacity: self.capacity.or(lower.capacity),
            engine_threads: self.engine_threads.or(lower.engine_threads),
            allow_target: self.allow_target.or(lower.allow_target),
            allow_secret: self.allow_secret.or(lower.allow_secret),
            source_addresses: self.source_addresses.or(lower.source_addresses),
            timings: self.timings.or(lower.timings),
            log_level: self.log_level.or(lower.log_level),
            log_format: self.log_format.or(lower.log_format),
        }
    }

    /// Resolves relative paths of a configuration file, which are relative to its directory.
    pub(super) fn relative_to(mut self, directory: &Path) -> Layer {
        let paths = [
            &mut self.swarm_key,
            &mut self.api_token_file,
            &mut self.data_dir,
        ];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
        self
    }
}

fn one<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, Failure> {
    text.map(|text| {
        text.parse()
            .map_err(|e| Failure::input(format_args!("{name}: {e}")))
    })
    .transpose()
}

fn list<T: FromStr<Err: Display>>(name: &str, texts: &[String]) -> Result<Option<Vec<T>>, Failure> {
    let values = texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|e| Failure::input(format_args!("{name}: {e}")))
        })
        .collect::<Result<Vec<T>, _>>()?;
    Ok(Some(values).filter(|values| !values.is_empty()))
}

fn labels(name: &str, texts: &[String]) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let pairs: Option<Vec<Pair>> = list(name, texts)?;
    Ok(pairs.map(|pairs| {
        pairs
            .into_iter()
            .map(|Pair(key, value)| (key, value))
            .collect()
    }))
}

fn non_empty(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

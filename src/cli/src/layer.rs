//! One source of settings: the command line, the environment, or a file. Each is read on its
//! own, so that an error can name its source, and then laid over the weaker ones.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::args::{NodeArgs, SwarmArgs};
use super::exit::Failure;
use super::value_parsers::{Bootstrap, HostPort, ListenOn, Pair, from_text, from_texts};
use vajra_network::SwarmName;
use vajra_runtime::config::{LogFormat, LogLevel, TimingProfile};

/// Settings from one source; what it does not say is absent. Also the shape of a
/// configuration file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Layer {
    /// Nodes to begin with.
    #[serde(deserialize_with = "from_texts")]
    pub bootstrap: Option<Vec<Bootstrap>>,
    /// Where the swarm listens.
    #[serde(deserialize_with = "from_texts")]
    pub listen: Option<Vec<ListenOn>>,
    /// Look for nodes on the LAN.
    pub mdns: Option<bool>,
    /// The swarm's name.
    #[serde(deserialize_with = "from_text")]
    pub swarm: Option<SwarmName>,
    /// File with the swarm's key.
    pub swarm_key: Option<PathBuf>,
    /// Refuse to start without a swarm key.
    pub require_swarm_key: Option<bool>,
    /// Where the API listens.
    #[serde(deserialize_with = "from_text")]
    pub api: Option<HostPort>,
    /// File with the API's token.
    pub api_token_file: Option<PathBuf>,
    /// The API's token itself; only from the environment, never from a command line that
    /// others can read.
    #[serde(skip)]
    pub api_token: Option<String>,
    /// Where identity, known peers and results are kept.
    pub data_dir: Option<PathBuf>,
    /// Keep nothing.
    pub ephemeral: Option<bool>,
    /// The node's name.
    pub name: Option<String>,
    /// The node's labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Concurrent tasks offered.
    pub capacity: Option<u32>,
    /// Threads that make load.
    pub engine_threads: Option<usize>,
    /// What tests may be aimed at.
    pub allow_target: Option<Vec<String>>,
    /// Which references are resolved.
    pub allow_secret: Option<Vec<String>>,
    /// Where connections to targets start from.
    pub source_addresses: Option<Vec<IpAddr>>,
    /// The protocol's clockwork.
    #[serde(deserialize_with = "from_text")]
    pub timings: Option<TimingProfile>,
    /// How much is logged.
    #[serde(deserialize_with = "from_text")]
    pub log_level: Option<LogLevel>,
    /// What a log line looks like.
    #[serde(deserialize_with = "from_text")]
    pub log_format: Option<LogFormat>,
}

impl Layer {
    /// What the command line says about the swarm.
    ///
    /// # Errors
    /// An option whose value makes no sense, by its name.
    pub fn from_swarm_args(args: &SwarmArgs) -> Result<Layer, Failure> {
        Ok(Layer {
            bootstrap: list("--bootstrap", &args.bootstrap)?,
            listen: list("--listen", &args.listen)?,
            mdns: args.no_mdns.then_some(false),
            swarm: one("--swarm", args.swarm.as_deref())?,
            swarm_key: args.swarm_key.clone(),
            engine_threads: args.engine_threads,
            allow_target: some(&args.allow_target),
            allow_secret: some(&args.allow_secret),
            source_addresses: list("--source-address", &args.source_address)?,
            timings: one("--timings", args.timings.as_deref())?,
            log_level: one("--log-level", args.log_level.as_deref())?,
            log_format: one("--log-format", args.log_format.as_deref())?,
            ..Layer::default()
        })
    }

    /// What the command line says about a node that stays.
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

    /// What the environment says; `get` reads a variable. Lists are separated by commas.
    ///
    /// # Errors
    /// A variable whose value makes no sense, by its name.
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
            allow_target: some(&many("VAJRA_ALLOW_TARGET")),
            allow_secret: some(&many("VAJRA_ALLOW_SECRET")),
            source_addresses: list("VAJRA_SOURCE_ADDRESSES", &many("VAJRA_SOURCE_ADDRESSES"))?,
            timings: read("VAJRA_TIMINGS", text("VAJRA_TIMINGS"))?,
            log_level: read("VAJRA_LOG_LEVEL", text("VAJRA_LOG_LEVEL"))?,
            log_format: read("VAJRA_LOG_FORMAT", text("VAJRA_LOG_FORMAT"))?,
        })
    }

    /// This layer, with `weaker` where it says nothing. Lists and labels are replaced as a
    /// whole, never mixed: otherwise nobody could take away what a file says.
    pub fn over(self, weaker: Layer) -> Layer {
        Layer {
            bootstrap: self.bootstrap.or(weaker.bootstrap),
            listen: self.listen.or(weaker.listen),
            mdns: self.mdns.or(weaker.mdns),
            swarm: self.swarm.or(weaker.swarm),
            swarm_key: self.swarm_key.or(weaker.swarm_key),
            require_swarm_key: self.require_swarm_key.or(weaker.require_swarm_key),
            api: self.api.or(weaker.api),
            // A token and a token file are one setting: the stronger layer's wins.
            api_token: self.api_token.or(match self.api_token_file {
                Some(_) => None,
                None => weaker.api_token,
            }),
            api_token_file: self.api_token_file.or(weaker.api_token_file),
            data_dir: self.data_dir.clone().or(match self.ephemeral {
                Some(true) => None,
                _ => weaker.data_dir,
            }),
            ephemeral: self.ephemeral.or(match self.data_dir {
                Some(_) => None,
                None => weaker.ephemeral,
            }),
            name: self.name.or(weaker.name),
            labels: self.labels.or(weaker.labels),
            capacity: self.capacity.or(weaker.capacity),
            engine_threads: self.engine_threads.or(weaker.engine_threads),
            allow_target: self.allow_target.or(weaker.allow_target),
            allow_secret: self.allow_secret.or(weaker.allow_secret),
            source_addresses: self.source_addresses.or(weaker.source_addresses),
            timings: self.timings.or(weaker.timings),
            log_level: self.log_level.or(weaker.log_level),
            log_format: self.log_format.or(weaker.log_format),
        }
    }

    /// Paths in a file are relative to it.
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

fn some(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

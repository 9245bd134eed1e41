//! Merges the layers of settings into a [`NodeConfig`]: applies defaults, reads key and token files,
//! and checks settings that depend on each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use crate::config_file;
use crate::exit::Failure;
use crate::layer::Layer;
use crate::logging::LogSettings;
use crate::product::Profiles;
use crate::read_file;
use vajra_api::ApiListen;
use vajra_network::{SwarmKey, SwarmName};
use vajra_runtime::config::{
    API_PORT, CAPACITY_PER_THREAD, DEFAULT_SWARM, DataPlace, Listen, MAX_CAPACITY,
    MAX_ENGINE_THREADS, NodeConfig, NodeName, SWARM_PORT, any_interface,
};
use vajra_task::{AllowTarget, AllowTargetError};

/// Maximum length of a name or label in bytes; every advert contains them.
const MAX_TEXT: usize = 100;
/// Maximum number of labels of a node, for the same reason.
const MAX_LABELS: usize = 32;
/// Minimum length of an API token in characters: 16 random ones cannot be guessed over a network.
const MIN_TOKEN: usize = 16;
/// Maximum size of a file with an API token in bytes.
const MAX_TOKEN_FILE: u64 = 64 << 10;

/// Reads an environment variable of the process.
pub fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// Merges flags over the environment over the file of `--config` (or `VAJRA_CONFIG`).
///
/// # Errors
/// The file or a variable is invalid.
pub fn layers(
    flags: Layer,
    config: Option<&str>,
    get: &dyn Fn(&str) -> Option<String>,
    profiles: &Profiles,
) -> Result<Layer, Failure> {
    let named = config
        .map(String::from)
        .or_else(|| get("VAJRA_CONFIG").filter(|n| !n.is_empty()));
    let file = match named {
        Some(name) => config_file::load(&name, profiles)?,
        None => Layer::default(),
    };
    Ok(flags.over(Layer::from_env(get)?).over(file))
}

/// Settings of a long-running node, of its API and of its log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Configuration of the node.
    pub node: NodeConfig,
    /// Listen address of the API.
    pub api: ApiListen,
    /// Token that API clients must send; always set unless the address is loopback.
    pub api_token: Option<String>,
    /// Logging.
    pub log: LogSettings,
}

/// The settings of a long-running node, with defaults.
///
/// # Errors
/// [`crate::exit::Exit::BadInput`]: a setting is invalid.
pub fn resolve(layer: Layer) -> Result<Settings, Failure> {
    let log = layer.log_settings();
    let swarm_key = swarm_key(&layer)?;
    let engine_threads = engine_threads(layer.engine_threads)?;
    let capacity = capacity(layer.capacity, engine_threads)?;
    let api = match layer.api {
        Some(address) => ApiListen {
            address: address.0,
            explicit: true,
        },
        None => ApiListen {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT)),
            explicit: false,
        },
    };
    let api_token = api_token(&layer)?;
    if api_token.is_none() && !api.address.ip().is_loopback() {
        return Err(Failure::input(format_args!(
            "an API on {} can be reached from other machines and needs a token: set --api-token-file \
             or VAJRA_API_TOKEN, or listen on 127.0.0.1",
            api.address
        )));
    }
    let data = data_place(&layer);
    let name = match layer.name {
        Some(name) => NodeName::configured(name),
        None => NodeName::default_name(),
    };
    check_text("the node's name", &name.text)?;
    let labels = layer.labels.unwrap_or_default();
    if labels.len() > MAX_LABELS {
        return Err(Failure::input(format_args!(
            "the node has {} labels (at most {MAX_LABELS})",
            labels.len()
        )));
    }
    for (key, value) in &labels {
        check_text("a label's key", key)?;
        check_text("a label's value", value)?;
    }
    let node = NodeConfig {
        bootstrap: layer
            .bootstrap
            .unwrap_or_default()
            .into_iter()
            .map(|b| b.0)
            .collect(),
        listen: match layer.listen {
            Some(addresses) => Listen {
                addresses: addresses.into_iter().map(|l| l.0).collect(),
                explicit: true,
            },
            None => Listen {
                addresses: vec![any_interface(SWARM_PORT)],
                explicit: false,
            },
        },
        mdns: layer.mdns.unwrap_or(true),
        swarm: match layer.swarm {
            Some(name) => name,
            None => SwarmName::from_str(DEFAULT_SWARM).map_err(Failure::input)?,
        },
        swarm_key,
        own_ports: Vec::new(),
        data,
        name,
        labels,
        capacity,
        engine_threads,
        allow_target: allowed(layer.allow_target)?,
        allow_secret: layer.allow_secret.unwrap_or_default(),
        source_addresses: sources(layer.source_addresses.unwrap_or_default())?,
        timings: layer.timings.unwrap_or_default(),
        standalone: false,
        dump_dir: environment("VAJRA_DUMP_DIR").map(PathBuf::from),
    };
    Ok(Settings {
        node,
        api,
        api_token,
        log,
    })
}

/// The configuration of a node for one test: no API, nothing on disk, any free port.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_for_one_test(mut layer: Layer, standalone: bool) -> Result<NodeConfig, Failure> {
    // An API address or a data directory belongs to another node, which is long-running.
    layer.api = None;
    layer.data_dir = None;
    layer.ephemeral = Some(true);
    let mut config = resolve(layer)?.node;
    if !config.listen.explicit {
        config.listen.addresses = vec![any_interface(0)];
    }
    if standalone {
        config.standalone = true;
        config.mdns = false;
        config.bootstrap.clear();
        config.listen = Listen {
            addresses: Vec::new(),
            explicit: false,
        };
    }
    Ok(config)
}

fn allowed(targets: Option<Vec<String>>) -> Result<Vec<AllowTarget>, Failure> {
    let targets = targets.unwrap_or_default();
    let parsed = targets.iter().map(|t| {
        t.parse()
            .map_err(|e: AllowTargetError| Failure::input(format_args!("--allow-target: {e}")))
    });
    parsed.collect()
}

/// Checks that the addresses belong to this machine: only those can be bound.
fn sources(addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
    for address in &addresses {
        TcpListener::bind((*address, 0)).map_err(|e| {
            Failure::input(format_args!(
                "--source-address {address}: {e}; give an address of this machine"
            ))
        })?;
    }
    Ok(addresses)
}

fn swarm_key(layer: &Layer) -> Result<Option<SwarmKey>, Failure> {
    match &layer.swarm_key {
        Some(path) => SwarmKey::read(path).map(Some).map_err(Failure::input),
        None if layer.require_swarm_key == Some(true) => Err(Failure::input(
            "this configuration requires a swarm key, and none is given: generate one with \
             `vajra-node keygen FILE` and pass it with --swarm-key FILE",
        )),
        None => Ok(None),
    }
}

fn engine_threads(configured: Option<usize>) -> Result<NonZeroUsize, Failure> {
    let Some(threads) = configured else {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        return Ok(NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN));
    };
    NonZeroUsize::new(threads)
        .filter(|n| n.get() <= MAX_ENGINE_THREADS)
        .ok_or_else(|| {
            Failure::input(format_args!(
                "engine threads must be 1 to {MAX_ENGINE_THREADS}, not {threads}; see --engine-threads"
            ))
        })
}

fn capacity(configured: Option<u32>, threads: NonZeroUsize) -> Result<NonZeroU32, Failure> {
    let capacity = configured.unwrap_or(threads.get() as u32 * CAPACITY_PER_THREAD);
    NonZeroU32::new(capacity)
        .filter(|n| n.get() <= MAX_CAPACITY)
        .ok_or_else(|| {
            Failure::input(format_args!(
                "the capacity must be 1 to {MAX_CAPACITY}, not {capacity}; see --capacity"
            ))
        })
}

/// The API token, from the environment or from its file.
///
/// # Errors
/// The file cannot be read, or the token is too short or contains spaces.
pub fn api_token(layer: &Layer) -> Result<Option<String>, Failure> {
    let token = match (&layer.api_token, &layer.api_token_file) {
        (Some(token), _) => token.trim().to_owned(),
        (None, Some(path)) => read_file::text(path, MAX_TOKEN_FILE)
            .map_err(|e| e.failure(path, "give --api-token-file a file with the API token"))?
            .trim()
            .to_owned(),
        (None, None) => return Ok(None),
    };
    if token.len() < MIN_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::input(format_args!(
            "the API token must have at least {MIN_TOKEN} printable ASCII characters and no spaces"
        )));
    }
    Ok(Some(token))
}

fn data_place(layer: &Layer) -> DataPlace {
    if layer.ephemeral == Some(true) {
        return DataPlace::Ephemeral;
    }
    match &layer.data_dir {
        Some(path) => DataPlace::Directory {
            path: path.clone(),
            explicit: true,
        },
        None => match directories::ProjectDirs::from("", "", "vajra") {
            Some(dirs) => DataPlace::Directory {
                path: dirs.data_dir().into(),
                explicit: false,
            },
            None => DataPlace::Ephemeral,
        },
    }
}

fn check_text(name: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(Failure::input(format_args!(
            "{name} must have 1 to {MAX_TEXT} bytes and no control characters, but is {text:?}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! From layers of settings to the one [`NodeConfig`]: fills in defaults, reads the files that
//! are named, and checks what only shows when everything is known.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use super::config_file;
use super::exit::Failure;
use super::layer::Layer;
use super::product::Profiles;
use vajra_api::ApiListen;
use vajra_network::{SwarmKey, SwarmName};
use vajra_runtime::config::{
    API_PORT, CAPACITY_PER_THREAD, DEFAULT_SWARM, DataPlace, Listen, MAX_CAPACITY,
    MAX_ENGINE_THREADS, NodeConfig, NodeName, SWARM_PORT, any_interface,
};
use vajra_tasks::AllowTarget;

/// Longest name or label in bytes; they travel in every advert.
const MAX_TEXT: usize = 100;
/// Most labels of a node, for the same reason.
const MAX_LABELS: usize = 32;
/// Shortest API token in characters: 16 random ones cannot be guessed over a network.
const MIN_TOKEN: usize = 16;

/// Reads a variable of the process's environment.
pub fn environment(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// Lays the command line over the environment, that over the file named by `--config` (or
/// `VAJRA_CONFIG`), that over nothing.
///
/// # Errors
/// Of the file or the environment.
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

/// A long-running node: its configuration, and that of its API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeConfig,
    /// The address of its API.
    pub api: ApiListen,
    /// Token that callers of the API must send; an API beyond loopback has one.
    pub api_token: Option<String>,
}

/// The settings of a long-running node; what is not set has its default.
///
/// # Errors
/// [`super::exit::Exit::BadInput`] with what to change.
pub fn resolve(layer: Layer) -> Result<Settings, Failure> {
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
            "the API on {} is open to others and needs a token: give --api-token-file FILE or \
             VAJRA_API_TOKEN, or listen on 127.0.0.1",
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
            "{} labels are more than a node may have ({MAX_LABELS})",
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
        log_level: layer.log_level.unwrap_or_default(),
        log_format: layer.log_format.unwrap_or_default(),
        standalone: false,
        dump_dir: environment("VAJRA_DUMP_DIR").map(PathBuf::from),
    };
    Ok(Settings {
        node,
        api,
        api_token,
    })
}

/// A node for the length of one test: no API, nothing on disk, any port.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_for_one_test(mut layer: Layer, standalone: bool) -> Result<NodeConfig, Failure> {
    // The node that an API address or a data directory belongs to is another one.
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
            .map_err(|e| Failure::input(format_args!("--allow-target: {e}")))
    });
    parsed.collect()
}

/// Only an address of this machine can be bound.
fn sources(addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
    for address in &addresses {
        TcpListener::bind((*address, 0)).map_err(|e| {
            Failure::input(format_args!(
                "--source-address {address}: {e}; name an address of this machine"
            ))
        })?;
    }
    Ok(addresses)
}

fn swarm_key(layer: &Layer) -> Result<Option<SwarmKey>, Failure> {
    match &layer.swarm_key {
        Some(path) => SwarmKey::read(path).map(Some).map_err(Failure::input),
        None if layer.require_swarm_key == Some(true) => Err(Failure::input(
            "this configuration asks for a private swarm, and no key is given: make one with \
             `vajra-node keygen FILE` and name it with --swarm-key FILE",
        )),
        None => Ok(None),
    }
}

fn engine_threads(asked: Option<usize>) -> Result<NonZeroUsize, Failure> {
    let Some(threads) = asked else {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        return Ok(NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN));
    };
    NonZeroUsize::new(threads)
        .filter(|n| n.get() <= MAX_ENGINE_THREADS)
        .ok_or_else(|| {
            Failure::input(format_args!(
                "engine threads must be 1 to {MAX_ENGINE_THREADS}, not {threads}"
            ))
        })
}

fn capacity(asked: Option<u32>, threads: NonZeroUsize) -> Result<NonZeroU32, Failure> {
    let capacity = asked.unwrap_or(threads.get() as u32 * CAPACITY_PER_THREAD);
    NonZeroU32::new(capacity)
        .filter(|n| n.get() <= MAX_CAPACITY)
        .ok_or_else(|| {
            Failure::input(format_args!(
                "the capacity must be 1 to {MAX_CAPACITY}, not {capacity}"
            ))
        })
}

/// The API's token, from the environment or from its file.
///
/// # Errors
/// If the file can't be read, or the token is too easily guessed.
pub fn api_token(layer: &Layer) -> Result<Option<String>, Failure> {
    let token = match (&layer.api_token, &layer.api_token_file) {
        (Some(token), _) => token.trim().to_owned(),
        (None, Some(path)) => fs::read_to_string(path)
            .map_err(|e| {
                Failure::input(format_args!(
                    "cannot read the API token {}: {e}",
                    path.display()
                ))
            })?
            .trim()
            .to_owned(),
        (None, None) => return Ok(None),
    };
    if token.len() < MIN_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::input(format_args!(
            "the API token must have at least {MIN_TOKEN} printable characters and no spaces"
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

fn check_text(what: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(Failure::input(format_args!(
            "{what} must have 1 to {MAX_TEXT} bytes and no control characters, not {text:?}"
        )));
    }
    Ok(())
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;

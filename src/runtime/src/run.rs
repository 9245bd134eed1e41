//! Starts and ends a node. The control plane has a thread and a runtime of its own, so that neither the
//! load engine nor a display can delay a heartbeat.

use std::sync::Arc;

use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};

use crate::config::{DataPlace, NodeConfig, TimingProfile};
use crate::data_files::blobs::{Blobs, MAX_OPEN_STORE, MAX_STORE};
use crate::driver::{Driver, Parts};
use crate::engine::EngineHost;
use crate::handle::{Command, NodeHandle};
use crate::host::description;
use crate::results::store::Store;
use vajra_core::protocol::Time;
use vajra_core::protocol::spec::{LocalNode, Timings};
use vajra_engine::{self as load, LeaseClock};
use vajra_network::{
    self as network, DataDir, DataDirError, Identity, NetworkConfig, NetworkError, NetworkEvent,
    SwarmKeys,
};
use vajra_task::{Secrets, SharedState, TargetPolicy, TaskContext};
use vajra_tasks::TASK_TYPES;

/// A node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The swarm's address cannot be used, or the network failed otherwise.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Another operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The control thread ended before it was ready.
    #[error("the control thread ended unexpectedly; see the log")]
    Died,
}

/// A running node.
#[derive(Debug)]
pub struct RunningNode {
    /// Access to the node.
    pub handle: NodeHandle,
    /// Listen addresses, each with `/p2p/PEER`.
    pub listening: Vec<String>,
    /// Its peer id.
    pub peer: String,
    /// Warnings for the user, for example that a port is in use.
    pub warnings: Vec<String>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RunningNode {
    /// Waits until the node has ended.
    pub async fn wait(&mut self) {
        if let Some(ended) = self.ended.take() {
            // An error also means that it has ended.
            let _ = ended.await;
        }
    }

    /// Leaves the swarm and ends the node.
    pub async fn shutdown(mut self) {
        self.handle.leave().await;
        self.wait().await;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Ready {
    listening: Vec<String>,
    peer: String,
    warnings: Vec<String>,
}

/// Starts a node, and returns once it listens.
///
/// # Errors
/// A directory, address or key cannot be used; the text says what to do.
pub async fn start(config: NodeConfig) -> Result<RunningNode, StartError> {
    let (handle, commands) = NodeHandle::new();
    let (ready_tx, ready_rx) = oneshot::channel();
    let (ended_tx, ended_rx) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(8)
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(control(config, commands, ready_tx)),
                Err(source) => {
                    let what = "cannot start the control runtime".into();
                    // The caller may be gone.
                    let _ = ready_tx.send(Err(StartError::Io { what, source }));
                }
            }
            let _ = ended_tx.send(());
        })
        .map_err(|source| StartError::Io {
            what: "cannot start the control thread".into(),
            source,
        })?;
    let ready = ready_rx.await.map_err(|_| StartError::Died)??;
    Ok(RunningNode {
        handle,
        listening: ready.listening,
        peer: ready.peer,
        warnings: ready.warnings,
        ended: Some(ended_rx),
        thread: Some(thread),
    })
}

async fn control(
    config: NodeConfig,
    commands: mpsc::Receiver<Command>,
    ready: oneshot::Sender<Result<Ready, StartError>>,
) {
    match set_up(config, commands).await {
        Ok((driver, started)) => {
            if ready.send(Ok(started)).is_ok() {
                driver.run().await;
            }
        }
        Err(e) => {
            let _ = ready.send(Err(e));
        }
    }
}

async fn set_up(
    config: NodeConfig,
    commands: mpsc::Receiver<Command>,
) -> Result<(Driver, Ready), StartError> {
    let mut warnings = Vec::new();
    let dir = open_data(&config.data, &mut warnings)?;
    let identity = match &dir {
        Some(dir) => dir.start()?,
        None => Identity::ephemeral(),
    };
    let store_dir = dir.as_ref().map(|d| d.path().join("results"));
    let store = Store::open(store_dir).map_err(|source| StartError::Io {
        what: "cannot create the results directory".into(),
        source,
    })?;
    let blobs_dir = dir.as_ref().map(|d| d.path().join("blobs"));
    let limit = match config.swarm_key.is_some() && blobs_dir.is_some() {
        true => MAX_STORE,
        false => MAX_OPEN_STORE,
    };
    let blobs = Blobs::open(blobs_dir, limit).map_err(|source| StartError::Io {
        what: "cannot create the directory of data files".into(),
        source,
    })?;
    let peer_id = identity.keypair.public().to_peer_id();
    let (net, events, listening) = if config.standalone {
        (None, idle_events(), Vec::new())
    } else {
        let swarm = SwarmConfig {
            config: &config,
            identity: &identity,
            dir: dir.as_ref(),
        };
        let (net, events, listening) = swarm.listen(&mut warnings).await?;
        (Some(net), events, listening)
    };
    let clock = LeaseClock::new();
    let descriptors = load::raise_descriptor_limit();
    tracing::debug!(descriptors, "descriptor limit");
    let policy = TargetPolicy {
        keyed: config.swarm_key.is_some(),
        loopback_only: listening.iter().all(is_loopback),
        allow: config.allow_target.clone(),
        own_ports: own_ports(&listening, &config.own_ports),
    };
    let timings = match config.timings {
        TimingProfile::Wan => Timings::wan(),
        TimingProfile::Lan => Timings::lan(),
    };
    let keys = Arc::new(SwarmKeys::new(
        identity.keypair.clone(),
        &config.swarm,
        config.swarm_key.as_ref(),
    ));
    let myself = LocalNode {
        node: vajra_core::protocol::NodeId {
            peer: identity.peer(),
            incarnation: identity.incarnation,
        },
        name: config.name.text.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        capacity: config.capacity.get(),
        task_types: TASK_TYPES.map(str::to_owned).to_vec(),
        labels: config.labels.clone(),
        environment: description::describe(),
    };
    let engine = EngineHost {
        threads: config.engine_threads.get(),
        clock,
        context: Arc::new(TaskContext {
            policy,
            secrets: Secrets::new(&config.allow_secret),
            sources: config.source_addresses.clone(),
            shared: SharedState::default(),
        }),
        dump: config.dump_dir.clone(),
        max_pause: timings.max_pause,
    };
    let shown: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let driver = Driver::new(Parts {
        core: vajra_core::protocol::Node::new(myself, keys, timings, Time(clock.now().0)),
        net,
        events,
        commands,
        engine,
        store,
        blobs,
        name: config.name.clone(),
        addresses: shown.clone(),
        has_bootstrap: !config.bootstrap.is_empty(),
        dir,
    });
    Ok((
        driver,
        Ready {
            listening: shown,
            peer: peer_id.to_string(),
            warnings,
        },
    ))
}

/// The events of a node without a network: none. The sender is leaked on purpose, since a closed
/// channel means that the network has ended.
fn idle_events() -> mpsc::Receiver<NetworkEvent> {
    let (tx, rx) = mpsc::channel(1);
    std::mem::forget(tx);
    rx
}

struct SwarmConfig<'a> {
    config: &'a NodeConfig,
    identity: &'a Identity,
    dir: Option<&'a DataDir>,
}

impl SwarmConfig<'_> {
    /// Listens. If the default port is in use, a free one is used instead.
    async fn listen(&self, warnings: &mut Vec<String>) -> Result<network::Running, StartError> {
        match self.spawn(self.config.listen.addresses.clone()).await {
            Err(NetworkError::AddressInUse { address }) if !self.config.listen.explicit => {
                warnings.push(format!(
                    "{address} is in use; listening on a free port instead (set one with --listen)"
                ));
                let free = self.config.listen.addresses.iter().map(any_port).collect();
                Ok(self.spawn(free).await?)
            }
            other => Ok(other?),
        }
    }

    async fn spawn(&self, listen: Vec<Multiaddr>) -> Result<network::Running, NetworkError> {
        network::spawn(NetworkConfig {
            identity: self.identity.keypair.clone(),
            swarm_name: self.config.swarm.clone(),
            swarm_key: self.config.swarm_key,
            listen,
            bootstrap: self.config.bootstrap.clone(),
            mdns: self.config.mdns,
            known_peers: self.dir.map(|d| d.known_peers(&self.config.swarm)),
        })
        .await
    }
}

fn any_port(address: &Multiaddr) -> Multiaddr {
    use libp2p::multiaddr::Protocol;
    address
        .iter()
        .map(|p| match p {
            Protocol::Tcp(_) => Protocol::Tcp(0),
            other => other,
        })
        .collect()
}

fn is_loopback(address: &Multiaddr) -> bool {
    use libp2p::multiaddr::Protocol;
    address.iter().any(|p| match p {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

fn own_ports(listening: &[Multiaddr], others: &[u16]) -> Vec<u16> {
    use libp2p::multiaddr::Protocol;
    let swarm = listening
        .iter()
        .flat_map(|a| a.iter())
        .filter_map(|p| match p {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        });
    let mut ports: Vec<u16> = swarm.chain(others.iter().copied()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Opens the data directory. If another node uses the default one, this node does without.
fn open_data(place: &DataPlace, warnings: &mut Vec<String>) -> Result<Option<DataDir>, StartError> {
    let DataPlace::Directory { path, explicit } = place else {
        return Ok(None);
    };
    match DataDir::open(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(e @ DataDirError::Locked { .. }) if !explicit => {
            warnings.push(format!("{e}; this node stores nothing on disk"));
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}

//! The node and the local swarm that `start-test` runs tests on: found, or started for them.

use super::args::{RunArgs, StartArgs};
use super::backend::{Address, Backend};
use super::exit::Failure;
use super::interrupt::{BEFORE_START, Interrupts};
use super::join::{join, wait_for};
use super::layer::Layer;
use super::local::LocalSwarm;
use super::logging::{LogLevel, LogSettings};
use super::output::note;
use super::product::Product;
use super::resolve::{environment, layers, resolve_for_one_test};
use vajra_plan::Local;
use vajra_runtime::config::NodeConfig;
use vajra_runtime::run::RunningNode;

/// Where a test is to run.
pub struct Settings {
    /// Configuration of this process as a node, if no other node answers.
    config: NodeConfig,
    address: Address,
    /// Logging of this process.
    pub log: LogSettings,
}

impl Settings {
    /// From the command line, the environment and the configuration file.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn of(args: &StartArgs, product: &Product) -> Result<Settings, Failure> {
        let flags = Layer::from_swarm_args(&args.swarm)?;
        let mut layer = layers(
            flags,
            args.swarm.config.as_deref(),
            &environment,
            &product.profiles,
        )?;
        layer.log_level.get_or_insert(LogLevel::Warn);
        Ok(Settings {
            log: layer.log_settings(),
            config: resolve_for_one_test(layer, args.run.standalone)?,
            address: Address::of(&args.api, &environment)?,
        })
    }
}

/// A swarm to run tests on, and what was started for them.
pub struct Session {
    /// The node that runs the commands.
    pub backend: Backend,
    node: Option<RunningNode>,
    local: Option<LocalSwarm>,
}

impl Session {
    /// Starts the local swarm and target of `[local]`, and connects to a node or becomes one.
    ///
    /// # Errors
    /// A part of it cannot be started or reached; nothing is left running then.
    pub async fn open(
        args: &StartArgs,
        requested: Option<&Local>,
        needs_target: bool,
        Settings {
            config, address, ..
        }: Settings,
        interrupts: &mut Interrupts,
    ) -> Result<Session, Failure> {
        let without_local_nodes = args.run.standalone || address.explicit;
        let local = match requested {
            Some(requested) => {
                let mut requested = requested.clone();
                if without_local_nodes {
                    requested.nodes = 0;
                }
                // Dropping a partly started swarm kills its processes.
                tokio::select! {
                    started = LocalSwarm::start(&requested, needs_target) => Some(started?),
                    () = interrupts.next() => return Err(Failure::stopped(BEFORE_START)),
                }
            }
            None => None,
        };
        if let Some(api) = local.as_ref().and_then(|local| local.api.as_deref()) {
            let address = Address {
                api: api.parse().map_err(Failure::run)?,
                explicit: true,
                token: None,
            };
            let backend = Backend::probe(&address).await?.map_err(Failure::run)?;
            let nodes = requested.map_or(0, |local| local.nodes);
            wait_for(&backend, nodes, interrupts).await?;
            note(&format!("started {nodes} local nodes"));
            return Ok(Session {
                backend,
                node: None,
                local,
            });
        }
        let (backend, node) = reach(&args.run, config, &address, interrupts).await?;
        if let (Backend::Api(_, address), true) = (&backend, any_swarm_option(args)) {
            note(&format!(
                "using the node at {address} and its swarm; the swarm options of this command are \
                 ignored"
            ));
        }
        Ok(Session {
            backend,
            node,
            local,
        })
    }

    /// URL of the local target, if there is one.
    pub fn target_url(&self) -> Option<&str> {
        self.local.as_ref()?.target_url.as_deref()
    }

    /// Ends everything that was started.
    pub async fn close(self) {
        if let Some(node) = self.node {
            node.shutdown().await;
        }
        if let Some(local) = self.local
            && let Some(served) = local.end().await
        {
            note(&format!("the local target received {served} requests"));
        }
    }
}

/// The node at the API address, or else this process as a node.
async fn reach(
    args: &RunArgs,
    config: NodeConfig,
    address: &Address,
    interrupts: &mut Interrupts,
) -> Result<(Backend, Option<RunningNode>), Failure> {
    if !args.standalone {
        match Backend::probe(address).await? {
            Ok(backend) => return Ok((backend, None)),
            Err(why) if address.explicit => {
                return Err(Failure::run(format_args!(
                    "no node answers at {} ({why}); start one there with `vajra-node --api {}`, or \
                     select another with --api",
                    address.api, address.api
                )));
            }
            Err(_) if args.detach => {
                return Err(Failure::run(format_args!(
                    "no node answers at {}, and --detach needs a running node; start one with \
                     `vajra-node`",
                    address.api
                )));
            }
            Err(_) => {}
        }
    }
    let standalone = config.standalone;
    let node = join(config, interrupts).await?;
    let backend = Backend::Here(node.handle.clone());
    if !standalone {
        let nodes = backend.nodes().await?.pool.healthy;
        note(&format!(
            "no node answers at {}: this process is a node of the swarm until the test ends ({})",
            address.api,
            match nodes {
                1 => "it found no other node".to_owned(),
                n => format!("{n} nodes"),
            }
        ));
    }
    Ok((backend, Some(node)))
}

fn any_swarm_option(args: &StartArgs) -> bool {
    let swarm = &args.swarm;
    !swarm.bootstrap.is_empty()
        || !swarm.listen.is_empty()
        || swarm.no_mdns
        || swarm.swarm.is_some()
        || swarm.swarm_key.is_some()
}

//! The entry point of the crate: configures and starts a node.

use std::path::PathBuf;

use libp2p::Multiaddr;

use crate::config::{DataPlace, Listen, NodeConfig, NodeName};
use crate::run::{RunningNode, StartError, start};
use vajra_network::{SwarmKey, SwarmName};

/// A node of a swarm.
///
/// ```no_run
/// # async fn run() -> Result<(), vajra_runtime::run::StartError> {
/// let node = vajra_runtime::Node::builder().name("load-1").start().await?;
/// println!("listening on {:?}", node.listening);
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Node;

impl Node {
    /// A node with the default configuration: in the default swarm, with mDNS, without storage on
    /// disk.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }
}

/// Configures a node before its start.
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    config: NodeConfig,
}

impl NodeBuilder {
    /// Replaces the whole configuration.
    pub fn config(mut self, config: NodeConfig) -> NodeBuilder {
        self.config = config;
        self
    }

    /// The display name.
    pub fn name(mut self, name: impl Into<String>) -> NodeBuilder {
        self.config.name = NodeName::configured(name);
        self
    }

    /// The swarm, and its key if it is private.
    pub fn swarm(mut self, name: SwarmName, key: Option<SwarmKey>) -> NodeBuilder {
        (self.config.swarm, self.config.swarm_key) = (name, key);
        self
    }

    /// The listen addresses of the swarm: `/ip4|ip6/ADDR/tcp/PORT`.
    pub fn listen(mut self, addresses: Vec<Multiaddr>) -> NodeBuilder {
        self.config.listen = Listen {
            addresses,
            explicit: true,
        };
        self
    }

    /// Addresses of nodes to connect to.
    pub fn bootstrap(mut self, addresses: Vec<Multiaddr>) -> NodeBuilder {
        self.config.bootstrap = addresses;
        self
    }

    /// Whether to discover nodes on the LAN.
    pub fn mdns(mut self, enabled: bool) -> NodeBuilder {
        self.config.mdns = enabled;
        self
    }

    /// The directory for identity, known peers and results.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> NodeBuilder {
        self.config.data = DataPlace::Directory {
            path: path.into(),
            explicit: true,
        };
        self
    }

    /// Ports of this process that tests of other nodes must not target, such as the API's.
    pub fn own_ports(mut self, ports: Vec<u16>) -> NodeBuilder {
        self.config.own_ports = ports;
        self
    }

    /// Starts the node, and returns once it listens.
    ///
    /// # Errors
    /// A directory, address or key cannot be used; the text says what to do.
    pub async fn start(self) -> Result<RunningNode, StartError> {
        start(self.config).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_starts_from_the_builder_and_shows_its_name() {
        let config = NodeConfig {
            standalone: true,
            ..NodeConfig::default()
        };
        let builder = Node::builder().config(config).name("load-1");
        let node = builder.start().await.unwrap();
        assert!(node.listening.is_empty());
        let list = node.handle.nodes().await.unwrap();
        assert_eq!(list.nodes.len(), 1);
        assert_eq!(list.nodes[0].name, "load-1");
        assert_eq!(list.nodes[0].peer, node.peer);
        node.shutdown().await;
    }
}

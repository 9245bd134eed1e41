//! The node that runs a command: another process, through its HTTP API, or this process. Both have
//! the same interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::args::ApiArgs;
use super::exit::Failure;
use super::layer::Layer;
use super::resolve::{api_token, environment};
use vajra_api::{ApiClient, ClientError, Events};
use vajra_core::protocol::TestId;
use vajra_plan::{Blob, Plan};
use vajra_results::preflight::PreflightReport;
use vajra_results::{NodeList, TestList, TestResult, Timeline};
use vajra_runtime::config::API_PORT;
use vajra_runtime::handle::{CommandError, LoadRequest, NodeHandle, StartOptions, Update};

/// Maximum time for a node's first response. On loopback it takes a millisecond; over a WAN, some
/// round trips.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A node.
#[derive(Debug)]
pub enum Backend {
    /// Another process, through its API.
    Api(ApiClient, SocketAddr),
    /// This process.
    Here(NodeHandle),
}

/// A stream of progress and timeline intervals of a test.
#[derive(Debug)]
pub enum Stream {
    /// Of another process.
    Api(Events),
    /// Of this process.
    Here(broadcast::Receiver<Arc<Update>>),
}

/// Why no node answers at an address.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection failed.
    #[error("{0}")]
    Unreachable(String),
    /// Another server answers.
    #[error(transparent)]
    NotANode(ClientError),
    /// No response in time.
    #[error("no response within {} s", ANSWER_WAIT.as_secs())]
    TimedOut,
}

/// Address of the node that a command uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// API address.
    pub api: SocketAddr,
    /// Whether it was configured. If not, `start-test` may become a node instead.
    pub explicit: bool,
    /// API token.
    pub token: Option<String>,
}

impl Address {
    /// From the command line, the environment, or the default.
    ///
    /// # Errors
    /// A variable or the token file is invalid.
    pub fn of(args: &ApiArgs, get: &dyn Fn(&str) -> Option<String>) -> Result<Address, Failure> {
        let flags = Layer {
            api: args.api,
            api_token_file: args.api_token_file.clone(),
            ..Layer::default()
        };
        let layer = flags.over(Layer::from_env(get)?);
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
        Ok(Address {
            api: layer.api.map_or(default, |api| api.0),
            explicit: layer.api.is_some(),
            token: api_token(&layer)?,
        })
    }
}

impl Backend {
    /// Connects to the node of a command.
    ///
    /// # Errors
    /// It does not answer, or refuses access.
    pub async fn connect(args: &ApiArgs) -> Result<Backend, Failure> {
        let address = Address::of(args, &environment)?;
        let why = match Backend::probe(&address).await? {
            Ok(backend) => return Ok(backend),
            Err(why) => why,
        };
        Err(Failure::run(format_args!(
            "no node answers at {} ({why}); start one with `vajra-node`, or select another \
             with --api ADDR:PORT",
            address.api
        )))
    }

    /// The node at an address, or why none answers.
    ///
    /// # Errors
    /// A node answers and refuses access.
    pub async fn probe(address: &Address) -> Result<Result<Backend, NoAnswer>, Failure> {
        let client = ApiClient::new(address.api, address.token.clone());
        match tokio::time::timeout(ANSWER_WAIT, client.nodes()).await {
            Ok(Ok(_)) => Ok(Ok(Backend::Api(client, address.api))),
            // Any other status means that the port belongs to another server.
            Ok(Err(
                e @ ClientError::Refused {
                    status: 401 | 403, ..
                },
            )) => Err(Failure::run(e)),
            Ok(Err(ClientError::Unreachable { why, .. })) => Ok(Err(NoAnswer::Unreachable(why))),
            Ok(Err(e)) => Ok(Err(NoAnswer::NotANode(e))),
            Err(_) => Ok(Err(NoAnswer::TimedOut)),
        }
    }

    /// The nodes of the swarm.
    ///
    /// # Errors
    /// The node no longer answers, or refuses the request.
    pub async fn nodes(&self) -> Result<NodeList, Failure> {
        match self {
            Backend::Api(client, _) => client.nodes().await.map_err(|e| self.failed(e)),
            Backend::Here(node) => node.nodes().await.map_err(refused),
        }
    }

    /// The tests.
    ///
    /// # Errors
    /// As [`Backend::nodes`].
    pub async fn tests(&self) -> Result<TestList, Failure> {
        match self {
            Backend::Api(client, _) => client.tests().await.map_err(|e| self.failed(e)),
            Backend::Here(node) => node.tests().await.map_err(refused),
        }
    }

    /// Uploads the data files of a plan that the node does not have.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or the files exceed the node's limit.
    pub async fn upload(&self, blobs: &[Blob]) -> Result<(), Failure> {
        for blob in blobs {
            match self {
                Backend::Api(client, _) => {
                    client.put_blob(blob).await.map_err(|e| self.failed(e))?;
                }
                Backend::Here(node) => node.put_blob(blob).await.map_err(refused)?,
            }
        }
        Ok(())
    }

    /// Starts a test, whose data files were [uploaded](Self::upload). Returns its id.
    ///
    /// # Errors
    /// As [`Backend::nodes`].
    pub async fn start(&self, plan: Plan) -> Result<String, Failure> {
        match self {
            Backend::Api(client, _) => client.start(&plan).await.map_err(|e| self.failed(e)),
            Backend::Here(node) => {
                let started = node.start(Arc::new(plan), StartOptions::default()).await;
                started.map(|id| id.to_string()).map_err(refused)
            }
        }
    }

    /// Makes the pre-flight check of a plan; `None` if the node is an older version without it.
    ///
    /// # Errors
    /// As [`Backend::nodes`].
    pub async fn preflight(&self, plan: &Plan) -> Result<Option<PreflightReport>, Failure> {
        match self {
            Backend::Api(client, _) => match client.preflight(plan).await {
                Ok(report) => Ok(Some(report)),
                Err(ClientError::Refused {
                    status: 404 | 405, ..
                }) => Ok(None),
                Err(e) => Err(self.failed(e)),
            },
            Backend::Here(node) => {
                let report = node.preflight(Arc::new(plan.clone())).await;
                report.map(Some).map_err(refused)
            }
        }
    }

    /// Stops a test, gracefully (waiting for requests in flight) or at once.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or the test is unknown.
    pub async fn stop(&self, id: &str, graceful: bool) -> Result<(), Failure> {
        match self {
            Backend::Api(client, _) => client.stop(id, graceful).await.map_err(|e| self.failed(e)),
            Backend::Here(node) => node.stop(parse_id(id)?, graceful).await.map_err(refused),
        }
    }

    /// Changes the load of a running test. Returns when the change takes effect, in seconds after
    /// the start.
    ///
    /// # Errors
    /// As [`Backend::stop`], or the change is not possible in the state of the test.
    pub async fn change_load(&self, id: &str, how: LoadRequest) -> Result<f64, Failure> {
        match self {
            Backend::Api(client, _) => client
                .change_load(id, how)
                .await
                .map_err(|e| self.failed(e)),
            Backend::Here(node) => {
                let at = node
                    .change_load(parse_id(id)?, how)
                    .await
                    .map_err(refused)?;
                Ok(at.as_secs_f64())
            }
        }
    }

    /// The result of a test, provisional while it runs.
    ///
    /// # Errors
    /// As [`Backend::stop`].
    pub async fn status(&self, id: &str) -> Result<TestResult, Failure> {
        match self {
            Backend::Api(client, _) => client.status(id).await.map_err(|e| self.failed(e)),
            Backend::Here(node) => {
                let result = node.status(parse_id(id)?).await.map_err(refused)?;
                Ok(Arc::unwrap_or_clone(result))
            }
        }
    }

    /// A test over time, in at most `points` intervals.
    ///
    /// # Errors
    /// As [`Backend::stop`].
    pub async fn timeline(
        &self,
        id: &str,
        points: usize,
        histograms: bool,
    ) -> Result<Timeline, Failure> {
        match self {
            Backend::Api(client, _) => client
                .timeline(id, points, histograms)
                .await
                .map_err(|e| self.failed(e)),
            Backend::Here(node) => node
                .timeline(parse_id(id)?, points, histograms)
                .await
                .map_err(refused),
        }
    }

    /// Streams the progress of a test and its timeline intervals, from now on.
    ///
    /// # Errors
    /// As [`Backend::stop`].
    pub async fn watch(&self, id: &str) -> Result<Stream, Failure> {
        match self {
            Backend::Api(client, _) => client
                .events(id)
                .await
                .map(Stream::Api)
                .map_err(|e| self.failed(e)),
            Backend::Here(node) => node
                .watch(parse_id(id)?)
                .await
                .map(Stream::Here)
                .map_err(refused),
        }
    }

    /// Drains a node.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or the node is unknown.
    pub async fn drain(&self, peer: Option<&str>) -> Result<(), Failure> {
        match self {
            Backend::Api(client, _) => client
                .drain(peer)
                .await
                .map(drop)
                .map_err(|e| self.failed(e)),
            Backend::Here(node) => node.drain(None).await.map_err(refused),
        }
    }

    fn failed(&self, why: ClientError) -> Failure {
        match (self, why) {
            (Backend::Api(_, address), ClientError::Unreachable { why, .. }) => Failure::run(
                format_args!("the node at {address} no longer answers ({why})"),
            ),
            (_, why) => Failure::run(why),
        }
    }
}

impl Stream {
    /// The next update; `None` if the stream is broken. A receiver that fell behind skips to the
    /// oldest update available.
    pub async fn next(&mut self) -> Option<Update> {
        match self {
            Stream::Api(events) => events.next().await.and_then(Result::ok),
            Stream::Here(receiver) => loop {
                match receiver.recv().await {
                    Ok(update) => return Some(Arc::unwrap_or_clone(update)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            },
        }
    }
}

fn parse_id(id: &str) -> Result<TestId, Failure> {
    id.parse()
        .map_err(|_| Failure::run(format_args!("{id:?} is not a test id")))
}

fn refused(why: CommandError) -> Failure {
    Failure::run(why)
}

//! Whom a command talks to: a node behind its HTTP API, or one in this process. Both answer
//! the same questions, so that commands need not know.

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

/// How long a node may take to answer before it counts as not there. On loopback it answers
/// within a millisecond; a token and a WAN may be in between.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A node to talk to.
#[derive(Debug)]
pub enum Backend {
    /// Through its API.
    Api(ApiClient, SocketAddr),
    /// In this process.
    Here(NodeHandle),
}

/// A test's progress as it comes.
#[derive(Debug)]
pub enum Stream {
    /// From the API.
    Api(Events),
    /// From this process.
    Here(broadcast::Receiver<Arc<Update>>),
}

/// Where a command was told to look for a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Where.
    pub api: SocketAddr,
    /// It was asked for; nothing else will do.
    pub explicit: bool,
    /// What to show there.
    pub token: Option<String>,
}

impl Address {
    /// From the command line, or else the environment, or else the default.
    ///
    /// # Errors
    /// A variable or a token file that makes no sense.
    pub fn of(args: &ApiArgs, get: &dyn Fn(&str) -> Option<String>) -> Result<Address, Failure> {
        let flags = Layer {
            api: args.api,
            api_token_file: args.api_token_file.clone(),
            ..Layer::default()
        };
        let layer = flags.over(Layer::from_env(get)?);
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
        Ok(Address {
            api: layer.api.map_or(default, |asked| asked.0),
            explicit: layer.api.is_some(),
            token: api_token(&layer)?,
        })
    }
}

impl Backend {
    /// The node that a command is to talk to.
    ///
    /// # Errors
    /// It does not answer, or not to us.
    pub async fn connect(args: &ApiArgs) -> Result<Backend, Failure> {
        let address = Address::of(args, &environment)?;
        let why = match Backend::probe(&address).await? {
            Ok(backend) => return Ok(backend),
            Err(why) => why,
        };
        Err(Failure::run(format_args!(
            "no node answers at {} ({why}); start one with `vajra-node`, or name another with \
             --api ADDR:PORT",
            address.api
        )))
    }

    /// The node at an address, or why there is none.
    ///
    /// # Errors
    /// There is one, and it refuses us.
    pub async fn probe(address: &Address) -> Result<Result<Backend, String>, Failure> {
        let client = ApiClient::new(address.api, address.token.clone());
        match tokio::time::timeout(ANSWER_WAIT, client.nodes()).await {
            Ok(Ok(_)) => Ok(Ok(Backend::Api(client, address.api))),
            // Another status than these is somebody else's server on that port.
            Ok(Err(
                e @ ClientError::Refused {
                    status: 401 | 403, ..
                },
            )) => Err(Failure::run(e)),
            Ok(Err(ClientError::Unreachable { why, .. })) => Ok(Err(why)),
            Ok(Err(e)) => Ok(Err(e.to_string())),
            Err(_) => Ok(Err(format!("no answer within {} s", ANSWER_WAIT.as_secs()))),
        }
    }

    /// The nodes of the swarm.
    ///
    /// # Errors
    /// The node is gone, or refuses.
    pub async fn nodes(&self) -> Result<NodeList, Failure> {
        match self {
            Backend::Api(client, _) => client.nodes().await.map_err(|e| self.lost(e)),
            Backend::Here(node) => node.nodes().await.map_err(refused),
        }
    }

    /// The tests it knows.
    ///
    /// # Errors
    /// As [`Backend::nodes`].
    pub async fn tests(&self) -> Result<TestList, Failure> {
        match self {
            Backend::Api(client, _) => client.tests().await.map_err(|e| self.lost(e)),
            Backend::Here(node) => node.tests().await.map_err(refused),
        }
    }

    /// Hands over data files that a plan names, as far as they are not there.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or there is no room for them.
    pub async fn bring(&self, blobs: &[Blob]) -> Result<(), Failure> {
        for blob in blobs {
            match self {
                Backend::Api(client, _) => {
                    client.put_blob(blob).await.map_err(|e| self.lost(e))?;
                }
                Backend::Here(node) => node.put_blob(blob).await.map_err(refused)?,
            }
        }
        Ok(())
    }

    /// Starts a test; returns its id. The data that its plan names has been
    /// [brought](Self::bring).
    ///
    /// # Errors
    /// As [`Backend::nodes`].
    pub async fn start(&self, plan: Plan) -> Result<String, Failure> {
        match self {
            Backend::Api(client, _) => client.start(&plan).await.map_err(|e| self.lost(e)),
            Backend::Here(node) => {
                let started = node.start(Arc::new(plan), StartOptions::default()).await;
                started.map(|id| id.to_string()).map_err(refused)
            }
        }
    }

    /// What all nodes find of a plan; none if the node is of a version that can't look.
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
                Err(e) => Err(self.lost(e)),
            },
            Backend::Here(node) => {
                let report = node.preflight(Arc::new(plan.clone())).await;
                report.map(Some).map_err(refused)
            }
        }
    }

    /// Stops a test: gracefully, or now.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or there is no such test.
    pub async fn stop(&self, id: &str, graceful: bool) -> Result<(), Failure> {
        match self {
            Backend::Api(client, _) => client.stop(id, graceful).await.map_err(|e| self.lost(e)),
            Backend::Here(node) => node.stop(own(id)?, graceful).await.map_err(refused),
        }
    }

    /// Changes the load of a running test; returns since when it counts, in seconds after the
    /// start.
    ///
    /// # Errors
    /// As [`Backend::stop`], or it makes no sense now.
    pub async fn steer(&self, id: &str, how: LoadRequest) -> Result<f64, Failure> {
        match self {
            Backend::Api(client, _) => client.steer(id, how).await.map_err(|e| self.lost(e)),
            Backend::Here(node) => {
                let at = node.change_load(own(id)?, how).await.map_err(refused)?;
                Ok(at.as_secs_f64())
            }
        }
    }

    /// A test's result so far.
    ///
    /// # Errors
    /// As [`Backend::stop`].
    pub async fn status(&self, id: &str) -> Result<TestResult, Failure> {
        match self {
            Backend::Api(client, _) => client.status(id).await.map_err(|e| self.lost(e)),
            Backend::Here(node) => {
                let result = node.status(own(id)?).await.map_err(refused)?;
                Ok(Arc::unwrap_or_clone(result))
            }
        }
    }

    /// A test over time, in at most so many points, with their histograms or without.
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
                .map_err(|e| self.lost(e)),
            Backend::Here(node) => node
                .timeline(own(id)?, points, histograms)
                .await
                .map_err(refused),
        }
    }

    /// A test's progress from now on, and its intervals as they close.
    ///
    /// # Errors
    /// As [`Backend::stop`].
    pub async fn watch(&self, id: &str) -> Result<Stream, Failure> {
        match self {
            Backend::Api(client, _) => client
                .events(id)
                .await
                .map(Stream::Api)
                .map_err(|e| self.lost(e)),
            Backend::Here(node) => node
                .watch(own(id)?)
                .await
                .map(Stream::Here)
                .map_err(refused),
        }
    }

    /// Takes a node out of service.
    ///
    /// # Errors
    /// As [`Backend::nodes`], or there is no such node.
    pub async fn drain(&self, peer: Option<&str>) -> Result<(), Failure> {
        match self {
            Backend::Api(client, _) => client.drain(peer).await.map(drop).map_err(|e| self.lost(e)),
            Backend::Here(node) => node.drain(None).await.map_err(refused),
        }
    }

    fn lost(&self, why: ClientError) -> Failure {
        match (self, why) {
            (Backend::Api(_, address), ClientError::Unreachable { why, .. }) => Failure::run(
                format_args!("the node at {address} no longer answers ({why})"),
            ),
            (_, why) => Failure::run(why),
        }
    }
}

impl Stream {
    /// The next line of progress, or interval; `None` once the stream is broken. A listener
    /// that fell behind goes on with the newest.
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

fn own(id: &str) -> Result<TestId, Failure> {
    id.parse()
        .map_err(|()| Failure::run(format_args!("{id:?} is no test id")))
}

fn refused(why: CommandError) -> Failure {
    Failure::run(why)
}

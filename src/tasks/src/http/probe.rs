//! Checks whether a target can be reached before a test: opens and closes a connection, with the
//! handshake if TLS is used. Sends no request, since even a `HEAD` may have an effect.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use vajra_task::Failure;

use super::dial::Destination;
use super::failures::connect_timeout;

/// Most addresses of a target that are tried.
const MAX_TRIED: usize = 4;

/// The result of connecting to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Host and port in the plan.
    pub target: String,
    /// Time that its name took to resolve.
    pub resolving: Duration,
    /// Addresses that were tried: those of a name up to the first that accepts a connection; of
    /// those that the plan lists, the first few.
    pub tried: Vec<(SocketAddr, Result<Reached, Failure>)>,
    /// Each address receives load; otherwise one that accepts connections is enough.
    pub each_counts: bool,
}

/// Times of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// TCP connect.
    pub connecting: Duration,
    /// TLS handshake, if TLS is used.
    pub handshake: Option<Duration>,
}

impl Probe {
    /// The fastest connection; none if no address accepts one.
    pub fn best(&self) -> Option<Reached> {
        let reached = self.tried.iter().filter_map(|(_, r)| r.as_ref().ok());
        reached.min_by_key(|r| r.connecting).copied()
    }

    /// Addresses that failed, with the reason.
    pub fn failed(&self) -> impl Iterator<Item = (SocketAddr, &Failure)> {
        self.tried
            .iter()
            .filter_map(|(address, result)| Some((*address, result.as_ref().err()?)))
    }
}

impl Destination {
    /// Connects to the addresses. `limit` is the time for each.
    pub async fn probe(&self, limit: Duration) -> Probe {
        let (all, interchangeable) = self.all();
        let mut probe = Probe {
            target: self.name(),
            resolving: self.resolve_time(),
            tried: Vec::new(),
            each_counts: !interchangeable,
        };
        let first = all.into_iter().take(MAX_TRIED);
        match interchangeable {
            true => {
                for address in first {
                    let result = self.reach(address, limit).await;
                    let reached = result.is_ok();
                    probe.tried.push((address, result));
                    if reached {
                        break;
                    }
                }
            }
            false => {
                let each = first.map(async |a| (a, self.reach(a, limit).await));
                probe.tried = join_all(each).await;
            }
        }
        probe
    }

    async fn reach(&self, address: SocketAddr, limit: Duration) -> Result<Reached, Failure> {
        let connect = async {
            let started = Instant::now();
            let tcp = self.open(address, 0).await?;
            let connecting = started.elapsed();
            let handshake = match self.tls() {
                None => None,
                Some(tls) => {
                    let started = Instant::now();
                    tls.connect(tcp).await?;
                    Some(started.elapsed())
                }
            };
            Ok(Reached {
                connecting,
                handshake,
            })
        };
        match timeout(limit, connect).await {
            Ok(result) => result,
            Err(_) => Err(connect_timeout()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use vajra_plan::TargetUrl;
    use vajra_task::{FailureKind, TaskContext, TestOrigin};

    const LIMIT: Duration = Duration::from_secs(5);

    fn destination(url: &str, listed: &[SocketAddr]) -> Destination {
        let url = TargetUrl::parse(url).unwrap();
        Destination::new(
            url,
            &Arc::new(TaskContext::default()),
            TestOrigin::ThisNode,
            None,
            listed,
            None,
        )
        .unwrap()
    }

    /// An address without a listener: its listener was just closed.
    fn closed() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_probe_connects_and_sends_no_byte() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let destination = destination(&format!("http://{address}/"), &[]);
        let (probe, accepted) = tokio::join!(destination.probe(LIMIT), listener.accept());
        assert_eq!(probe.target, address.to_string());
        assert!(probe.best().is_some_and(|r| r.handshake.is_none()));
        let mut received = Vec::new();
        accepted
            .unwrap()
            .0
            .read_to_end(&mut received)
            .await
            .unwrap();
        assert!(received.is_empty());
    }

    #[tokio::test]
    async fn listed_addresses_are_each_tried_up_to_a_limit() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listed = vec![closed(), open.local_addr().unwrap()];
        let probe = destination("http://shop/", &listed).probe(LIMIT).await;
        assert!(probe.best().is_some());
        let failed: Vec<_> = probe.failed().collect();
        assert_eq!(
            (failed[0].0, failed[0].1.kind),
            (listed[0], FailureKind::Connect)
        );
        listed.resize(9, listed[1]);
        let probe = destination("http://shop/", &listed).probe(LIMIT).await;
        assert_eq!((probe.tried.len(), probe.each_counts), (MAX_TRIED, true));
    }

    #[tokio::test]
    async fn a_refused_connection_is_reported_with_its_reason() {
        let probe = destination(&format!("http://{}/", closed()), &[])
            .probe(LIMIT)
            .await;
        assert_eq!(probe.best(), None);
        let (_, why) = probe.failed().next().unwrap();
        assert!(why.message.contains("refused"), "{why:?}");
    }
}

//! Looking whether a target can be reached, before a test: a connection is opened and closed
//! again, and over TLS the handshake is made. No request is sent: even a `HEAD` may have an
//! effect.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use super::dial::Destination;
use super::not_connected_in_time;
use crate::Failure;

/// Most addresses of one target that are tried.
const MAX_TRIED: usize = 4;

/// How a target was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Host and port, as the plan has them.
    pub target: String,
    /// How long its name took to resolve.
    pub resolving: Duration,
    /// What was tried: of a name's addresses no more after the first that answers, of those
    /// that the plan lists some.
    pub tried: Vec<(SocketAddr, Result<Reached, Failure>)>,
    /// Each address is to be loaded; otherwise one will do.
    pub each_counts: bool,
}

/// How long it took to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// TCP.
    pub connecting: Duration,
    /// TLS, if it is spoken.
    pub handshake: Option<Duration>,
}

impl Probe {
    /// The quickest connection; none if nothing answers.
    pub fn best(&self) -> Option<Reached> {
        let reached = self.tried.iter().filter_map(|(_, r)| r.as_ref().ok());
        reached.min_by_key(|r| r.connecting).copied()
    }

    /// What does not answer, and why.
    pub fn failed(&self) -> impl Iterator<Item = (SocketAddr, &Failure)> {
        self.tried
            .iter()
            .filter_map(|(address, result)| Some((*address, result.as_ref().err()?)))
    }
}

impl Destination {
    /// Connects, each time for at most `wait`.
    pub async fn probe(&self, wait: Duration) -> Probe {
        let (all, any_will_do) = self.all();
        let mut probe = Probe {
            target: self.name(),
            resolving: self.resolving(),
            tried: Vec::new(),
            each_counts: !any_will_do,
        };
        let first = all.into_iter().take(MAX_TRIED);
        match any_will_do {
            true => {
                for address in first {
                    let result = self.reach(address, wait).await;
                    let reached = result.is_ok();
                    probe.tried.push((address, result));
                    if reached {
                        break;
                    }
                }
            }
            false => {
                let each = first.map(async |a| (a, self.reach(a, wait).await));
                probe.tried = join_all(each).await;
            }
        }
        probe
    }

    async fn reach(&self, address: SocketAddr, wait: Duration) -> Result<Reached, Failure> {
        let connect = async {
            let began = Instant::now();
            let tcp = self.open(address, 0).await?;
            let connecting = began.elapsed();
            let handshake = match self.tls() {
                None => None,
                Some(tls) => {
                    let began = Instant::now();
                    tls.connect(tcp).await?;
                    Some(began.elapsed())
                }
            };
            Ok(Reached {
                connecting,
                handshake,
            })
        };
        match timeout(wait, connect).await {
            Ok(result) => result,
            Err(_) => Err(not_connected_in_time()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::TaskContext;
    use vajra_plan::TargetUrl;

    const WAIT: Duration = Duration::from_secs(5);

    fn to(url: &str, listed: &[SocketAddr]) -> Destination {
        let url = TargetUrl::parse(url).unwrap();
        Destination::new(
            url,
            &Arc::new(TaskContext::default()),
            true,
            None,
            listed,
            None,
        )
        .unwrap()
    }

    /// An address on which nobody listens: one that was just given back.
    fn closed() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_listener_is_reached_and_gets_no_byte() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = to(&format!("http://{address}/"), &[]);
        let (probe, accepted) = tokio::join!(to.probe(WAIT), listener.accept());
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
    async fn of_listed_addresses_each_is_tried_up_to_a_few() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listed = vec![closed(), open.local_addr().unwrap()];
        let probe = to("http://shop/", &listed).probe(WAIT).await;
        assert!(probe.best().is_some());
        let failed: Vec<_> = probe.failed().collect();
        assert_eq!((failed[0].0, failed[0].1.kind), (listed[0], "connect"));
        listed.resize(9, listed[1]);
        let probe = to("http://shop/", &listed).probe(WAIT).await;
        assert_eq!((probe.tried.len(), probe.each_counts), (MAX_TRIED, true));
    }

    #[tokio::test]
    async fn nobody_at_home_is_told_with_its_reason() {
        let probe = to(&format!("http://{}/", closed()), &[]).probe(WAIT).await;
        assert_eq!(probe.best(), None);
        let (_, why) = probe.failed().next().unwrap();
        assert!(why.message.contains("refused"), "{why:?}");
    }
}

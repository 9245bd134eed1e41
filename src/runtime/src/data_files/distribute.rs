//! Distributes the data files of a test before its announcement, so that all nodes can start
//! together. A node that is not ready in time, or joins later, fetches the files by itself.

use std::sync::Arc;

use tokio::time::Instant;

use super::retry::RetryPolicy;
use crate::peers::calls::Caller;
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Reply, Request};
use vajra_network::RequestFailed;

/// A node does not have the data of a test.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotReady {
    /// It cannot run the plan.
    #[error("{0}")]
    Unable(String),
    /// It has not fetched everything.
    #[error("{missing} bytes are missing")]
    Incomplete {
        /// Bytes that are not on the node.
        missing: u64,
    },
    /// It refused the request.
    #[error("{0}")]
    Refused(String),
    /// It sent the reply to another request.
    #[error("unexpected reply")]
    UnexpectedReply,
    /// It could not be asked.
    #[error(transparent)]
    Request(RequestFailed),
}

/// Waits until these nodes have the data of a plan. Returns those that have not, with the reason.
pub async fn distribute(
    caller: &Caller,
    nodes: &[Peer],
    plan: &Arc<[u8]>,
    retry: RetryPolicy,
) -> Vec<(Peer, NotReady)> {
    let each = nodes.iter().map(|node| async move {
        let why = until_ready(caller, node, plan, retry).await.err()?;
        Some((node.clone(), why))
    });
    let all = futures::future::join_all(each).await;
    all.into_iter().flatten().collect()
}

async fn until_ready(
    caller: &Caller,
    node: &Peer,
    plan: &Arc<[u8]>,
    retry: RetryPolicy,
) -> Result<(), NotReady> {
    let started = Instant::now();
    let (mut last_progress, mut least) = (started, u64::MAX);
    loop {
        let why = match caller.call(node, Request::TakeData(plan.clone())).await {
            Ok(Reply::Data {
                unable: Some(why), ..
            }) => return Err(NotReady::Unable(why)),
            Ok(Reply::Data { missing: 0, .. }) => return Ok(()),
            Ok(Reply::Data { missing, .. }) => {
                if missing < least {
                    (last_progress, least) = (Instant::now(), missing);
                }
                NotReady::Incomplete { missing }
            }
            Ok(Reply::Refused(why)) => NotReady::Refused(why),
            Ok(_) => return Err(NotReady::UnexpectedReply),
            Err(e) => NotReady::Request(e),
        };
        if last_progress.elapsed() > retry.max_idle || started.elapsed() > retry.max_total {
            return Err(why);
        }
        tokio::time::sleep(retry.pause).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn data(missing: u64, unable: Option<&str>) -> Result<Reply, RequestFailed> {
        let unable = unable.map(str::to_owned);
        Ok(Reply::Data { missing, unable })
    }

    const SHORT: RetryPolicy = RetryPolicy {
        pause: Duration::from_millis(1),
        max_idle: Duration::from_millis(100),
        max_total: Duration::from_secs(60),
    };

    /// A caller whose nodes reply by name and number of earlier calls to that node.
    fn nodes(answer: fn(&[u8], u64) -> Result<Reply, RequestFailed>) -> Caller {
        let (caller, mut calls) = Caller::new();
        tokio::spawn(async move {
            let mut before = std::collections::BTreeMap::<Peer, u64>::new();
            while let Some(call) = calls.recv().await {
                let n = before.entry(call.to.clone()).or_default();
                let answered = call.answer.send(answer(call.to.as_bytes(), *n));
                answered.unwrap();
                *n += 1;
            }
        });
        caller
    }

    #[tokio::test]
    async fn it_waits_for_all_nodes_and_returns_those_that_are_not_ready() {
        let caller = nodes(|name, n| match name {
            b"fast" => data(0, None),
            b"slow" => data(1_000 - (10 * n).min(1_000), None),
            b"refuses" => data(9, Some("the target is not allowed here")),
            b"stuck" => data(9, None),
            b"old" => Ok(Reply::Refused("of a newer version".into())),
            _ => Err(RequestFailed::NotConnected),
        });
        let names = ["fast", "slow", "refuses", "stuck", "old", "gone"];
        let peers = names.map(|n| Peer::new(n.as_bytes()));
        let late = distribute(&caller, &peers, &Arc::from(&b"{}"[..]), SHORT).await;
        let late: Vec<_> = late
            .iter()
            .map(|(p, why)| (p.as_bytes(), why.to_string()))
            .collect();
        assert_eq!(
            late,
            [
                (&b"refuses"[..], "the target is not allowed here".into()),
                (b"stuck", "9 bytes are missing".into()),
                (b"old", "of a newer version".into()),
                (b"gone", RequestFailed::NotConnected.to_string()),
            ]
        );
    }

    #[tokio::test]
    async fn it_stops_waiting_after_the_total_timeout() {
        let caller = nodes(|_, n| data(u64::MAX - 1 - n, None));
        let retry = RetryPolicy {
            max_total: Duration::from_millis(100),
            ..SHORT
        };
        let plan = Arc::from(&b"{}"[..]);
        let late = distribute(&caller, &[Peer::new(b"a")], &plan, retry).await;
        assert_eq!(late.len(), 1);
    }
}

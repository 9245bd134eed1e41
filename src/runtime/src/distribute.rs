//! Before a test is announced: every node that could carry it is told which data it needs, and
//! has fetched it, so that all of them can begin together. A node that is not ready in time, or
//! joins later, fetches by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::calls::Caller;
use vajra_core::protocol::Peer;
use vajra_core::protocol::messages::{Reply, Request};

/// Beyond this a plan is large, and is not sent as often.
const LARGE: usize = 16 * 1024;

/// How long nodes are waited for.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Time between two questions to a node.
    ask_again: Duration,
    /// A node that has got no further for so long is not waited for.
    silent: Duration,
    /// Nor is any after this.
    longest: Duration,
}

impl RetryPolicy {
    /// With so many nodes and a plan of such a length: of a thousand nodes no more than two
    /// hundred are asked a second.
    pub fn of(nodes: usize, plan: usize) -> RetryPolicy {
        let pause = match plan > LARGE {
            true => Duration::from_secs(2),
            false => Duration::from_millis(200),
        };
        RetryPolicy {
            ask_again: pause.max(Duration::from_millis(5) * nodes as u32),
            silent: Duration::from_secs(15),
            longest: Duration::from_secs(300),
        }
    }
}

/// Waits until these nodes have a plan's data. Returns those that have not, and why.
pub async fn spread(
    caller: &Caller,
    nodes: &[Peer],
    plan: &Arc<[u8]>,
    patience: RetryPolicy,
) -> Vec<(Peer, String)> {
    let each = nodes.iter().map(|node| async move {
        let why = ready(caller, node, plan, patience).await.err()?;
        Some((node.clone(), why))
    });
    let all = futures::future::join_all(each).await;
    all.into_iter().flatten().collect()
}

async fn ready(
    caller: &Caller,
    node: &Peer,
    plan: &Arc<[u8]>,
    patience: RetryPolicy,
) -> Result<(), String> {
    let began = Instant::now();
    let (mut last, mut least) = (began, u64::MAX);
    loop {
        let why = match caller.call(node, Request::TakeData(plan.clone())).await {
            Ok(Reply::Data {
                unable: Some(why), ..
            }) => return Err(why),
            Ok(Reply::Data { missing: 0, .. }) => return Ok(()),
            Ok(Reply::Data { missing, .. }) => {
                if missing < least {
                    (last, least) = (Instant::now(), missing);
                }
                format!("{missing} bytes are still missing there")
            }
            Ok(Reply::Refused(why)) => why,
            Ok(_) => return Err("it answered something else".into()),
            Err(e) => e.to_string(),
        };
        if last.elapsed() > patience.silent || began.elapsed() > patience.longest {
            return Err(why);
        }
        tokio::time::sleep(patience.ask_again).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use vajra_network::RequestFailed;

    fn data(missing: u64, unable: Option<&str>) -> Result<Reply, RequestFailed> {
        let unable = unable.map(str::to_owned);
        Ok(Reply::Data { missing, unable })
    }

    const SHORT: RetryPolicy = RetryPolicy {
        ask_again: Duration::from_millis(1),
        silent: Duration::from_millis(100),
        longest: Duration::from_secs(60),
    };

    /// A caller whose nodes answer by their name and how often that one was asked before.
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
    async fn it_waits_for_all_and_tells_who_is_not_ready() {
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
        let late = spread(&caller, &peers, &Arc::from(&b"{}"[..]), SHORT).await;
        let late: Vec<_> = late
            .iter()
            .map(|(p, why)| (p.as_bytes(), why.as_str()))
            .collect();
        assert_eq!(
            late,
            [
                (&b"refuses"[..], "the target is not allowed here"),
                (b"stuck", "9 bytes are still missing there"),
                (b"old", "of a newer version"),
                (b"gone", "the node cannot be reached"),
            ]
        );
    }

    #[tokio::test]
    async fn it_does_not_wait_for_ever() {
        let caller = nodes(|_, n| data(u64::MAX - 1 - n, None));
        let patience = RetryPolicy {
            longest: Duration::from_millis(100),
            ..SHORT
        };
        let plan = Arc::from(&b"{}"[..]);
        let late = spread(&caller, &[Peer::new(b"a")], &plan, patience).await;
        assert_eq!(late.len(), 1);
    }
}

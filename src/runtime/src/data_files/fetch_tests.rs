#![allow(clippy::unwrap_used)]
//! Fetching from nodes that have the file, lack it, fail, or send wrong content.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::peers::calls::Call;
use vajra_core::protocol::messages::BlobPart;
use vajra_plan::{Format, Pick};

/// A file of several parts, the last of which is shorter.
fn file() -> (Data, Arc<[u8]>) {
    let rows: String = (0..150_000)
        .map(|i| format!("user{i:07},secret{i}\n"))
        .collect();
    let text = format!("name,pass\n{rows}");
    let (data, blob) = Data::of(text, Format::Csv, Pick::Random).unwrap();
    assert!(data.bytes > 2 * MAX_CHUNK as u64);
    (data, blob.bytes)
}

fn peer(name: &str) -> Peer {
    Peer::new(name.as_bytes())
}

fn name(peer: &Peer) -> String {
    String::from_utf8(peer.as_bytes().to_vec()).unwrap()
}

/// The reply of a node that has the file.
fn part_of(file: &[u8], offset: u64) -> Reply {
    let rest = &file[offset as usize..];
    Reply::Blob(Some(BlobPart {
        total: file.len() as u64,
        bytes: rest[..rest.len().min(MAX_CHUNK)].into(),
    }))
}

/// A fetcher into memory, and a swarm whose nodes reply by name, offset and number of earlier calls.
/// Also returns the calls made.
fn swarm(
    mut answer: impl FnMut(&str, u64, usize) -> Result<Reply, RequestFailed> + Send + 'static,
) -> (Fetcher, Blobs, mpsc::UnboundedReceiver<(String, u64)>) {
    let blobs = Blobs::open(None, 1 << 30).unwrap();
    let (caller, mut calls) = Caller::new();
    let (asked, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut before = 0;
        while let Some(Call {
            to,
            request,
            answer: reply,
        }) = calls.recv().await
        {
            let Request::FetchBlob { offset, .. } = request else {
                panic!("{request:?}");
            };
            let _ = asked.send((name(&to), offset));
            let _ = reply.send(answer(&name(&to), offset, before));
            before += 1;
        }
    });
    let mut fetcher = Fetcher::new(blobs.clone(), caller);
    fetcher.retry = RetryPolicy {
        pause: Duration::from_millis(1),
        max_idle: Duration::from_millis(50),
        max_total: Duration::from_secs(60),
    };
    (fetcher, blobs, seen)
}

fn all(mut seen: mpsc::UnboundedReceiver<(String, u64)>) -> Vec<(String, u64)> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

#[tokio::test]
async fn a_file_is_assembled_from_its_parts() {
    let (data, bytes) = file();
    let served = bytes.clone();
    let (fetcher, blobs, seen) = swarm(move |_, offset, _| Ok(part_of(&served, offset)));
    assert_eq!(fetcher.missing(&data), data.bytes);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(fetcher.missing(&data), 0);
    let (total, part) = blobs.part(data.digest, 0, usize::MAX).unwrap().unwrap();
    assert!(total == data.bytes && part[..] == bytes[..]);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(all(seen).len(), 4, "each part once");
}

/// Replies are sent in reverse order, once a whole window was requested.
#[tokio::test]
async fn replies_out_of_order_are_reordered() {
    let (data, bytes) = file();
    let blobs = Blobs::open(None, 1 << 30).unwrap();
    let (caller, mut calls) = Caller::new();
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        while let Some(call) = calls.recv().await {
            waiting.push(call);
            if waiting.len() == 4 {
                for call in waiting.drain(..).rev() {
                    let Request::FetchBlob { offset, .. } = call.request else {
                        panic!();
                    };
                    call.answer.send(Ok(part_of(&bytes, offset))).unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let fetcher = Fetcher::new(blobs.clone(), caller);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

#[tokio::test]
async fn the_next_node_continues_where_one_failed() {
    let (data, bytes) = file();
    let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
        "fails" if offset > 0 => Err(RequestFailed::ConnectionLost),
        _ => Ok(part_of(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("fails"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
    let of_b = all(seen).into_iter().filter(|(who, _)| who == "b");
    let first = of_b.map(|(_, offset)| offset).min();
    assert_eq!(
        first,
        Some(MAX_CHUNK as u64),
        "the first part is not fetched again"
    );
}

#[tokio::test]
async fn a_node_that_lacks_the_file_is_asked_again_later() {
    let (data, bytes) = file();
    let (fetcher, blobs, _seen) = swarm(move |who, offset, before| match who {
        "busy" => Ok(Reply::Refused("too many".into())),
        _ if before < 20 => Ok(Reply::Blob(None)),
        _ => Ok(part_of(&bytes, offset)),
    });
    let sources = [peer("busy"), peer("later")];
    fetcher.get(&data, &sources).await.unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

#[tokio::test]
async fn a_fetch_that_progresses_too_slowly_fails_after_the_total_timeout() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (mut fetcher, _blobs, _seen) = swarm(move |who, offset, before| match who {
        _ if before > 2 && offset > 0 => Err(RequestFailed::TimedOut),
        "a" => Ok(part_of(&forged, offset)),
        _ => Ok(part_of(&bytes, offset)),
    });
    fetcher.retry.max_idle = Duration::from_secs(60);
    fetcher.retry.max_total = Duration::from_millis(50);
    assert!(fetcher.get(&data, &[peer("a"), peer("b")]).await.is_err());
}

#[tokio::test]
async fn a_fetch_fails_if_no_node_has_the_file() {
    let (data, _) = file();
    let (fetcher, _blobs, _seen) = swarm(|_, _, _| Ok(Reply::Blob(None)));
    let failed = fetcher.get(&data, &[peer("a"), peer("b")]).await;
    assert_eq!(failed, Err(FetchError::Absent));
    let failed = fetcher.get(&data, &[]).await;
    assert_eq!(failed, Err(FetchError::NoSource));
}

#[tokio::test]
async fn a_node_that_sends_an_impossible_reply_is_excluded() {
    let (data, bytes) = file();
    let total = data.bytes;
    let part = |total, length| {
        Reply::Blob(Some(BlobPart {
            total,
            bytes: vec![b'x'; length].into(),
        }))
    };
    for wrong in [
        part(total + 1, MAX_CHUNK),
        part(total, 0),
        part(total, 1),
        part(total, MAX_CHUNK + 1),
        Reply::Drained,
    ] {
        let served = bytes.clone();
        let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
            "wrong" => Ok(wrong.clone()),
            _ => Ok(part_of(&served, offset)),
        });
        fetcher
            .get(&data, &[peer("wrong"), peer("b")])
            .await
            .unwrap();
        assert_eq!(blobs.has(data.digest), Some(total));
        let asked = all(seen);
        let first = asked.iter().filter(|(who, at)| who == "wrong" && *at == 0);
        assert_eq!(first.count(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn a_node_with_wrong_content_of_the_right_length_is_excluded() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
        "wrong" => Ok(part_of(&forged, offset)),
        _ => Ok(part_of(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("wrong"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
    let asked = all(seen);
    let of_wrong = asked.iter().filter(|(who, _)| who == "wrong");
    assert_eq!(of_wrong.count(), 4, "{asked:?}");
}

/// One wrong part spoils the whole file until each node is asked alone.
#[tokio::test]
async fn a_node_with_wrong_content_among_several_is_identified() {
    let (data, bytes) = file();
    let (fetcher, blobs, _seen) = swarm(move |who, offset, _| match who {
        "wrong" if offset == 0 => Ok(part_of(&vec![b'x'; bytes.len()], 0)),
        "wrong" => Err(RequestFailed::TimedOut),
        _ => Ok(part_of(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("wrong"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

#[tokio::test]
async fn a_fetch_fails_at_once_if_all_sources_are_excluded() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (fetcher, blobs, _seen) = swarm(move |_, offset, _| Ok(part_of(&forged, offset)));
    let failed = fetcher.get(&data, &[peer("wrong")]).await;
    assert_eq!(failed, Err(FetchError::DigestMismatch));
    assert_eq!(blobs.has(data.digest), None);
}

#[tokio::test]
async fn a_fetch_into_a_full_store_fails_with_the_reason() {
    let (data, bytes) = file();
    let (caller, mut calls) = Caller::new();
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            let Request::FetchBlob { offset, .. } = call.request else {
                panic!();
            };
            // The fetch may have ended.
            let _ = call.answer.send(Ok(part_of(&bytes, offset)));
        }
    });
    let blobs = Blobs::open(None, 1 << 20).unwrap();
    let fetcher = Fetcher::new(blobs, caller);
    let failed = fetcher.get(&data, &[peer("a")]).await.unwrap_err();
    assert!(matches!(failed, FetchError::Store(_)));
    assert!(failed.to_string().contains("no space left"), "{failed}");
}

#[tokio::test]
async fn requests_for_the_same_file_share_one_fetch() {
    let (data, bytes) = file();
    let (fetcher, _blobs, seen) = swarm(move |who, offset, _| match who {
        "b" => Ok(part_of(&bytes, offset)),
        _ => Ok(Reply::Blob(None)),
    });
    fetcher.prefetch(&data, &[peer("a")]).unwrap();
    let (a, b) = ([peer("a")], [peer("b")]);
    let both = tokio::join!(fetcher.get(&data, &a), fetcher.get(&data, &b));
    assert_eq!(both, (Ok(()), Ok(())));
    let of_b = all(seen).into_iter().filter(|(who, _)| who == "b");
    assert_eq!(of_b.count(), 4);
}

/// Prefetches for other nodes are few, and must not delay a test.
#[tokio::test]
async fn a_file_that_a_test_needs_does_not_wait_for_prefetches() {
    let (data, bytes) = file();
    let blobs = Blobs::open(None, 1 << 30).unwrap();
    let (caller, mut calls) = Caller::new();
    let digest = data.digest;
    tokio::spawn(async move {
        let mut never = Vec::new();
        while let Some(call) = calls.recv().await {
            match call.request {
                Request::FetchBlob { digest: d, offset } if d.0 == digest.0 => {
                    call.answer.send(Ok(part_of(&bytes, offset))).unwrap();
                }
                _ => never.push(call),
            }
        }
    });
    let fetcher = Fetcher::new(blobs.clone(), caller);
    let other = |n: usize| Data {
        digest: Sha256::of(&n.to_be_bytes()),
        ..data.clone()
    };
    let accepted = (0..).take_while(|n| fetcher.prefetch(&other(*n), &[peer("a")]).is_ok());
    assert_eq!(accepted.count(), MAX_PREFETCHED);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

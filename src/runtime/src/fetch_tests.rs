#![allow(clippy::unwrap_used)]
//! Fetching from nodes that have the file, have none, die, and lie.

use std::time::Duration;

use tokio::sync::mpsc;

use super::super::calls::Call;
use super::*;
use vajra_core::protocol::messages::BlobPart;
use vajra_network::RequestFailed;
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

/// What an honest node answers.
fn honest(file: &[u8], offset: u64) -> Reply {
    let rest = &file[offset as usize..];
    Reply::Blob(Some(BlobPart {
        total: file.len() as u64,
        bytes: rest[..rest.len().min(MAX_CHUNK)].into(),
    }))
}

/// A fetcher into memory, and a swarm whose nodes answer as told: by name, offset, and how many
/// calls there were before. Returns what it was asked, too.
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
    fetcher.patience = RetryPolicy {
        repeat: Duration::from_millis(1),
        give_up: Duration::from_millis(50),
        longest: Duration::from_secs(60),
    };
    (fetcher, blobs, seen)
}

fn all(mut seen: mpsc::UnboundedReceiver<(String, u64)>) -> Vec<(String, u64)> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

#[tokio::test]
async fn a_file_is_put_together_from_its_parts() {
    let (data, bytes) = file();
    let served = bytes.clone();
    let (fetcher, blobs, seen) = swarm(move |_, offset, _| Ok(honest(&served, offset)));
    assert_eq!(fetcher.missing(&data), data.bytes);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(fetcher.missing(&data), 0);
    let (total, part) = blobs.part(data.digest, 0, usize::MAX).unwrap().unwrap();
    assert!(total == data.bytes && part[..] == bytes[..]);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(all(seen).len(), 4, "each part once");
}

/// Parts may come in whatever order: the answers wait until all of a window have been asked.
#[tokio::test]
async fn answers_out_of_order_are_put_in_order() {
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
                    call.answer.send(Ok(honest(&bytes, offset))).unwrap();
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
async fn the_next_node_goes_on_where_one_died() {
    let (data, bytes) = file();
    let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
        "dies" if offset > 0 => Err(RequestFailed::ConnectionLost),
        _ => Ok(honest(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("dies"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
    let of_b = all(seen).into_iter().filter(|(who, _)| who == "b");
    let first = of_b.map(|(_, offset)| offset).min();
    assert_eq!(first, Some(MAX_CHUNK as u64), "the first part was here");
}

#[tokio::test]
async fn a_node_that_gets_it_later_is_asked_again() {
    let (data, bytes) = file();
    let (fetcher, blobs, _seen) = swarm(move |who, offset, before| match who {
        "busy" => Ok(Reply::Refused("too many".into())),
        _ if before < 20 => Ok(Reply::Blob(None)),
        _ => Ok(honest(&bytes, offset)),
    });
    let sources = [peer("busy"), peer("later")];
    fetcher.get(&data, &sources).await.unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

#[tokio::test]
async fn a_file_of_which_a_part_comes_now_and_then_is_given_up_in_the_end() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (mut fetcher, _blobs, _seen) = swarm(move |who, offset, before| match who {
        _ if before > 2 && offset > 0 => Err(RequestFailed::TimedOut),
        "a" => Ok(honest(&forged, offset)),
        _ => Ok(honest(&bytes, offset)),
    });
    fetcher.patience.give_up = Duration::from_secs(60);
    fetcher.patience.longest = Duration::from_millis(50);
    assert!(fetcher.get(&data, &[peer("a"), peer("b")]).await.is_err());
}

#[tokio::test]
async fn a_file_that_nobody_has_is_given_up() {
    let (data, _) = file();
    let (fetcher, _blobs, _seen) = swarm(|_, _, _| Ok(Reply::Blob(None)));
    let why = fetcher.get(&data, &[peer("a"), peer("b")]).await;
    assert_eq!(why, Err("no node that was asked has it".into()));
    let why = fetcher.get(&data, &[]).await.unwrap_err();
    assert!(why.contains("no node is known"), "{why}");
}

#[tokio::test]
async fn a_node_that_sends_what_cannot_be_is_asked_once() {
    let (data, bytes) = file();
    let total = data.bytes;
    let part = |total, length| {
        Reply::Blob(Some(BlobPart {
            total,
            bytes: vec![b'x'; length].into(),
        }))
    };
    for lie in [
        part(total + 1, MAX_CHUNK),
        part(total, 0),
        part(total, 1),
        part(total, MAX_CHUNK + 1),
        Reply::Drained,
    ] {
        let served = bytes.clone();
        let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
            "liar" => Ok(lie.clone()),
            _ => Ok(honest(&served, offset)),
        });
        fetcher
            .get(&data, &[peer("liar"), peer("b")])
            .await
            .unwrap();
        assert_eq!(blobs.has(data.digest), Some(total));
        let asked = all(seen);
        let first = asked.iter().filter(|(who, at)| who == "liar" && *at == 0);
        assert_eq!(first.count(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn a_node_with_other_bytes_of_the_right_length_is_asked_once() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (fetcher, blobs, seen) = swarm(move |who, offset, _| match who {
        "liar" => Ok(honest(&forged, offset)),
        _ => Ok(honest(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("liar"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
    let asked = all(seen);
    let of_liar = asked.iter().filter(|(who, _)| who == "liar");
    assert_eq!(of_liar.count(), 4, "{asked:?}");
}

/// Its one part spoils what others send, until each is asked alone.
#[tokio::test]
async fn a_liar_among_several_is_found_out() {
    let (data, bytes) = file();
    let (fetcher, blobs, _seen) = swarm(move |who, offset, _| match who {
        "liar" if offset == 0 => Ok(honest(&vec![b'x'; bytes.len()], 0)),
        "liar" => Err(RequestFailed::TimedOut),
        _ => Ok(honest(&bytes, offset)),
    });
    fetcher
        .get(&data, &[peer("liar"), peer("b")])
        .await
        .unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

#[tokio::test]
async fn liars_alone_end_it_at_once() {
    let (data, bytes) = file();
    let forged = vec![b'x'; bytes.len()];
    let (fetcher, blobs, _seen) = swarm(move |_, offset, _| Ok(honest(&forged, offset)));
    let why = fetcher.get(&data, &[peer("liar")]).await.unwrap_err();
    assert!(why.contains("not the file that the plan names"), "{why}");
    assert_eq!(blobs.has(data.digest), None);
}

#[tokio::test]
async fn a_store_that_is_full_says_so() {
    let (data, bytes) = file();
    let (caller, mut calls) = Caller::new();
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            let Request::FetchBlob { offset, .. } = call.request else {
                panic!();
            };
            // The fetch may have been given up.
            let _ = call.answer.send(Ok(honest(&bytes, offset)));
        }
    });
    let blobs = Blobs::open(None, 1 << 20).unwrap();
    let fetcher = Fetcher::new(blobs, caller);
    let why = fetcher.get(&data, &[peer("a")]).await.unwrap_err();
    assert!(why.contains("there is no room"), "{why}");
}

#[tokio::test]
async fn who_wants_the_same_file_waits_for_the_same_fetch() {
    let (data, bytes) = file();
    let (fetcher, _blobs, seen) = swarm(move |who, offset, _| match who {
        "b" => Ok(honest(&bytes, offset)),
        _ => Ok(Reply::Blob(None)),
    });
    fetcher.want(&data, &[peer("a")]).unwrap();
    let (a, b) = ([peer("a")], [peer("b")]);
    let both = tokio::join!(fetcher.get(&data, &a), fetcher.get(&data, &b));
    assert_eq!(both, (Ok(()), Ok(())));
    let of_b = all(seen).into_iter().filter(|(who, _)| who == "b");
    assert_eq!(of_b.count(), 4);
}

/// What strangers want has few places and keeps no test waiting.
#[tokio::test]
async fn what_a_test_needs_does_not_wait_for_what_is_only_wanted() {
    let (data, bytes) = file();
    let blobs = Blobs::open(None, 1 << 30).unwrap();
    let (caller, mut calls) = Caller::new();
    let digest = data.digest;
    tokio::spawn(async move {
        let mut never = Vec::new();
        while let Some(call) = calls.recv().await {
            match call.request {
                Request::FetchBlob { digest: d, offset } if d.0 == digest.0 => {
                    call.answer.send(Ok(honest(&bytes, offset))).unwrap();
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
    let taken = (0..).take_while(|n| fetcher.want(&other(*n), &[peer("a")]).is_ok());
    assert_eq!(taken.count(), MOST_WANTED);
    fetcher.get(&data, &[peer("a")]).await.unwrap();
    assert_eq!(blobs.has(data.digest), Some(data.bytes));
}

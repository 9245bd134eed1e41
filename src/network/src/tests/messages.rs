//! Gossip, requests and answers between connected nodes.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn gossip_arrives_with_its_author() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
    let (author, forwarder, ticket, message) =
        received(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    assert_eq!((author, forwarder), (b.peer.clone(), b.peer.clone()));
    assert_eq!(message, claim(&b.peer));
    a.handle.set_acceptance(ticket, Acceptance::Accept);
}

#[tokio::test]
async fn malformed_gossip_is_counted_and_never_delivered() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    a.connected().await;
    let garbage = || {
        b.handle
            .send(Command::Publish(Topic::Tests, vec![0xff; 100]))
    };
    let bad = async {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        while a.handle.stats().gossip_rejected == 0 {
            interval.tick().await;
            garbage();
        }
    };
    tokio::time::timeout(TIME_LIMIT, bad).await.unwrap();
    let offences = a.handle.stats().offenders[&b.peer];
    assert!(offences.forwarded > 0 && offences.authored > 0);
    let (.., message) = received(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    assert_eq!(message, claim(&b.peer));
}

#[tokio::test]
async fn a_rejected_author_is_counted() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    let (_, _, ticket, _) = received(|| b.handle.publish(&claim(&b.peer)), &mut a).await;
    a.handle.set_acceptance(ticket, Acceptance::Reject);
    a.counted(|s| s.offenders.get(&b.peer).is_some_and(|o| o.authored == 1))
        .await;
}

#[tokio::test]
async fn a_small_request_is_answered() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 17)
        .unwrap();
    let (from, ticket, request) = a.request().await;
    assert_eq!((from, request), (b.peer.clone(), small_request()));
    a.handle.reply(ticket, &Reply::Refused("no".to_owned()));
    assert_eq!(
        b.reply().await,
        (a.peer.clone(), 17, Ok(Reply::Refused("no".to_owned())))
    );
}

#[tokio::test]
async fn a_plan_of_a_mebibyte_can_be_fetched() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    let plan: Arc<[u8]> = (0..1024 * 1024).map(|i| i as u8).collect();
    let fetch = Request::FetchPlan(Digest::of(&plan));
    b.handle.request(a.peer.clone(), &fetch, 1).unwrap();
    let (_, ticket, request) = a.request().await;
    assert_eq!(request, fetch);
    a.handle.reply(ticket, &Reply::Plan(Some(plan.clone())));
    assert_eq!(b.reply().await.2, Ok(Reply::Plan(Some(plan))));
}

#[tokio::test]
async fn an_answer_too_large_to_send_becomes_a_refusal() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 1)
        .unwrap();
    let (_, ticket, _) = a.request().await;
    let large = vec![0; 1024 * 1024];
    a.handle.reply(ticket, &Reply::Plan(Some(large.into())));
    let (.., result) = b.reply().await;
    assert!(matches!(result, Ok(Reply::Refused(_))), "{result:?}");
}

#[tokio::test]
async fn a_dropped_request_fails_at_the_sender() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 1)
        .unwrap();
    drop(a.request().await);
    assert!(b.reply().await.2.is_err());
}

#[tokio::test]
async fn a_request_of_a_newer_version_is_refused_and_not_dropped() {
    use crate::behaviour::RequestProtocol;
    let a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle.send(Command::Request {
        to: a.peer.clone(),
        id: 1,
        protocol: RequestProtocol::Control,
        // Field 99, empty.
        bytes: vec![0x9a, 0x06, 0x00],
    });
    let (.., result) = b.reply().await;
    let Ok(Reply::Refused(reason)) = &result else {
        panic!("{result:?}");
    };
    assert!(reason.contains("does not know"), "{reason}");
    assert_eq!(a.handle.stats().requests_malformed, 0);
}

#[tokio::test]
async fn a_request_without_an_answer_times_out() {
    let mut a = start(config(&[])).await;
    let mut b = start(config(&[&a])).await;
    b.connected().await;
    b.handle
        .request(a.peer.clone(), &small_request(), 1)
        .unwrap();
    let _unanswered = a.request().await;
    assert_eq!(b.reply().await.2, Err(RequestFailed::TimedOut));
}

#[tokio::test]
async fn a_request_to_an_unknown_peer_fails() {
    let mut a = start(config(&[])).await;
    let unknown = Identity::ephemeral().peer();
    a.handle
        .request(unknown.clone(), &small_request(), 4)
        .unwrap();
    assert_eq!(
        a.reply().await,
        (unknown, 4, Err(RequestFailed::NotConnected))
    );
}

#[tokio::test]
async fn after_shutdown_requests_are_refused() {
    let a = start(config(&[])).await;
    a.handle.shutdown().await;
    assert_eq!(
        a.handle.request(a.peer.clone(), &small_request(), 1),
        Err(RequestFailed::Gone)
    );
}

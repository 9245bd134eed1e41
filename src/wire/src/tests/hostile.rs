//! Decoding never panics, and never uses far more memory than the length of a message: garbage,
//! truncated, corrupted and malicious messages.

use super::samples;
use crate::limits::*;
use crate::*;
use vajra_core::protocol::messages::{Gossip, Reply, Request};
use vajra_core::splitmix::SplitMix64;

/// Decodes as every type. An accepted message must be equal after another round trip.
fn decode_as_all(bytes: &[u8]) {
    for topic in Topic::ALL {
        if let Ok(g) = decode_gossip(topic, bytes) {
            let (topic, again) = encode_gossip(&g);
            assert_eq!(decode_gossip(topic, &again), Ok(g));
        }
    }
    if let Ok(r) = decode_request(bytes) {
        assert_eq!(decode_request(&encode_request(&r)), Ok(r));
    }
    if let Ok(r) = decode_reply(bytes) {
        assert_eq!(decode_reply(&encode_reply(&r)), Ok(r));
    }
    let _ = check_histogram(bytes);
}

fn valid() -> Vec<Vec<u8>> {
    let gossip = samples::gossip();
    let gossip = gossip.iter().map(|g: &Gossip| encode_gossip(g).1);
    let requests = samples::requests();
    let requests = requests.iter().map(|r: &Request| encode_request(r));
    let replies = samples::replies();
    let replies = replies.iter().map(|r: &Reply| encode_reply(r));
    gossip.chain(requests).chain(replies).collect()
}

#[test]
fn random_bytes_never_panic() {
    let mut numbers = SplitMix64::new(1);
    for _ in 0..20_000 {
        let len = numbers.below(200);
        let bytes: Vec<u8> = (0..len).map(|_| numbers.next_u64() as u8).collect();
        decode_as_all(&bytes);
    }
}

#[test]
fn truncated_messages_never_panic() {
    for bytes in valid() {
        let step = 1 + bytes.len() / 200;
        for len in (0..bytes.len()).step_by(step) {
            decode_as_all(&bytes[..len]);
        }
    }
}

#[test]
fn corrupted_messages_never_panic() {
    let mut numbers = SplitMix64::new(2);
    for bytes in valid() {
        for _ in 0..200 {
            let mut corrupted = bytes.clone();
            for _ in 0..=numbers.below(3) {
                match (numbers.below(3), corrupted.len()) {
                    (_, 0) => corrupted.push(numbers.next_u64() as u8),
                    (0, n) => {
                        corrupted[numbers.below(n as u64) as usize] = numbers.next_u64() as u8
                    }
                    (1, n) => corrupted[numbers.below(n as u64) as usize] ^= 1 << numbers.below(8),
                    (_, n) => {
                        corrupted.insert(numbers.below(n as u64) as usize, numbers.next_u64() as u8)
                    }
                }
            }
            decode_as_all(&corrupted);
        }
    }
}

#[test]
fn corrupted_histograms_never_panic() {
    let mut numbers = SplitMix64::new(3);
    let good = samples::histogram(200);
    for _ in 0..2000 {
        let mut corrupted = good.to_vec();
        let at = numbers.below(corrupted.len() as u64) as usize;
        corrupted[at] ^= 1 << numbers.below(8);
        let _ = check_histogram(&corrupted);
    }
}

fn oversize<T: std::fmt::Debug + PartialEq>(result: Result<T, WireError>, limit: usize) {
    assert!(
        matches!(result, Err(WireError::Oversize { max, .. }) if max == limit),
        "{result:?}"
    );
}

#[test]
fn oversized_messages_are_not_parsed() {
    oversize(
        decode_gossip(Topic::Nodes, &vec![0; MAX_GOSSIP + 1]),
        MAX_GOSSIP,
    );
    oversize(decode_request(&vec![0; MAX_BULK + 1]), MAX_BULK);
    oversize(decode_reply(&vec![0; MAX_BULK + 1]), MAX_BULK);
}

/// An envelope with one field.
fn envelope(field: u32, mut body: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(u64::from(field << 3 | 2), &mut bytes);
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.append(&mut body);
    bytes
}

#[test]
fn only_metrics_plans_snapshots_data_and_records_may_be_large() {
    for field in [1, 2, 3, 4, 20, 21, 22, 23, 24, 40, 51, 70, 99] {
        let bytes = envelope(field, vec![0x0a; MAX_CONTROL]);
        oversize(decode_request(&bytes), MAX_CONTROL);
    }
    for field in [1, 2, 3, 4, 5, 20, 23, 30, 41, 50, 51, 70, 99] {
        let bytes = envelope(field, vec![0x0a; MAX_CONTROL]);
        oversize(decode_reply(&bytes), MAX_CONTROL);
    }
}

/// An empty nested message takes two bytes when encoded, and hundreds when decoded.
#[test]
fn a_megabyte_of_empty_messages_is_refused_before_it_is_decoded() {
    let refused = |result: Result<(), WireError>| {
        assert!(
            matches!(
                result,
                Err(WireError::TooMany {
                    field: "nested messages",
                    ..
                })
            ),
            "{result:?}"
        );
    };
    let snapshots = [0x12, 0x00].repeat(500_000);
    refused(decode_reply(&envelope(22, snapshots)).map(drop));
    let errors = [0x52, 0x00].repeat(500_000);
    refused(decode_request(&envelope(5, errors.clone())).map(drop));
    refused(decode_reply(&envelope(22, envelope(2, errors))).map(drop));
    let steps = envelope(31, [0x0a, 0x00].repeat(500_000));
    refused(decode_request(&envelope(5, steps)).map(drop));
    let parts = [0x0a, 0x00].repeat(500_000);
    refused(decode_reply(&envelope(40, parts)).map(drop));
    let entries = [0x2a, 0x00].repeat(500_000);
    refused(decode_reply(&envelope(24, envelope(2, entries))).map(drop));
    let workers = envelope(5, [0x0a, 0x00].repeat(500_000));
    refused(decode_reply(&envelope(24, envelope(2, workers))).map(drop));
}

/// A message to all nodes is not accepted as a message to one.
#[test]
fn only_messages_to_one_elector_are_accepted_as_requests() {
    use vajra_core::protocol::messages::{Gossip, Request};
    let mut direct = 0;
    for message in samples::gossip() {
        let Gossip::Test(message) = message else {
            continue;
        };
        let fits = message.receiver().is_some();
        direct += usize::from(fits);
        let decoded = decode_request(&encode_request(&Request::Election(message)));
        assert_eq!(decoded.is_ok(), fits, "{decoded:?}");
    }
    assert_eq!(direct, 3);
}

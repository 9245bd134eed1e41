//! Which nodes find and connect to each other, and which do not.

use tokio::io::AsyncWriteExt;

use super::*;

#[tokio::test]
async fn nodes_that_connected_through_a_third_stay_connected_when_it_fails() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let b = runtime.spawn(start(config(&[]))).await.unwrap();
    let mut a = start(config(&[&b])).await;
    assert_eq!(a.connected().await, b.peer);
    let mut c = start(config(&[&b])).await;
    assert_eq!(a.connected().await, c.peer);
    runtime.shutdown_background();
    assert_eq!(a.disconnected().await, b.peer);
    assert_eq!(c.disconnected().await, b.peer);
    let (author, ..) = received(|| a.handle.publish(&claim(&a.peer)), &mut c).await;
    assert_eq!(author, a.peer);
    assert_eq!(a.handle.stats().peers, 1);
}

#[tokio::test]
async fn a_small_swarm_is_fully_connected() {
    let hub = start(config(&[])).await;
    let mut nodes = vec![];
    for _ in 0..6 {
        nodes.push(start(config(&[&hub])).await);
    }
    for node in nodes.iter().chain([&hub]) {
        node.counted(|s| s.peers == 6).await;
    }
}

#[tokio::test]
async fn a_restarted_node_finds_its_swarm_from_its_data_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let run = |bootstrap: &[&Node]| NetworkConfig {
        identity: data.start().unwrap().keypair,
        known_peers: Some(data.known_peers(&"test".parse().unwrap())),
        ..config(bootstrap)
    };
    let mut a = start(run(&[])).await;
    let mut b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
    a.handle.shutdown().await;
    assert_eq!(b.disconnected().await, a.peer);
    let mut restarted = start(run(&[])).await;
    assert_eq!(restarted.peer, a.peer);
    assert_eq!(restarted.connected().await, b.peer);
}

#[tokio::test]
async fn a_bootstrap_node_that_starts_late_is_found() {
    let late = start(config(&[])).await;
    let mut early_config = config(&[&late]);
    let listen = late.bare();
    late.handle.shutdown().await;
    early_config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let mut early = start(early_config).await;
    let warning = early
        .until(|event| match event {
            NetworkEvent::Bootstrap(text) => Some(text),
            _ => None,
        })
        .await;
    assert!(warning.contains(&listen.to_string()), "{warning}");
    let late = start(NetworkConfig {
        listen: vec![listen],
        ..config(&[])
    })
    .await;
    assert_eq!(early.connected().await, late.peer);
}

#[tokio::test]
async fn a_bootstrap_name_is_resolved_and_dialled() {
    let mut a = start(config(&[])).await;
    let (_, port) = address::socket(&a.bare()).unwrap();
    let named: Multiaddr = format!("/dns4/localhost/tcp/{port}").parse().unwrap();
    let b = start(NetworkConfig {
        bootstrap: vec![named],
        ..config(&[])
    })
    .await;
    assert_eq!(a.connected().await, b.peer);
}

#[tokio::test]
async fn an_added_address_is_dialled() {
    let a = start(config(&[])).await;
    let mut b = start(config(&[])).await;
    b.handle.dial(vec![a.address.clone(), b.address.clone()]);
    assert_eq!(b.connected().await, a.peer);
}

#[tokio::test]
async fn swarms_with_different_names_do_not_mix() {
    let mut a = start(config(&[])).await;
    let other = start(NetworkConfig {
        swarm_name: "other".parse().unwrap(),
        ..config(&[&a])
    })
    .await;
    let refused = async {
        tokio::select! {
            () = a.counted(|s| s.strangers > 0) => {}
            () = other.counted(|s| s.strangers > 0) => {}
        }
    };
    refused.await;
    let mut c = start(config(&[&a])).await;
    assert_eq!(a.connected().await, c.peer);
    assert_eq!(c.connected().await, a.peer);
    assert_eq!(other.handle.stats().peers, 0);
    assert_eq!(a.handle.stats().peers, 1);
}

#[tokio::test]
async fn nodes_without_the_swarm_key_cannot_connect() {
    let key = Some(SwarmKey::generate().unwrap());
    let mut a = start(NetworkConfig {
        swarm_key: key,
        ..config(&[])
    })
    .await;
    for key in [None, Some(SwarmKey::generate().unwrap())] {
        let mut outsider = start(NetworkConfig {
            swarm_key: key,
            ..config(&[&a])
        })
        .await;
        let warned = outsider.until(|event| match event {
            NetworkEvent::Bootstrap(_) => Some(None),
            NetworkEvent::PeerConnected(peer) => Some(Some(peer)),
            _ => None,
        });
        assert_eq!(warned.await, None);
    }
    let c = start(NetworkConfig {
        swarm_key: key,
        ..config(&[&a])
    })
    .await;
    assert_eq!(a.connected().await, c.peer);
}

#[tokio::test]
async fn garbage_on_the_listening_port_is_harmless() {
    let mut a = start(config(&[])).await;
    let (ip, port) = address::socket(&a.bare()).unwrap();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 70_000],
        &[0; 1],
        &[],
    ] {
        let mut socket = tokio::net::TcpStream::connect((ip, port)).await.unwrap();
        // The node may close the connection before all is sent.
        let _ = socket.write_all(garbage).await;
    }
    a.counted(|s| s.inbound_failed >= 4).await;
    let b = start(config(&[&a])).await;
    assert_eq!(a.connected().await, b.peer);
}

#[tokio::test]
async fn a_port_in_use_is_a_distinct_error() {
    let a = start(config(&[])).await;
    let error = spawn(NetworkConfig {
        listen: vec![a.bare()],
        ..config(&[])
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&error, NetworkError::AddressInUse { address } if *address == a.bare()),
        "{error}"
    );
}

#[tokio::test]
async fn the_round_trip_time_and_the_mesh_membership_of_a_peer_are_reported() {
    let mut a = start(config(&[])).await;
    let b = start(config(&[&a])).await;
    let (peer, round_trip) = a
        .until(|event| match event {
            NetworkEvent::RoundTrip { peer, round_trip } => Some((peer, round_trip)),
            _ => None,
        })
        .await;
    assert_eq!(peer, b.peer);
    assert!(!round_trip.is_zero() && round_trip < TIME_LIMIT);
    // Gossipsub builds its mesh at its next heartbeat.
    let in_mesh = async {
        let mut interval = tokio::time::interval(Duration::from_millis(10));
        loop {
            interval.tick().await;
            let links = a.handle.links().await;
            let [link] = links.as_slice() else {
                panic!("{links:?}");
            };
            assert_eq!(link.peer, b.peer);
            assert!(link.round_trip.is_some());
            if link.mesh {
                return;
            }
        }
    };
    tokio::time::timeout(TIME_LIMIT, in_mesh).await.unwrap();
    a.handle.shutdown().await;
    assert!(a.handle.links().await.is_empty());
}

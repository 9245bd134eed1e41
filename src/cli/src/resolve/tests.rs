#![allow(clippy::unwrap_used)]

use std::fs;

use clap::Parser;

use super::*;
use crate::args::Cli;
use crate::exit::Exit;
use crate::logging::LogLevel;
use crate::product::test_profiles::PROFILES;
use vajra_runtime::config::TimingProfile;

/// Resolves a node from a command line and an environment.
fn node(line: &[&str], env: &[(&str, &str)]) -> Result<Settings, Failure> {
    let args = Cli::try_parse_from([&["vajra-node"], line].concat()).unwrap();
    let get = |key: &str| {
        env.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| (*value).to_owned())
    };
    let flags = Layer::from_node_args(&args.node)?;
    let config = args.node.swarm.config.as_deref();
    resolve(layers(flags, config, &get, &PROFILES)?)
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn flags_override_the_environment_overrides_the_file_overrides_defaults() {
    let (_directory, path) = file(
        "name = \"file\"\nswarm = \"file\"\ncapacity = 3\nbootstrap = [\"/ip4/10.0.0.3/tcp/3\"]\n",
    );
    let env = [
        ("VAJRA_NAME", "env"),
        ("VAJRA_SWARM", "env"),
        ("VAJRA_CONFIG", path.as_str()),
    ];
    let config = node(&["--name", "flag"], &env).unwrap();
    assert_eq!(config.node.name, NodeName::configured("flag"));
    assert_eq!(config.node.swarm, "env".parse().unwrap());
    assert_eq!(config.node.capacity.get(), 3);
    assert_eq!(
        config.node.bootstrap,
        ["/ip4/10.0.0.3/tcp/3".parse().unwrap()]
    );
    assert_eq!(config.node.timings, TimingProfile::Lan);
    assert_eq!(config.log.level, LogLevel::Info);
}

#[test]
fn a_list_replaces_one_of_lower_precedence_as_a_whole() {
    let (_directory, path) = file("bootstrap = [\"/ip4/10.0.0.3/tcp/3\"]\n");
    let config = node(
        &["--config", &path, "--bootstrap", "/ip4/10.0.0.1/tcp/1"],
        &[],
    )
    .unwrap();
    assert_eq!(
        config.node.bootstrap,
        ["/ip4/10.0.0.1/tcp/1".parse().unwrap()]
    );
}

#[test]
fn only_configured_addresses_are_explicit() {
    let config = node(&[], &[]).unwrap();
    assert!(!config.node.listen.explicit && !config.api.explicit);
    assert_eq!(
        config.node.listen.addresses,
        ["/ip4/0.0.0.0/tcp/7400".parse().unwrap()]
    );
    assert_eq!(config.api.address, "127.0.0.1:7401".parse().unwrap());
    let config = node(
        &["--listen", "/ip4/127.0.0.1/tcp/0"],
        &[("VAJRA_API", ":0")],
    )
    .unwrap();
    assert!(config.node.listen.explicit && config.api.explicit);
    assert_eq!(config.api.address, "127.0.0.1:0".parse().unwrap());
}

#[test]
fn a_profile_sets_timings_and_mdns() {
    let config = node(&["--config", "wan"], &[]).unwrap();
    assert_eq!(
        (config.node.timings, config.node.mdns),
        (TimingProfile::Wan, false)
    );
}

#[test]
fn invalid_values_are_bad_input_and_name_their_source() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case] = &[
        (
            &["--bootstrap", "nonsense"],
            &[],
            "--bootstrap: \"nonsense\"",
        ),
        (
            &[],
            &[("VAJRA_BOOTSTRAP", "/ip4/1.2.3.4/udp/1")],
            "VAJRA_BOOTSTRAP: ",
        ),
        (&["--listen", "/dns/a/tcp/1"], &[], "--listen: "),
        (&["--api", "7401"], &[], "--api: \"7401\""),
        (&["--api", "0.0.0.0:7401"], &[], "--api-token-file"),
        (&["--swarm", "a b"], &[], "--swarm: "),
        (&["--swarm-key", "/no/such/key"], &[], "/no/such/key"),
        (&["--config", "private"], &[], "vajra-node keygen"),
        (&["--config", "/no/such/config"], &[], "/no/such/config"),
        (
            &["--engine-threads", "0"],
            &[],
            "engine threads must be 1 to",
        ),
        (&["--capacity", "0"], &[], "capacity must be 1 to"),
        (
            &["--timings", "moon"],
            &[],
            "--timings: \"moon\" is not one of lan, wan",
        ),
        (
            &["--label", "region"],
            &[],
            "--label: \"region\" is not KEY=VALUE",
        ),
        (&[], &[("VAJRA_CAPACITY", "many")], "VAJRA_CAPACITY: "),
        (
            &[],
            &[("VAJRA_API_TOKEN", "short")],
            "API token must have at least",
        ),
        (&["--name", ""], &[], "the node's name"),
        (
            &["--allow-target", "10.0.0.0/99"],
            &[],
            "--allow-target: \"10.0.0.0/99\"",
        ),
    ];
    for (line, env, expected) in cases {
        let failure = node(line, env).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput, "{line:?}");
        assert!(failure.message.contains(expected), "{line:?}: {failure}");
        assert!(!failure.message.contains('\n'), "{line:?}: {failure}");
    }
}

#[test]
fn a_token_file_on_the_command_line_overrides_a_token_in_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "from-the-file-0123456789\n").unwrap();
    let env = [("VAJRA_API_TOKEN", "from-the-environment")];
    let config = node(&["--api-token-file", path.to_str().unwrap()], &env).unwrap();
    assert_eq!(
        config.api_token.as_deref(),
        Some("from-the-file-0123456789")
    );
    assert_eq!(
        node(&[], &env).unwrap().api_token.as_deref(),
        Some("from-the-environment")
    );
}

#[test]
fn ephemeral_and_data_dir_override_each_other_by_precedence() {
    let env = [("VAJRA_DATA_DIR", "/var/lib/vajra")];
    assert_eq!(
        node(&["--ephemeral"], &env).unwrap().node.data,
        DataPlace::Ephemeral
    );
    let config = node(&["--data-dir", "/tmp/x"], &[("VAJRA_EPHEMERAL", "true")]).unwrap();
    assert_eq!(
        config.node.data,
        DataPlace::Directory {
            path: "/tmp/x".into(),
            explicit: true
        }
    );
}

#[test]
fn a_node_for_one_test_is_ephemeral_and_takes_any_free_port() {
    let layer = Layer {
        data_dir: Some("/tmp/x".into()),
        ..Layer::default()
    };
    let config = resolve_for_one_test(layer, false).unwrap();
    assert_eq!(config.data, DataPlace::Ephemeral);
    assert_eq!(
        config.listen.addresses,
        ["/ip4/0.0.0.0/tcp/0".parse().unwrap()]
    );
    assert!(config.mdns && !config.standalone);
}

#[test]
fn a_standalone_node_neither_listens_nor_discovers() {
    let layer = Layer {
        bootstrap: Some(vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap()]),
        mdns: Some(true),
        ..Layer::default()
    };
    let config = resolve_for_one_test(layer, true).unwrap();
    assert!(config.standalone && !config.mdns);
    assert!(config.bootstrap.is_empty() && config.listen.addresses.is_empty());
}

//! Commands that query or control a node: `nodes`, `tests`, `status`, `watch`, `stop-test`, `scale`,
//! `pause`, `resume` and `drain`.

use super::args::{
    ApiArgs, DrainArgs, ListArgs, OneTestArgs, PauseArgs, ScaleArgs, StopArgs, WatchArgs,
};
use super::backend::Backend;
use super::exit::{Exit, Failure};
use super::follow::{Followed, OnInterrupt, follow};
use super::interrupt::Interrupts;
use super::out_file::print_json;
use super::outcome::{outcome, show};
use super::output::{line, out};
use super::screen;
use vajra_core::protocol::messages::TestState;
use vajra_report::text;
use vajra_results::result_file::ResultFile;
use vajra_results::{NodeList, TestList, find_node};
use vajra_runtime::handle::LoadRequest;

/// `nodes`
pub async fn nodes(args: &ListArgs) -> Result<Exit, Failure> {
    let list = Backend::connect(&args.api).await?.nodes().await?;
    match args.json {
        true => print_json(&list)?,
        false => out(&text::nodes(&list))?,
    }
    Ok(Exit::Success)
}

/// `tests`
pub async fn tests(args: &ListArgs) -> Result<Exit, Failure> {
    let list = Backend::connect(&args.api).await?.tests().await?;
    match args.json {
        true => print_json(&list)?,
        false => out(&text::tests(&list))?,
    }
    Ok(Exit::Success)
}

/// `status`
pub async fn status(args: &OneTestArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let id = test_id(&backend.tests().await?, &args.id)?;
    let result = backend.status(&id).await?;
    match args.json {
        true => print_json(&result)?,
        false => out(&text::summary(&result))?,
    }
    Ok(Exit::Success)
}

/// `watch`
pub async fn watch(args: &WatchArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let id = test_id(&backend.tests().await?, &args.id)?;
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let followed = match args.json {
        true => {
            follow(&backend, &id, &mut interrupts, OnInterrupt::Leave, |p| {
                line(&serde_json::to_string(p).map_err(Failure::run)?)
            })
            .await
        }
        false => {
            let leave = OnInterrupt::Leave;
            screen::follow(&backend, &id, &mut interrupts, leave, args.plain).await
        }
    };
    match followed? {
        Followed::Ended(result) if args.json => {
            line(&serde_json::to_string(&result).map_err(Failure::run)?)?;
            outcome(&result, args.strict)
        }
        Followed::Ended(result) => show(&ResultFile::of(*result), None, args.strict, false),
        Followed::Left => Ok(Exit::Success),
    }
}

/// Minimum number of digits of an id prefix, as in the API.
const MIN_DIGITS: usize = 4;

/// `stop-test`
pub async fn stop_test(args: &StopArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let tests = backend.tests().await?;
    let id = test_id(&tests, &args.id)?;
    backend.stop(&id, !args.now).await?;
    let listed = tests.tests.iter().find(|t| t.test_id == id);
    line(&match listed.is_some_and(|t| t.state == TestState::Ended) {
        true => format!("{id} has already ended"),
        false => format!("stopping {id}"),
    })?;
    Ok(Exit::Success)
}

/// `scale`
pub async fn scale(args: &ScaleArgs) -> Result<Exit, Failure> {
    let how = match (args.rate, args.users) {
        (Some(rate), _) => LoadRequest::Rate(rate),
        (None, Some(users)) => LoadRequest::Users(users),
        // Refused when the command line is parsed.
        (None, None) => return Err(Failure::usage("give --rate or --users")),
    };
    change_load(&args.api, &args.id, how).await
}

/// `pause`, `resume`
pub async fn pause_or_resume(args: &PauseArgs, how: LoadRequest) -> Result<Exit, Failure> {
    change_load(&args.api, &args.id, how).await
}

async fn change_load(api: &ApiArgs, id: &str, how: LoadRequest) -> Result<Exit, Failure> {
    let backend = Backend::connect(api).await?;
    let id = test_id(&backend.tests().await?, id)?;
    let at = backend.change_load(&id, how).await?;
    let change = match how {
        LoadRequest::Rate(rate) => format!("full load is {rate}/s"),
        LoadRequest::Users(users) => format!("full load is {users} users"),
        LoadRequest::Pause => "paused".to_owned(),
        LoadRequest::Resume => "resumed".to_owned(),
    };
    line(&format!("{id}: {change} from {at:.1} s after the start"))?;
    Ok(Exit::Success)
}

/// `drain`
pub async fn drain(args: &DrainArgs) -> Result<Exit, Failure> {
    let backend = Backend::connect(&args.api).await?;
    let peer = match &args.peer {
        Some(text) => Some(peer(&backend.nodes().await?, text)?),
        None => None,
    };
    backend.drain(peer.as_deref()).await?;
    let node = peer.unwrap_or_else(|| "the node".into());
    line(&format!(
        "draining {node}: it gives its share of the load to the others"
    ))?;
    Ok(Exit::Success)
}

/// The id of the test with this id, this id prefix, or `latest`.
pub(super) fn test_id(list: &TestList, text: &str) -> Result<String, Failure> {
    if text == "latest" {
        return match list.tests.first() {
            Some(test) => Ok(test.test_id.clone()),
            None => Err(Failure::run(
                "this node has no tests; start one with `vajra-node start-test`",
            )),
        };
    }
    let digits = text.chars().filter(|c| *c != '-').count();
    if digits < MIN_DIGITS {
        return Err(Failure::usage(format_args!(
            "{text:?} is too short for a test id; give at least {MIN_DIGITS} digits of it, or `latest`"
        )));
    }
    let found: Vec<&str> = list
        .tests
        .iter()
        .map(|t| t.test_id.as_str())
        .filter(|id| id.starts_with(text))
        .collect();
    match found.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::run(format_args!(
            "there is no test {text:?}; `vajra-node tests` lists the tests"
        ))),
        [first, second, ..] => Err(Failure::run(format_args!(
            "{text:?} is a prefix of {} tests, for example {first} and {second}; give more digits",
            found.len()
        ))),
    }
}

/// The peer id of the node with this name or part of a peer id.
fn peer(list: &NodeList, text: &str) -> Result<String, Failure> {
    let node = find_node(&list.nodes, text).map_err(Failure::run)?;
    Ok(node.peer.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vajra_results::{NodeEntry, NodeHealth, NodeStatus, Pool, TestEntry};

    fn tests_of(ids: &[&str]) -> TestList {
        let entry = |id: &&str| TestEntry {
            test_id: (*id).to_owned(),
            name: None,
            state: TestState::Ended,
            verdict: None,
            started_at: None,
        };
        TestList {
            tests: ids.iter().map(entry).collect(),
        }
    }

    #[test]
    fn a_test_is_found_by_a_unique_prefix_or_as_latest() {
        let list = tests_of(&["0199-b", "0199-a", "0188-c"]);
        assert_eq!(test_id(&list, "latest").unwrap(), "0199-b");
        assert_eq!(test_id(&list, "0188").unwrap(), "0188-c");
        let ambiguous = test_id(&list, "0199").unwrap_err().message;
        assert!(ambiguous.contains("prefix of 2 tests"), "{ambiguous}");
        let unknown = test_id(&list, "7777").unwrap_err().message;
        assert!(unknown.contains("vajra-node tests"), "{unknown}");
        for short in ["", "018", "01-8"] {
            let error = test_id(&list, short).unwrap_err().message;
            assert!(error.contains("at least 4 digits"), "{error}");
        }
        assert!(test_id(&tests_of(&[]), "latest").is_err());
    }

    #[test]
    fn a_node_is_found_by_name_or_by_prefix_or_suffix_of_its_peer_id() {
        let entry = |peer: &str, name: &str| NodeEntry {
            peer: peer.into(),
            incarnation: 1,
            name: name.into(),
            is_self: false,
            addresses: Vec::new(),
            version: String::new(),
            status: NodeStatus::Idle,
            health: NodeHealth::Healthy,
            capacity: 1,
            load: 0,
            task_types: Vec::new(),
            ..NodeEntry::default()
        };
        let nodes = vec![entry("12D3KooWaaaa", "one"), entry("12D3KooWbbbb", "two")];
        let list = NodeList {
            pool: Pool::of(&nodes),
            nodes,
        };
        assert_eq!(peer(&list, "two").unwrap(), "12D3KooWbbbb");
        assert_eq!(peer(&list, "aaaa").unwrap(), "12D3KooWaaaa");
        assert!(
            peer(&list, "12D3")
                .unwrap_err()
                .message
                .contains("2 nodes match")
        );
        assert!(peer(&list, "three").is_err() && peer(&list, "").is_err());
    }
}

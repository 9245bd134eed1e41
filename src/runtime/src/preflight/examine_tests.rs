#![allow(clippy::unwrap_used)]

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;
use vajra_core::protocol::spec::SLOTS;
use vajra_plan::{HttpTask, Load};
use vajra_task::TargetPolicy;

fn local(policy: TargetPolicy) -> Local {
    Local {
        context: Arc::new(TaskContext {
            policy,
            ..TaskContext::default()
        }),
        threads: 2,
        task_types: tasks::TASK_TYPES.map(str::to_owned).to_vec(),
        labels: BTreeMap::new(),
        draining: false,
    }
}

fn on_loopback() -> TargetPolicy {
    TargetPolicy {
        loopback_only: true,
        ..TargetPolicy::default()
    }
}

fn plan(url: &str) -> Plan {
    let task = Task::Http(HttpTask::get(url));
    Plan::new(task, Load::open(50.0, Duration::from_secs(5)))
}

async fn found(local: Local, plan: &Plan, own: bool) -> PreflightReply {
    let bytes = plan.to_bytes();
    let request = Preflight {
        digest: Digest::of(&bytes),
        plan: bytes.into(),
        slots: SLOTS,
    };
    let permits = Arc::new(Semaphore::new(1));
    let permit = permits.acquire_owned().await.unwrap();
    examine(local, request, own, permit).await
}

#[track_caller]
fn finding(reply: &PreflightReply, name: &str) -> (Finding, String) {
    let check = reply.checks.iter().find(|c| c.name == name);
    let check = check.unwrap_or_else(|| panic!("no {name} in {reply:?}"));
    (check.finding, check.text.clone())
}

#[tokio::test]
async fn all_checks_pass_on_a_working_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plan = plan(&format!("http://{}/", listener.local_addr().unwrap()));
    let reply = found(local(on_loopback()), &plan, false).await;
    assert!(reply.able);
    for name in ["plan", "able", "target", "descriptors", "ports", "memory"] {
        assert_eq!(finding(&reply, name).0, Finding::Pass, "{reply:#?}");
    }
}

/// No connection is opened to a target that the policy forbids.
#[tokio::test]
async fn a_forbidden_target_receives_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plan = plan(&format!("http://{}/", listener.local_addr().unwrap()));
    let reply = found(local(TargetPolicy::default()), &plan, false).await;
    assert!(!reply.able);
    let (found_, text) = finding(&reply, "able");
    assert_eq!(found_, Finding::Warn);
    assert!(text.contains("--allow-target"), "{text}");
    let connection = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connection.is_err(), "a connection was opened");
    let reply = found(local(TargetPolicy::default()), &plan, true).await;
    assert!(reply.able, "tests of this node may target it");
}

#[tokio::test]
async fn a_plan_with_another_digest_or_an_invalid_plan_fails() {
    let bytes = plan("http://127.0.0.1:1/").to_bytes();
    let permits = Arc::new(Semaphore::new(1));
    let mut request = Preflight {
        digest: Digest([0; 32]),
        plan: bytes.into(),
        slots: SLOTS,
    };
    let permit = permits.clone().acquire_owned().await.unwrap();
    let reply = examine(local(on_loopback()), request.clone(), false, permit).await;
    assert_eq!(finding(&reply, "plan").0, Finding::Fail);
    request.plan = Arc::from(&b"{\"rate\": 1}"[..]);
    let permit = permits.acquire_owned().await.unwrap();
    let reply = examine(local(on_loopback()), request, false, permit).await;
    assert!(!reply.able);
    assert!(finding(&reply, "plan").1.contains("cannot read the plan"));
}

#[tokio::test]
async fn a_draining_node_or_one_without_the_label_takes_no_part() {
    let mut labelled = plan("http://127.0.0.1:1/");
    labelled.swarm.labels.insert("region".into(), "mars".into());
    let reply = found(local(on_loopback()), &labelled, true).await;
    let (found_, text) = finding(&reply, "able");
    assert_eq!(found_, Finding::Skip);
    assert!(text.contains("region=mars"), "{text}");
    let drained = Local {
        draining: true,
        ..local(on_loopback())
    };
    let reply = found(drained, &plan("http://127.0.0.1:1/"), true).await;
    assert_eq!(finding(&reply, "able").0, Finding::Skip);
}

#[tokio::test]
async fn a_task_without_requests_needs_no_target() {
    let sleep = Plan::new(
        Task::Sleep { ms: 1 },
        Load::open(5.0, Duration::from_secs(1)),
    );
    let reply = found(local(on_loopback()), &sleep, false).await;
    assert!(reply.able);
    let names: Vec<_> = reply.checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["plan", "able", "memory", "cpu"]);
}

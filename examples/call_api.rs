//! Starts a test on a running node through its HTTP API, follows it, and prints the result.
//!
//!     cargo run --release --bin vajra-node                          # a node, in another terminal
//!     cargo run --release --bin vajra-node -- target                # something to load
//!     cargo run --release --example call_api -- 127.0.0.1:7401 http://127.0.0.1:8080/
//!
//! Other languages use the same endpoints: `docs/api.md`, or `/api/docs` of any node.

use std::error::Error;

use vajra_api::ApiClient;
use vajra_plan::{Plan, parse_toml};
use vajra_results::Update;

const USAGE: &str = "usage: call_api API_ADDRESS TARGET_URL";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let api = arguments.next().ok_or(USAGE)?.parse()?;
    let plan = plan(&arguments.next().ok_or(USAGE)?)?;

    let client = ApiClient::new(api, None);
    let id = client.start(&plan).await?;
    println!("test {id}");
    let mut events = client.events(&id).await?;
    while let Some(update) = events.next().await {
        if let Update::Progress(p) = update? {
            println!("{:>6.1} s {:>8.1} requests/s", p.elapsed_s, p.rate);
        }
    }
    let result = client.status(&id).await?;
    println!("verdict {:?}", result.verdict);
    if let Some(times) = result.response_time_ms {
        println!("p99 {:.1} ms of {} requests", times.p99, times.count);
    }
    Ok(())
}

/// 200 requests per second for 5 s.
fn plan(url: &str) -> Result<Plan, Box<dyn Error>> {
    let text = format!(
        "[task]\ntype = \"HTTP\"\nurl = \"{url}\"\n\n[load]\nrate = 200\nduration = \"5s\"\n"
    );
    Ok(parse_toml(&text)?.into_plan()?)
}

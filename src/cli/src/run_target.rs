//! `target`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::args::TargetArgs;
use super::exit::{Exit, Failure};
use super::interrupt::{Interrupts, parent_gone};
use super::listen::listen;
use super::output::{line, note};
use super::target::{TargetOptions, serve};
use vajra_plan::parse_duration;

/// Default port.
const TARGET_PORT: u16 = 8080;

/// Serves until Ctrl-C or SIGTERM, then prints the number of requests received.
///
/// # Errors
/// An option is invalid, the port is in use, or the arrivals file cannot be written.
pub async fn run(args: &TargetArgs) -> Result<Exit, Failure> {
    let options = options(args)?;
    let mut interrupts = Interrupts::new().map_err(Failure::run)?;
    let (address, explicit) = match args.listen {
        Some(listen) => (listen.0, true),
        None => (SocketAddr::from((Ipv4Addr::LOCALHOST, TARGET_PORT)), false),
    };
    let listener = listen(address, explicit, "--listen", |text| {
        note(&format!("warning: {text}"))
    })?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Failure::run)?;
    let address = listener.local_addr().map_err(Failure::run)?;
    line(&format!("listening http://{address}"))?;
    let shutdown = async {
        tokio::select! {
            () = interrupts.next() => {}
            () = parent_gone(args.end_with_stdin) => {}
        }
    };
    let arrivals = args
        .arrivals
        .as_deref()
        .map(|path| format!(" {}", path.display()));
    let served = serve(listener, options, shutdown).await.map_err(|e| {
        Failure::run(format_args!(
            "cannot write --arrivals{}: {e}",
            arrivals.unwrap_or_default()
        ))
    })?;
    line(&format!("served {served}"))?;
    Ok(Exit::Success)
}

fn options(args: &TargetArgs) -> Result<TargetOptions, Failure> {
    let time = |option: &str, text: &Option<String>| match text {
        Some(text) => {
            parse_duration(text).map_err(|e| Failure::input(format_args!("{option}: {e}")))
        }
        None => Ok(Duration::ZERO),
    };
    if !(0.0..=1.0).contains(&args.error_rate) {
        return Err(Failure::input(format_args!(
            "--error-rate must be 0 to 1, not {}",
            args.error_rate
        )));
    }
    Ok(TargetOptions {
        latency: time("--latency", &args.latency)?,
        jitter: time("--jitter", &args.jitter)?,
        error_rate: args.error_rate,
        arrivals: args.arrivals.clone(),
        seed: 0,
    })
}

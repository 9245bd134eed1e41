//! Options that override the task: request, connections and TLS.

use std::path::{Path, PathBuf};

use super::values::time;
use crate::args::LoadArgs;
use crate::exit::Failure;
use crate::plan_file::read_limited;
use crate::value_parsers::Header;
use vajra_plan::{HttpTask, HttpVersion, Task, parse_bytes};

/// Applies the request options to a task.
pub(super) fn apply(task: &mut Task, url: Option<&str>, args: &LoadArgs) -> Result<(), Failure> {
    if let Task::Scenarios(scenarios) = task {
        if any_request_option(args) {
            return Err(Failure::input(
                "request options do not apply to scenarios, whose steps define the requests; leave \
                 them out (--url changes the base URL of all steps)",
            ));
        }
        if let Some(url) = url {
            scenarios.move_to(url);
        }
        return Ok(());
    }
    if let (Some(url), Task::Sleep { .. } | Task::Cpu { .. }) = (url, &*task) {
        *task = Task::Http(HttpTask::get(url));
    }
    let Task::Http(http) = task else {
        if any_request_option(args) {
            return Err(Failure::input(
                "the plan sends no HTTP requests; give --url, or leave out the request options",
            ));
        }
        return Ok(());
    };
    if let Some(url) = url {
        http.url = url.into();
    }
    if let Some(body) = &args.body {
        http.body = match body.strip_prefix('@') {
            Some(path) => {
                let path = Path::new(path);
                let hint = "give --body @FILE a readable text file";
                read_limited(path).map_err(|e| e.failure(path, hint))?
            }
            None => body.clone(),
        };
        http.body_size = None;
    }
    if let Some(size) = &args.body_size {
        let size = parse_bytes(size);
        http.body_size = Some(size.map_err(|e| Failure::input(format_args!("--body-size: {e}")))?);
        http.body.clear();
    }
    let sends_body = args.body.is_some() || args.body_size.is_some();
    if sends_body && http.method == "GET" {
        http.method = "POST".into();
    }
    if let Some(method) = &args.method {
        http.method = method.clone();
    }
    http.headers.retain(|(old, _)| {
        !args
            .headers
            .iter()
            .any(|Header(name, _)| name.eq_ignore_ascii_case(old))
    });
    let headers = args
        .headers
        .iter()
        .map(|Header(name, value)| (name.clone(), value.clone()));
    http.headers.extend(headers);
    if let Some(timeout) = time("--timeout", &args.timeout)? {
        http.timeout = timeout;
    }
    http.insecure |= args.insecure;
    http.disable_keepalive |= args.disable_keepalive;
    apply_connections(http, args)
}

fn apply_connections(http: &mut HttpTask, args: &LoadArgs) -> Result<(), Failure> {
    if args.http2 {
        http.version = HttpVersion::Two;
    }
    if let Some(streams) = args.streams {
        http.streams = streams;
    }
    if !args.addresses.is_empty() {
        http.addresses = args.addresses.clone();
    }
    if let Some(interval) = time("--dns-refresh", &args.dns_refresh)? {
        http.dns_refresh = Some(interval);
    }
    if let Some(ca) = pem("--ca", &args.ca)? {
        http.tls.ca = Some(ca);
    }
    if let Some(certificate) = pem("--client-cert", &args.client_cert)? {
        http.tls.client_cert = Some(certificate);
        http.tls.client_key = args.client_key.clone();
    }
    http.tls.resume |= args.tls_resume;
    Ok(())
}

fn pem(option: &str, path: &Option<PathBuf>) -> Result<Option<String>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let hint = format_args!("give {option} a PEM file");
    let text = read_limited(path).map_err(|e| e.failure(path, hint))?;
    Ok(Some(text))
}

fn any_request_option(args: &LoadArgs) -> bool {
    args.method.is_some()
        || !args.headers.is_empty()
        || args.body.is_some()
        || args.body_size.is_some()
        || args.timeout.is_some()
        || args.insecure
        || args.ca.is_some()
        || args.client_cert.is_some()
        || args.tls_resume
        || args.http2
        || args.streams.is_some()
        || !args.addresses.is_empty()
        || args.dns_refresh.is_some()
        || args.disable_keepalive
}

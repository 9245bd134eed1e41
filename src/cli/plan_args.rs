//! From the options of `start-test` to a plan.
//!
//! Options override what a plan file says. What comes out goes through the same checks as a
//! plan from anywhere else ([`crate::plan::parse_json`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::args::{LoadArgs, StartArgs};
use super::exit::Failure;
use super::texts::{Header, Pair};
use crate::plan::{
    HttpTask, Limits, Load, Local, Model, Plan, SwarmRules, Task, parse_count, parse_duration,
    parse_json, parse_toml,
};

/// Users where neither rate nor users are given: enough to show something, and kind to a
/// target that was only typed in to try.
const DEFAULT_USERS: u32 = 10;
/// Length where none is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// Length where only a number of requests is given and users send them: the requests end it.
const UNTIL_DONE: Duration = Duration::from_secs(3600);
/// Largest plan file and largest body, as DESIGN limits plans.
const MAX_PLAN: u64 = 1 << 20;

/// The plan that the options ask for, and the local swarm that its file asks for.
///
/// # Errors
/// [`super::exit::Exit::BadInput`] with the option or the field that is wrong.
pub fn plan(args: &StartArgs) -> Result<(Plan, Option<Local>), Failure> {
    let (file, url) = match args.what.as_deref() {
        Some(what) if what.contains("://") => (None, Some(what)),
        Some(what) => (Some(what), None),
        None => (None, None),
    };
    if url.is_some() && args.load.url.is_some() {
        return Err(Failure::usage("two URLs are given; leave out --url"));
    }
    let (base, local) = match file {
        Some(path) => {
            let (plan, local) = read_plan(path)?;
            (Some(plan), local)
        }
        None => (None, None),
    };
    let url = url.or(args.load.url.as_deref());
    if base.is_none() && url.is_none() {
        return Err(Failure::usage(
            "nothing to load: name a URL or a plan, for example \
             `vajra-node start-test http://127.0.0.1:8080 --rate 100`",
        ));
    }
    let plan = apply(base, url, &args.load)?;
    let plan = parse_json(&plan.to_bytes()).map_err(Failure::input)?;
    Ok((plan, local))
}

fn read_plan(path: &str) -> Result<(Plan, Option<Local>), Failure> {
    let text = read_limited(Path::new(path)).map_err(|why| {
        Failure::input(format_args!(
            "cannot read the plan {path}: {why} (a URL begins with http:// or https://)"
        ))
    })?;
    let file =
        parse_toml(&text).map_err(|e| Failure::input(format_args!("{}", e.in_file(path))))?;
    Ok((file.plan, file.local))
}

fn apply(base: Option<Plan>, url: Option<&str>, args: &LoadArgs) -> Result<Plan, Failure> {
    let fresh = base.is_none();
    let mut plan = base.unwrap_or_else(|| blank(String::new()));
    task(&mut plan.task, url, args)?;
    load(&mut plan.load, args, fresh)?;
    if let Some(name) = &args.name {
        plan.name = Some(name.clone());
    }
    plan.tags.extend(args.tags.iter().map(|Pair(k, v)| (k.clone(), v.clone())));
    plan.swarm.labels.extend(args.labels.iter().map(|Pair(k, v)| (k.clone(), v.clone())));
    if let Some(least) = args.min_workers {
        plan.swarm.min_workers = least;
    }
    Ok(plan)
}

fn blank(url: String) -> Plan {
    Plan {
        name: None,
        tags: Default::default(),
        task: Task::Http(http_task(url)),
        load: Load {
            model: Model::Closed,
            rate: None,
            users: Some(DEFAULT_USERS),
            think_time: Duration::ZERO,
            duration: DEFAULT_DURATION,
            warm_up: Duration::ZERO,
            ramp_up: Duration::ZERO,
            requests: None,
            connections: None,
            max_in_flight: None,
            max_lateness: Duration::from_millis(100),
        },
        swarm: SwarmRules::default(),
        limits: Limits::default(),
    }
}

fn http_task(url: String) -> HttpTask {
    HttpTask {
        url,
        method: "GET".into(),
        headers: Vec::new(),
        body: String::new(),
        timeout: Duration::from_secs(10),
        insecure: false,
        disable_keepalive: false,
    }
}

fn task(task: &mut Task, url: Option<&str>, args: &LoadArgs) -> Result<(), Failure> {
    if let (Some(url), Task::Sleep { .. } | Task::Cpu { .. }) = (url, &*task) {
        *task = Task::Http(http_task(url.into()));
    }
    let Task::Http(http) = task else {
        if asks_for_http(args) {
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
            Some(path) => read_limited(Path::new(path))
                .map_err(|why| Failure::input(format_args!("--body @{path}: {why}")))?,
            None => body.clone(),
        };
        if args.method.is_none() && http.method == "GET" {
            http.method = "POST".into();
        }
    }
    if let Some(method) = &args.method {
        http.method = method.clone();
    }
    http.headers.retain(|(old, _)| {
        !args.headers.iter().any(|Header(name, _)| name.eq_ignore_ascii_case(old))
    });
    let headers = args.headers.iter().map(|Header(name, value)| (name.clone(), value.clone()));
    http.headers.extend(headers);
    if let Some(timeout) = time("--timeout", &args.timeout)? {
        http.timeout = timeout;
    }
    http.insecure |= args.insecure;
    http.disable_keepalive |= args.disable_keepalive;
    Ok(())
}

fn asks_for_http(args: &LoadArgs) -> bool {
    args.method.is_some()
        || !args.headers.is_empty()
        || args.body.is_some()
        || args.timeout.is_some()
        || args.insecure
        || args.disable_keepalive
}

fn load(load: &mut Load, args: &LoadArgs, fresh: bool) -> Result<(), Failure> {
    if let Some(rate) = number("--rate", &args.rate)? {
        load.model = Model::Open;
        load.rate = Some(rate);
        load.users = None;
        load.think_time = Duration::ZERO;
    }
    if let Some(users) = whole("--users", &args.users)? {
        load.model = Model::Closed;
        load.users = Some(users);
        load.rate = None;
    }
    if let Some(requests) = whole("--requests", &args.requests)? {
        load.requests = Some(requests);
    }
    if let Some(warm_up) = time("--warm-up", &args.warm_up)? {
        load.warm_up = warm_up;
    }
    if let Some(ramp_up) = time("--ramp-up", &args.ramp_up)? {
        load.ramp_up = ramp_up;
    }
    match time("--duration", &args.duration)? {
        Some(duration) => load.duration = duration,
        None if fresh => load.duration = implied_duration(load),
        None => {}
    }
    if let Some(connections) = whole("--connections", &args.connections)? {
        load.connections = Some(connections);
    }
    if let Some(most) = whole("--max-in-flight", &args.max_in_flight)? {
        load.max_in_flight = Some(most);
    }
    Ok(())
}

/// How long a test without `--duration` is: as long as the requests asked for take, or the
/// default.
fn implied_duration(load: &Load) -> Duration {
    match (load.requests, load.rate) {
        (None, _) => DEFAULT_DURATION,
        (Some(_), None) => UNTIL_DONE,
        (Some(requests), Some(rate)) => {
            // A rate of zero is refused later, by name.
            let seconds = (requests as f64 / rate).clamp(0.1, 86_400.0);
            Duration::try_from_secs_f64(seconds).unwrap_or(DEFAULT_DURATION)
        }
    }
}

fn time(option: &str, text: &Option<String>) -> Result<Option<Duration>, Failure> {
    text.as_deref()
        .map(|text| {
            parse_duration(text).map_err(|e| Failure::input(format_args!("{option}: {e}")))
        })
        .transpose()
}

fn number(option: &str, text: &Option<String>) -> Result<Option<f64>, Failure> {
    text.as_deref()
        .map(|text| parse_count(text).map_err(|e| Failure::input(format_args!("{option}: {e}"))))
        .transpose()
}

fn whole<T: TryFrom<u64>>(option: &str, text: &Option<String>) -> Result<Option<T>, Failure> {
    let Some(value) = number(option, text)? else {
        return Ok(None);
    };
    // Below 2^53 every whole number is exact; `as` then loses nothing.
    let exact = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
    match T::try_from(value as u64) {
        Ok(n) if exact => Ok(Some(n)),
        _ => Err(Failure::input(format_args!("{option}: {value} is not a whole number in range"))),
    }
}

fn read_limited(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let limit = MAX_PLAN + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    match read {
        Ok(n) if n as u64 > MAX_PLAN => Err(format!("more than {MAX_PLAN} bytes")),
        Ok(_) => Ok(text),
        Err(e) => Err(e.to_string()),
    }
}

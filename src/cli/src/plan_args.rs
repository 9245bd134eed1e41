//! From the options of `start-test` to a plan.
//!
//! Options override what a plan file says. What comes out goes through the same checks as a
//! plan from anywhere else ([`Plan::validate`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{LoadArgs, StartArgs};
use super::exit::Failure;
use super::validate::is_json;
use super::value_parsers::{Header, Pair};
use vajra_plan::{
    Blob, FileError, HttpTask, HttpVersion, Load, Local, MAX_DATA_FILE, MAX_PLAN_BYTES, Model,
    Plan, PlanFile, PlanInputs, Scalar, Task, ThinkTime, Values, parse_bytes, parse_count,
    parse_duration, parse_plan_with,
};

/// Users where neither rate nor users are given: enough to show something, and kind to a
/// target that was only typed in to try.
const DEFAULT_USERS: u32 = 10;
/// Length where none is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// Length where only a number of requests is given and users send them: the requests end it.
const UNTIL_DONE: Duration = Duration::from_secs(3600);
/// Largest file in bytes that a body or a plan is read from.
const MAX_FILE: u64 = MAX_PLAN_BYTES as u64;

/// What `start-test` was told to run, read but not put together: the URL may only be known
/// once a local target listens.
#[derive(Debug)]
pub struct Wanted {
    path: String,
    file: Option<PlanFile>,
    url: Option<String>,
}

impl Wanted {
    /// Reads the plan file, if one is named.
    ///
    /// # Errors
    /// If it can't be read or understood, or nothing to load is named.
    pub fn read(args: &StartArgs) -> Result<Wanted, Failure> {
        let (path, url) = match args.what.as_deref() {
            Some(what) if what.contains("://") => (None, Some(what)),
            Some(what) => (Some(what), None),
            None => (None, None),
        };
        if url.is_some() && args.load.url.is_some() {
            return Err(Failure::usage("two URLs are given; leave out --url"));
        }
        let url = url.or(args.load.url.as_deref()).map(String::from);
        if path.is_none() && url.is_none() {
            return Err(Failure::usage(
                "nothing to load: name a URL or a plan, for example \
                 `vajra-node start-test http://127.0.0.1:8080 --rate 100`",
            ));
        }
        if path.is_none() && !args.load.vars.is_empty() {
            return Err(Failure::usage(
                "--var is for the steps of a plan's scenarios, and no plan is named",
            ));
        }
        Ok(Wanted {
            path: path.unwrap_or_default().into(),
            file: path
                .map(|path| read_plan(path, vars(&args.load.vars)))
                .transpose()?,
            url,
        })
    }

    /// The local swarm that the plan file asks for.
    pub fn local(&self) -> Option<&Local> {
        self.file.as_ref().and_then(PlanFile::local)
    }

    /// The data files that the plan names.
    pub fn blobs(&self) -> &[Blob] {
        self.file.as_ref().map_or(&[], PlanFile::blobs)
    }

    /// The plan names no URL, and none was typed: it waits for the local target's.
    pub fn needs_target(&self) -> bool {
        self.url.is_none() && self.file.as_ref().is_some_and(PlanFile::needs_target)
    }

    /// The plan, checked like any other; `target` is the local target's URL if it
    /// [needs](Self::needs_target) one.
    ///
    /// # Errors
    /// [`super::exit::Exit::BadInput`] with the option or the field that is wrong.
    pub fn plan(&self, args: &LoadArgs, target: Option<&str>) -> Result<Plan, Failure> {
        let url = self.url.as_deref().or(target);
        let mut plan = match (&self.file, url) {
            (None, url) => {
                let load = Load::closed(DEFAULT_USERS, DEFAULT_DURATION);
                Plan::new(Task::Http(HttpTask::get(url.unwrap_or_default())), load)
            }
            (Some(file), Some(url)) if file.needs_target() => {
                file.clone().with_url(url).map_err(|e| self.wrong(e))?
            }
            (Some(file), _) => file.clone().into_plan().map_err(|e| self.wrong(e))?,
        };
        task(&mut plan.task, self.url.as_deref(), args)?;
        load(&mut plan.load, args, self.file.is_none())?;
        if let Some(name) = &args.name {
            plan.name = Some(name.clone());
        }
        plan.tags
            .extend(args.tags.iter().map(|Pair(k, v)| (k.clone(), v.clone())));
        plan.swarm
            .labels
            .extend(args.labels.iter().map(|Pair(k, v)| (k.clone(), v.clone())));
        if let Some(least) = args.min_workers {
            plan.swarm.min_workers = least;
        }
        plan.validate().map_err(|e| self.wrong(e))?;
        Ok(plan)
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        match self.path.as_str() {
            "" => Failure::input(why),
            path => Failure::input(format_args!("{path}: {why}")),
        }
    }
}

/// `--var`: what is given in place of a plan's own constants.
pub fn vars(given: &[Pair]) -> Values {
    let typed = given
        .iter()
        .map(|Pair(name, value)| (name.clone(), Scalar::typed(value)));
    typed.collect()
}

fn read_plan(path: &str, vars: Values) -> Result<PlanFile, Failure> {
    let text = read_limited(Path::new(path)).map_err(|why| {
        Failure::input(format_args!(
            "cannot read the plan {path}: {why} (a URL begins with http:// or https://)"
        ))
    })?;
    let read = |name: &str| read_data(&beside(Path::new(path)).join(name));
    let given = PlanInputs {
        vars,
        ..PlanInputs::default()
    };
    parse_plan_with(&text, is_json(Path::new(path)), &read, &given)
        .map_err(|e| Failure::input(format_args!("{path}: {e}")))
}

/// Where the files are that a plan names.
pub fn beside(plan: &Path) -> &Path {
    plan.parent().unwrap_or(Path::new(""))
}

fn task(task: &mut Task, url: Option<&str>, args: &LoadArgs) -> Result<(), Failure> {
    if let Task::Scenarios(scenarios) = task {
        if asks_for_http(args) {
            return Err(Failure::input(
                "the plan has scenarios, whose steps say what to send; leave out the request options \
                 (--url moves all steps to another base URL)",
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
    connections(http, args)
}

/// How to connect, and how securely.
fn connections(http: &mut HttpTask, args: &LoadArgs) -> Result<(), Failure> {
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
    let pem = |option: &str, path: &Option<PathBuf>| {
        path.as_deref()
            .map(|path| {
                read_limited(path).map_err(|why| {
                    Failure::input(format_args!("{option} {}: {why}", path.display()))
                })
            })
            .transpose()
    };
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

/// An option that changes what one plan sends or how much, if one is given.
pub fn for_one_plan(args: &LoadArgs) -> Option<&'static str> {
    let given = [
        ("--url", args.url.is_some()),
        ("--method", args.method.is_some()),
        ("--header", !args.headers.is_empty()),
        ("--body", args.body.is_some()),
        ("--body-size", args.body_size.is_some()),
        ("--rate", args.rate.is_some()),
        ("--users", args.users.is_some()),
        ("--think-time", args.think_time.is_some()),
        ("--duration", args.duration.is_some()),
        ("--warm-up", args.warm_up.is_some()),
        ("--ramp-up", args.ramp_up.is_some()),
        ("--requests", args.requests.is_some()),
        ("--connections", args.connections.is_some()),
        ("--max-in-flight", args.max_in_flight.is_some()),
        ("--arrivals", args.arrivals.is_some()),
        ("--pacing", args.pacing.is_some()),
        ("--timeout", args.timeout.is_some()),
        ("--insecure", args.insecure),
        ("--ca", args.ca.is_some()),
        ("--client-cert", args.client_cert.is_some()),
        ("--tls-resume", args.tls_resume),
        ("--http2", args.http2),
        ("--streams", args.streams.is_some()),
        ("--address", !args.addresses.is_empty()),
        ("--dns-refresh", args.dns_refresh.is_some()),
        ("--disable-keepalive", args.disable_keepalive),
        ("--name", args.name.is_some()),
        ("--tag", !args.tags.is_empty()),
        ("--where", !args.labels.is_empty()),
        ("--min-workers", args.min_workers.is_some()),
    ];
    let first = given.into_iter().find(|(_, given)| *given);
    first.map(|(option, _)| option)
}

fn asks_for_http(args: &LoadArgs) -> bool {
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

fn load(load: &mut Load, args: &LoadArgs, fresh: bool) -> Result<(), Failure> {
    let own = [
        ("--rate", &args.rate),
        ("--users", &args.users),
        ("--duration", &args.duration),
        ("--warm-up", &args.warm_up),
        ("--ramp-up", &args.ramp_up),
    ];
    if let Some((option, _)) = own.into_iter().find(|(_, given)| given.is_some())
        && !load.stages.is_empty()
    {
        return Err(Failure::input(format_args!(
            "{option}: the plan has stages, which say how much and how long; leave the option out, \
             or change the stages"
        )));
    }
    if let Some(rate) = number("--rate", &args.rate)? {
        load.model = Model::Open;
        load.rate = Some(rate);
        load.users = None;
        load.think_time = ThinkTime::NONE;
    }
    if let Some(users) = whole("--users", &args.users)? {
        load.model = Model::Closed;
        load.users = Some(users);
        load.rate = None;
    }
    if let Some(think) = args.think_time {
        load.think_time = think;
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
    if let Some(arrivals) = args.arrivals {
        load.arrivals = arrivals;
    }
    if let Some(pacing) = args.pacing {
        load.pacing = pacing;
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
        .map(|text| parse_duration(text).map_err(|e| Failure::input(format_args!("{option}: {e}"))))
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
        _ => Err(Failure::input(format_args!(
            "{option}: {value} is not a whole number in range"
        ))),
    }
}

/// A file's text, or what is on stdin for `-`.
///
/// # Errors
/// It can't be read, or is too large.
pub fn read_limited(path: &Path) -> Result<String, String> {
    read_at_most(path, MAX_FILE)
}

/// The same for a data file, which may be larger.
///
/// # Errors
/// As [`read_limited`].
pub fn read_data(path: &Path) -> Result<String, FileError> {
    read_at_most(path, MAX_DATA_FILE).map_err(FileError)
}

fn read_at_most(path: &Path, most: u64) -> Result<String, String> {
    let mut text = String::new();
    let limit = most + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    match read {
        Ok(n) if n as u64 > most => Err(format!("more than {most} bytes")),
        Ok(_) => Ok(text),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
#[path = "plan_args_tests.rs"]
mod tests;

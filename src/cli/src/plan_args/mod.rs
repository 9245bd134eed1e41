//! Builds the plan of `start-test` from the plan file and the options.
//!
//! Options override the file. The result passes the same validation as any other plan
//! ([`Plan::validate`]).

mod http;
mod load;
mod values;

use std::path::Path;

use super::args::{LoadArgs, StartArgs};
use super::exit::Failure;
use super::plan_file::{self, read_limited, vars};
use super::value_parsers::Pair;
use load::DEFAULT_DURATION;
use vajra_plan::{Blob, HttpTask, Load, Local, Plan, PlanFile, Task};

/// Default number of users: enough to see an effect, and harmless to an arbitrary target.
const DEFAULT_USERS: u32 = 10;

/// The plan file and the URL of `start-test`. The plan is built from it when the URL is known,
/// which may be that of a local target.
#[derive(Debug)]
pub struct PlanSource {
    path: String,
    file: Option<PlanFile>,
    url: Option<String>,
}

impl PlanSource {
    /// Reads the plan file, if there is one.
    ///
    /// # Errors
    /// The file cannot be read or is invalid, or there is neither a plan nor a URL.
    pub fn read(args: &StartArgs) -> Result<PlanSource, Failure> {
        let (path, url) = match args.source.as_deref() {
            Some(source) if source.contains("://") => (None, Some(source)),
            Some(source) => (Some(source), None),
            None => (None, None),
        };
        if url.is_some() && args.load.url.is_some() {
            return Err(Failure::usage("two URLs are given; leave out --url"));
        }
        let url = url.or(args.load.url.as_deref()).map(String::from);
        if path.is_none() && url.is_none() {
            return Err(Failure::usage(
                "no plan and no URL is given; for example \
                 `vajra-node start-test http://127.0.0.1:8080 --rate 100`",
            ));
        }
        if path.is_none() && !args.load.vars.is_empty() {
            return Err(Failure::usage(
                "--var is for the steps of a plan's scenarios, and no plan is given",
            ));
        }
        Ok(PlanSource {
            path: path.unwrap_or_default().into(),
            file: path.map(|path| read_plan(path, &args.load)).transpose()?,
            url,
        })
    }

    /// The `[local]` table of the plan file.
    pub fn local(&self) -> Option<&Local> {
        self.file.as_ref().and_then(PlanFile::local)
    }

    /// The data files of the plan.
    pub fn blobs(&self) -> &[Blob] {
        self.file.as_ref().map_or(&[], PlanFile::blobs)
    }

    /// Whether neither the plan nor the command line has a URL, so that the plan needs that of
    /// the local target.
    pub fn needs_target(&self) -> bool {
        self.url.is_none() && self.file.as_ref().is_some_and(PlanFile::needs_target)
    }

    /// Builds and validates the plan. `target` is the URL of the local target, if the plan
    /// [needs](Self::needs_target) it.
    ///
    /// # Errors
    /// [`super::exit::Exit::BadInput`] with the invalid option or key.
    pub fn plan(&self, args: &LoadArgs, target: Option<&str>) -> Result<Plan, Failure> {
        let url = self.url.as_deref().or(target);
        let mut plan = match (&self.file, url) {
            (None, url) => {
                let load = Load::closed(DEFAULT_USERS, DEFAULT_DURATION);
                Plan::new(Task::Http(HttpTask::get(url.unwrap_or_default())), load)
            }
            (Some(file), Some(url)) if file.needs_target() => {
                file.clone().with_url(url).map_err(|e| self.invalid(e))?
            }
            (Some(file), _) => file.clone().into_plan().map_err(|e| self.invalid(e))?,
        };
        http::apply(&mut plan.task, self.url.as_deref(), args)?;
        load::apply(&mut plan.load, args, self.file.is_none())?;
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
        plan.validate().map_err(|e| self.invalid(e))?;
        Ok(plan)
    }

    fn invalid(&self, why: impl std::fmt::Display) -> Failure {
        match self.path.as_str() {
            "" => Failure::input(why),
            path => Failure::input(format_args!("{path}: {why}")),
        }
    }
}

fn read_plan(name: &str, args: &LoadArgs) -> Result<PlanFile, Failure> {
    let path = Path::new(name);
    let hint = "give the path of a plan, or a URL that starts with http:// or https://";
    let text = read_limited(path).map_err(|e| e.failure(path, hint))?;
    let parsed = plan_file::parse(path, &text, vars(&args.vars));
    parsed.map_err(|e| Failure::input(format_args!("{name}: {e}")))
}

/// The first option that changes the requests or the load of a single plan.
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

#[cfg(test)]
mod tests;

//! The load generators, their commands, and the percentiles that they print.

use crate::arguments::{Args, Mode, Protocol};

/// The options of a program that select the protocol.
fn options(protocol: Protocol, program: &str) -> &'static str {
    match (program, protocol) {
        ("vajra", Protocol::Tls) => "-k",
        ("vajra", Protocol::H2) => "-k --http2 --streams {streams}",
        ("vajra", Protocol::H2c) => "--http2 --streams {streams}",
        ("h2load", Protocol::H1 | Protocol::Tls) => "--h1",
        ("h2load", _) => "-m{streams}",
        ("oha", Protocol::Tls) => "--insecure",
        ("oha", Protocol::H2) => "--insecure --http2 -p{streams}",
        ("oha", Protocol::H2c) => "--http2 -p{streams}",
        _ => "",
    }
}

/// Name, command for the closed model, command for the open model.
const CLIENTS: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "vajra",
        Some("{vajra} start-test {url} {options} --users {users} --duration {secs}s --standalone"),
        None,
    ),
    ("vajra precise", None, Some(PRECISE)),
    ("vajra batched", None, Some(BATCHED)),
    ("vajra spin", None, Some(SPIN)),
    ("vajra precise x4", None, Some(PRECISE_BY_FOUR)),
    (
        "wrk",
        Some("wrk -t1 -c{connections} -d{secs}s --latency {url}"),
        None,
    ),
    (
        "wrk2",
        None,
        Some("wrk2 -t1 -c{connections} -d{secs}s -R{rate} --latency {url}"),
    ),
    (
        "h2load",
        Some("h2load {options} -t1 -c{connections} -D{secs} {url}"),
        Some("h2load {options} -t1 -c{connections} -D{secs} --rps={each} {url}"),
    ),
    (
        "oha",
        Some("oha --no-tui {options} -c{connections} -z{secs}s {url}"),
        Some(
            "oha --no-tui {options} -c{connections} -z{secs}s -q{rate} --latency-correction {url}",
        ),
    ),
    (
        "hey",
        Some("hey -c {connections} -z {secs}s {url}"),
        Some("hey -c {connections} -z {secs}s -q {each} {url}"),
    ),
];

const PRECISE: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                       -c {connections} --pacing precise";
const BATCHED: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                       -c {connections} --pacing batched";
const SPIN: &str = "{vajra} start-test {url} {options} --rate {rate} --duration {secs}s --standalone \
                    -c {connections} --pacing spin";

/// Four nodes that share the CPU core and the load.
const PRECISE_BY_FOUR: &str = "{vajra} start-test {four} --url {url} {options} --rate {rate} \
                               --duration {secs}s -c {each_of_four} --pacing precise";

/// The plan for four local nodes.
pub const FOUR: &str = "[task]\ntype = \"HTTP\"\nurl = \"http://127.0.0.1/\"\n\
                    [load]\nrate = 1\nduration = \"1s\"\n\
                    [swarm]\nmin_workers = 4\n[local]\nnodes = 4\n";

/// Names and commands of the installed clients that support the mode and the protocol.
pub fn clients(args: &Args) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, closed, open) in CLIENTS {
        let command = if args.mode == Mode::Closed {
            closed
        } else {
            open
        };
        let program = name.split(' ').next().unwrap_or_default();
        let supported = matches!(program, "vajra" | "h2load" | "oha") || !args.protocol.is_http2();
        if let Some(command) = command
            && supported
            && (program == "vajra" || installed(program))
        {
            let command = command.replace("{options}", options(args.protocol, program));
            all.push(((*name).into(), command));
        }
    }
    let more = args.client.iter().filter_map(|c| c.split_once('='));
    all.extend(more.map(|(name, command)| (name.into(), command.into())));
    let selected = |name: &str| args.only.is_empty() || args.only.iter().any(|o| o == name);
    all.retain(|(name, _)| selected(name));
    all
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// A percentile in milliseconds from the output of any client.
pub fn percentile(text: &str, name: &str) -> Option<f64> {
    let digits = name.trim_start_matches('p');
    let names = [
        format!("p{digits}"),
        format!("{digits}%"),
        format!("{digits}.00%"),
        format!("{digits}.000%"),
        format!("{digits}00%"),
    ];
    text.lines().find_map(|line| {
        let mut words = line.split(|c: char| c.is_whitespace() || "=|:,[]".contains(c));
        words.by_ref().find(|w| names.iter().any(|n| n == w))?;
        let rest: Vec<&str> = words.filter(|w| !w.is_empty() && *w != "in").collect();
        let first = *rest.first()?;
        let split = first.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = match split {
            Some(at) => first.split_at(at),
            None => (first, *rest.get(1)?),
        };
        let factor = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" | "sec" | "secs" => 1e3,
            "m" => 6e4,
            _ => return None,
        };
        Some(number.parse::<f64>().ok()? * factor)
    })
}

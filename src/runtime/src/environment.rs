//! What the machine is, in one line for people: operating system, cores, memory.

use std::path::Path;

/// `Linux 6.1 x86_64, 8 cores, 15.6 GiB`. What the system does not tell is left out. Cores and
/// memory are those that this process may use.
pub fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    line(cores, &read)
}

fn line(cores: usize, read: &impl Fn(&str) -> Option<String>) -> String {
    let release = read("/proc/sys/kernel/osrelease").map(|r| version(&r));
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "macOS",
        other => other,
    };
    let words = [
        Some(system.to_owned()),
        release,
        Some(std::env::consts::ARCH.into()),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let mut text = format!(
        "{}, {cores} {}",
        words.join(" "),
        if cores == 1 { "core" } else { "cores" }
    );
    let machine = read("/proc/meminfo").and_then(|t| total(&t));
    let allowed = read("/proc/self/cgroup").and_then(|t| limit(&t, read));
    if let Some(bytes) = machine.into_iter().chain(allowed).min() {
        text += &format!(", {:.1} GiB", bytes as f64 / f64::from(1 << 30));
    }
    text
}

/// `6.1` of `6.1.0-18-amd64`.
fn version(release: &str) -> String {
    let mut numbers = release.trim().split(['.', '-']);
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        _ => release.trim().to_owned(),
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The limit of a control group (version 2), if it has one.
fn limit(cgroup: &str, read: &impl Fn(&str) -> Option<String>) -> Option<u64> {
    let path = cgroup.lines().find_map(|l| l.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(path).join("memory.max");
    // Without a limit it says `max`.
    read(&file.display().to_string())?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_wire::limits::MAX_ENVIRONMENT;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_machine_is_its_system_cores_and_memory() {
        let machine = |path: &str| {
            let text = match path {
                "/proc/sys/kernel/osrelease" => "6.1.0-18-amd64\n",
                "/proc/meminfo" => "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
                "/proc/self/cgroup" => "0::/pod\n",
                "/sys/fs/cgroup/pod/memory.max" => "max\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let arch = std::env::consts::ARCH;
        assert_eq!(
            line(8, &machine),
            format!("Linux 6.1 {arch}, 8 cores, 15.6 GiB")
        );
        let pod = |path: &str| match path {
            "/sys/fs/cgroup/pod/memory.max" => Some("2147483648\n".into()),
            _ => machine(path),
        };
        assert!(line(1, &pod).ends_with(", 1 core, 2.0 GiB"));
        assert_eq!(line(2, &|_| None), format!("Linux {arch}, 2 cores"));
    }

    #[test]
    fn this_machine_fits_its_place() {
        let here = describe();
        assert!(
            here.contains("core") && here.len() <= MAX_ENVIRONMENT,
            "{here}"
        );
    }
}

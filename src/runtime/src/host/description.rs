//! The machine in one line for people: operating system, cores, memory.

use super::{cgroup, cores, memory, setting};

/// For example `Linux 6.1 x86_64, 8 cores, 15.6 GiB`. Cores and memory are those that this process
/// may use; what the system does not report is left out.
pub fn describe() -> String {
    let release = setting("kernel/osrelease");
    let machine = memory().map(|m| m.total);
    let group = cgroup::limits().memory;
    let bytes = machine.into_iter().chain(group).min();
    line(release.as_deref(), cores(), bytes)
}

fn line(release: Option<&str>, cores: usize, bytes: Option<u64>) -> String {
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "macOS",
        other => other,
    };
    let words = [
        Some(system.to_owned()),
        release.map(version),
        Some(std::env::consts::ARCH.into()),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let unit = if cores == 1 { "core" } else { "cores" };
    let mut text = format!("{}, {cores} {unit}", words.join(" "));
    if let Some(bytes) = bytes {
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

#[cfg(test)]
mod tests {
    use super::*;
    use vajra_wire::limits::MAX_ENVIRONMENT;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_machine_is_described_by_system_cores_and_memory() {
        let arch = std::env::consts::ARCH;
        assert_eq!(
            line(Some("6.1.0-18-amd64\n"), 8, Some(16_384_000 * 1024)),
            format!("Linux 6.1 {arch}, 8 cores, 15.6 GiB")
        );
        let pod = line(Some("6.1.0-18-amd64\n"), 1, Some(2 << 30));
        assert!(pod.ends_with(", 1 core, 2.0 GiB"));
        assert_eq!(line(None, 2, None), format!("Linux {arch}, 2 cores"));
    }

    #[test]
    fn the_description_of_this_machine_fits_an_advert() {
        let here = describe();
        assert!(
            here.contains("core") && here.len() <= MAX_ENVIRONMENT,
            "{here}"
        );
    }
}

//! Limits of the control groups (version 2) that contain this process.

use std::fs;
use std::path::Path;

const ROOT: &str = "/sys/fs/cgroup";

/// The tightest limits of a control group and all groups around it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Limits {
    /// CPU quota in cores, from `cpu.max`.
    pub cpu_cores: Option<f64>,
    /// How often the innermost group was throttled by a quota, from `cpu.stat`.
    pub throttled: u64,
    /// Memory limit in bytes, from `memory.max`.
    pub memory: Option<u64>,
    /// Bytes below the memory limit; the file cache counts as free, since it is reclaimable.
    pub memory_available: Option<u64>,
}

/// The limits of this process.
pub fn limits() -> Limits {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limits_in(Path::new(ROOT), &own)
}

/// The limits of the group that `/proc/self/cgroup` names, below `root`.
fn limits_in(root: &Path, own: &str) -> Limits {
    // Without version 2 there is no such line, and the root has none of the files.
    let own = own.lines().find_map(|l| l.strip_prefix("0::/"));
    let own = root.join(own.unwrap_or_default());
    let groups = || own.ancestors().take_while(|group| group.starts_with(root));
    Limits {
        cpu_cores: groups().filter_map(cpu_cores).reduce(f64::min),
        throttled: value(&own, "cpu.stat", "nr_throttled ").unwrap_or(0),
        memory: groups().filter_map(|g| number(g, "memory.max")).min(),
        memory_available: groups().filter_map(memory_available).min(),
    }
}

/// `cpu.max` is `MAX PERIOD` in microseconds, or `max PERIOD` without a quota.
fn cpu_cores(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (max, period) = text.trim().split_once(' ')?;
    Some(max.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn memory_available(group: &Path) -> Option<u64> {
    let (limit, used) = (
        number(group, "memory.max")?,
        number(group, "memory.current")?,
    );
    let cache = value(group, "memory.stat", "inactive_file ").unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

/// A file with a number; `max`, which means no limit, is none.
fn number(group: &Path, file: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    text.trim().parse().ok()
}

/// A value in a file of `KEY VALUE` lines.
fn value(group: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix(key))?;
    value.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        let group = root.join(path);
        fs::create_dir_all(&group).unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
    }

    #[test]
    fn memory_below_the_limit_includes_the_file_cache() {
        let root = tempfile::tempdir().unwrap();
        let pod = [
            ("memory.max", "1000\n"),
            ("memory.current", "700\n"),
            ("memory.stat", "anon 500\ninactive_file 100\n"),
        ];
        group(root.path(), "pod", &pod);
        group(root.path(), "free", &[("memory.max", "max\n")]);
        let limits = |own| limits_in(root.path(), own);
        assert_eq!(limits("0::/pod\n").memory, Some(1000));
        assert_eq!(limits("0::/pod\n").memory_available, Some(400));
        assert_eq!(limits("0::/free\n"), Limits::default());
        assert_eq!(limits("4:memory:/pod\n"), Limits::default());
        // The group around it limits it as well.
        group(root.path(), "pod/inner", &[("memory.max", "max\n")]);
        assert_eq!(limits("0::/pod/inner\n").memory_available, Some(400));
    }

    #[test]
    fn the_smallest_cpu_quota_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a", &[("cpu.max", "50000 100000\n")]);
        let inner = [
            ("cpu.max", "max 100000\n"),
            ("cpu.stat", "nr_periods 9\nnr_throttled 3\n"),
        ];
        group(root.path(), "a/b", &inner);
        group(root.path(), "c", &[("cpu.max", "max 100000\n")]);
        let limits = |own| limits_in(root.path(), own);
        let both = limits("0::/a/b\n");
        assert_eq!((both.cpu_cores, both.throttled), (Some(0.5), 3));
        assert_eq!(limits("0::/c\n").cpu_cores, None);
        assert_eq!(limits("").cpu_cores, None);
    }
}

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use super::directory::{MAX_DAMAGED, path, write};
use super::memory::MAX_IN_MEMORY;
use super::*;

fn result(i: u8) -> (TestId, TestResult) {
    let id = TestId([i; 16]);
    let mut result: TestResult = serde_json::from_str(vajra_fixtures::EMPTY_RESULT).unwrap();
    result.test_id = id.to_string();
    (id, result)
}

fn timeline(id: TestId) -> Timeline {
    Timeline {
        test_id: id.to_string(),
        ..Timeline::default()
    }
}

/// A full directory with the tests 10 to 209.
fn full() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    for i in 0..MAX_RESULTS as u8 {
        let (id, result) = result(10 + i);
        assert!(store.put(id, &result, None).unwrap().is_empty());
    }
    (dir, store)
}

#[test]
fn a_result_reads_back_and_the_oldest_are_removed() {
    let (dir, store) = full();
    let (id, last) = result(210);
    let over_time = timeline(TestId([11; 16]));
    let (second, result) = result(11);
    store.put(second, &result, Some(&over_time)).unwrap();
    assert_eq!(store.put(id, &last, None).unwrap(), [TestId([10; 16])]);
    assert_eq!(store.ids().len(), MAX_RESULTS);
    assert_eq!(*store.get(id).unwrap(), last);
    assert!(store.get(TestId([10; 16])).is_none());

    assert_eq!(store.timeline(second), Some(over_time));
    let (next, result) = self::result(211);
    assert_eq!(store.put(next, &result, None).unwrap(), [second]);
    assert!(!store.has(second, Part::Timeline));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_RESULTS);
}

#[test]
fn an_unreadable_file_is_renamed_and_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    let (id, sound) = result(1);
    store.put(id, &sound, Some(&timeline(id))).unwrap();
    for part in [Part::Result, Part::Timeline] {
        fs::write(path(dir.path(), id, part), "{").unwrap();
    }
    assert!(store.get(id).is_none() && store.timeline(id).is_none());
    assert!(!store.has(id, Part::Result) && !store.has(id, Part::Timeline));
    let aside = |name: String| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(aside(format!("{id}.json.damaged")), b"{");
    assert_eq!(aside(format!("{id}.timeline.json.damaged")), b"{");
    assert_eq!(store.ids(), []);
    store.put(id, &sound, None).unwrap();
    assert_eq!(*store.get(id).unwrap(), sound);
}

#[test]
fn a_removed_directory_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let results = dir.path().join("results");
    let store = Store::open(Some(results.clone())).unwrap();
    fs::remove_dir(&results).unwrap();
    let (id, sound) = result(1);
    store.put(id, &sound, None).unwrap();
    assert_eq!(*store.get(id).unwrap(), sound);
    fs::remove_dir_all(&results).unwrap();
    fs::write(&results, "in the way").unwrap();
    let error = store.put(id, &sound, None).unwrap_err().to_string();
    assert!(error.contains(&format!("{id}.json: ")), "{error}");
    // The result is kept in memory.
    assert_eq!(store.put_or_remember(id, &sound, None, 1), []);
    assert_eq!(*store.get(id).unwrap(), sound);
}

#[test]
fn a_result_that_could_not_be_written_takes_precedence_over_an_older_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    let (id, mut result) = result(1);
    store.put(id, &result, None).unwrap();
    assert!(store.version(id, Part::Result).is_some());
    result.verdict = Some(vajra_results::Verdict::Valid);
    assert_eq!(store.put_in_memory(id, &result, None), []);
    assert_eq!(*store.get(id).unwrap(), result);
    assert_eq!(store.version(id, Part::Result), None);
    store.put(id, &result, None).unwrap();
    assert!(store.version(id, Part::Result).is_some());
}

#[test]
fn the_number_of_unreadable_files_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    for i in 0..20 {
        let (id, _) = result(i);
        fs::write(path(dir.path(), id, Part::Result), "{").unwrap();
        assert!(store.get(id).is_none());
    }
    let kept = fs::read_dir(dir.path()).unwrap().flatten();
    let mut kept: Vec<PathBuf> = kept.map(|e| e.path()).collect();
    kept.sort();
    assert_eq!(kept.len(), MAX_DAMAGED);
    let newest = TestId([19; 16]).to_string();
    assert!(
        kept[MAX_DAMAGED - 1]
            .display()
            .to_string()
            .contains(&newest)
    );
}

#[test]
fn a_test_older_than_all_in_a_full_directory_stays_in_memory_only() {
    let (_dir, store) = full();
    let (id, old) = result(1);
    assert_eq!(store.put(id, &old, Some(&timeline(id))).unwrap(), [id]);
    assert_eq!(store.ids().len(), MAX_RESULTS);
    assert!(!store.ids().contains(&id));
    assert_eq!(*store.get(id).unwrap(), old);
    assert_eq!(store.timeline(id), Some(timeline(id)));
}

#[test]
fn a_new_result_replaces_the_old_one_and_leaves_the_timeline() {
    for dir in [None, Some(tempfile::tempdir().unwrap())] {
        let store = Store::open(dir.as_ref().map(|d| d.path().to_owned())).unwrap();
        let (id, mut kept) = result(1);
        kept.complete = false;
        store.put(id, &kept, Some(&timeline(id))).unwrap();
        kept.complete = true;
        store.put(id, &kept, None).unwrap();
        assert_eq!(*store.get(id).unwrap(), kept);
        assert_eq!(store.timeline(id), Some(timeline(id)));
        assert_eq!(store.ids(), [id]);
    }
}

#[test]
fn a_timeline_is_removed_if_its_result_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    let (id, kept) = result(1);
    // A file cannot replace a directory.
    fs::create_dir(dir.path().join(format!("{id}.new"))).unwrap();
    store.put(id, &kept, Some(&timeline(id))).unwrap_err();
    assert!(!store.has(id, Part::Timeline));

    // A timeline with an older result stays.
    let (id, kept) = result(2);
    store.put(id, &kept, None).unwrap();
    fs::create_dir(dir.path().join(format!("{id}.new"))).unwrap();
    store.put(id, &kept, Some(&timeline(id))).unwrap_err();
    assert_eq!(store.timeline(id), Some(timeline(id)));
}

#[test]
fn a_write_that_fails_leaves_no_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("taken");
    fs::create_dir(&place).unwrap();
    write(&place, b"{}").unwrap_err();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn remains_of_interrupted_writes_are_removed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    let (id, kept) = result(1);
    store.put(id, &kept, Some(&timeline(id))).unwrap();
    let other = TestId([2; 16]);
    let remains = [
        format!("{other}.timeline.json"),
        format!("{other}.new"),
        format!("{id}.timeline.new"),
    ];
    let not_ours = ["notes.new", "notes.timeline.json", "notes.json"];
    let names = remains.iter().map(String::as_str).chain(not_ours);
    names.for_each(|name| fs::write(dir.path().join(name), "{}").unwrap());

    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    assert_eq!(*store.get(id).unwrap(), kept);
    assert_eq!(store.timeline(id), Some(timeline(id)));
    assert!(remains.iter().all(|name| !dir.path().join(name).exists()));
    assert!(not_ours.iter().all(|name| dir.path().join(name).exists()));
}

#[test]
fn only_parts_within_the_record_limit_are_served() {
    let dir = tempfile::tempdir().unwrap();
    for dir in [None, Some(dir.path().to_owned())] {
        let store = Store::open(dir).unwrap();
        let (id, kept) = result(1);
        assert!(!store.can_serve(id, Part::Result));
        store.put(id, &kept, Some(&timeline(id))).unwrap();
        assert!(store.can_serve(id, Part::Result) && store.can_serve(id, Part::Timeline));
        let mut large = timeline(id);
        large.test_id = "x".repeat(MAX_RECORD as usize);
        store.put(id, &kept, Some(&large)).unwrap();
        assert!(store.has(id, Part::Timeline) && !store.can_serve(id, Part::Timeline));
    }
}

#[test]
fn an_unreadable_file_is_not_a_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Some(dir.path().to_owned())).unwrap();
    let (id, kept) = result(1);
    store.put(id, &kept, None).unwrap();
    fs::write(dir.path().join(format!("{id}.json")), "{").unwrap();
    assert!(store.get(id).is_none());
    assert!(store.timeline(id).is_none());
}

#[test]
fn without_a_directory_the_last_results_are_in_memory() {
    let store = Store::open(None).unwrap();
    for i in 0..MAX_IN_MEMORY.0 as u8 {
        let (id, kept) = result(i);
        assert!(store.put(id, &kept, None).unwrap().is_empty());
    }
    let (id, mut large) = result(100);
    assert_eq!(store.put(id, &large, None).unwrap(), [TestId([0; 16])]);
    assert_eq!(store.ids().len(), MAX_IN_MEMORY.0);
    // The size in bytes is limited, too.
    large.reasons = vec!["x".repeat(MAX_IN_MEMORY.1 * 3 / 4)];
    store.put(id, &large, None).unwrap();
    let (next, mut other) = result(101);
    other.reasons = large.reasons.clone();
    assert!(store.put(next, &other, None).unwrap().contains(&id));
    assert_eq!(store.ids(), [next]);
}

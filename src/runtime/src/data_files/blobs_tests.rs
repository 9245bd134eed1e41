#![allow(clippy::unwrap_used)]
//! Data files on disk and in memory.

use super::*;
use vajra_plan::{Format, Pick};

/// Four bytes that are unique per number, and their digest.
fn blob(n: u32) -> (Sha256, [u8; 4]) {
    let bytes = n.to_be_bytes();
    (Sha256::of(&bytes), bytes)
}

/// A store on disk and one in memory, each limited to `limit` bytes.
fn both(limit: u64) -> [(Blobs, Option<tempfile::TempDir>); 2] {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blobs");
    let on_disk = Blobs::open(Some(path), limit).unwrap();
    let in_memory = Blobs::open(None, limit).unwrap();
    [(on_disk, Some(dir)), (in_memory, None)]
}

#[test]
fn a_stored_file_is_read_in_parts() {
    for (blobs, _dir) in both(100) {
        let digest = Sha256::of(b"0123456789");
        assert_eq!(blobs.has(digest), None);
        assert!(blobs.part(digest, 0, 4).unwrap().is_none());
        blobs.put(digest, b"0123456789").unwrap();
        blobs.put(digest, b"0123456789").unwrap();
        assert_eq!(
            (blobs.has(digest), blobs.inner().used_bytes),
            (Some(10), 10)
        );
        for (offset, expected) in [(0, "0123"), (8, "89"), (10, ""), (11, "")] {
            let part = blobs.part(digest, offset, 4).unwrap().unwrap();
            assert_eq!(part, (10, expected.as_bytes().to_vec()));
        }
    }
}

#[test]
fn content_that_does_not_match_its_digest_is_not_stored() {
    for (blobs, dir) in both(100) {
        let (digest, bytes) = blob(1);
        let refused = blobs.put(digest, &bytes[..3]).unwrap_err();
        assert!(
            matches!(refused, BlobError::DigestMismatch(found) if found == Sha256::of(&bytes[..3]))
        );
        let mut unfinished = blobs.writer(digest).unwrap();
        unfinished.write(&bytes).unwrap();
        assert_eq!(blobs.inner().used_bytes, 4);
        drop(unfinished);
        assert_eq!((blobs.has(digest), blobs.inner().used_bytes), (None, 0));
        if let Some(dir) = dir {
            let mut files = fs::read_dir(dir.path().join("blobs")).unwrap();
            assert!(files.next().is_none());
        }
    }
}

#[test]
fn the_least_recently_used_file_is_removed_but_never_one_on_hold() {
    for (blobs, dir) in both(12) {
        let put = |n: u32| blobs.put(blob(n).0, &blob(n).1);
        let here = || -> Vec<u32> {
            let inner = blobs.inner();
            let all = (0..9).filter(|n| inner.blobs.contains_key(&blob(*n).0));
            all.collect()
        };
        (0..3).for_each(|n| put(n).unwrap());
        assert!(blobs.has(blob(0).0).is_some(), "now the most recently used");
        put(3).unwrap();
        assert_eq!(here(), [0, 2, 3]);
        let held = blobs.hold([blob(2).0, blob(0).0]);
        let second_hold = blobs.hold([blob(2).0]);
        put(4).unwrap();
        assert_eq!(here(), [0, 2, 4]);
        let third_hold = blobs.hold([blob(4).0]);
        assert!(matches!(put(5), Err(BlobError::Full(12))));
        assert_eq!((here(), blobs.inner().used_bytes), (vec![0, 2, 4], 12));
        drop((held, third_hold));
        (5..7).for_each(|n| put(n).unwrap());
        assert_eq!(here(), [2, 5, 6]);
        drop(second_hold);
        put(7).unwrap();
        assert_eq!(here(), [5, 6, 7]);
        if let Some(dir) = dir {
            assert_eq!(fs::read_dir(dir.path().join("blobs")).unwrap().count(), 3);
        }
    }
}

#[test]
fn a_file_being_written_reserves_space_as_it_grows() {
    for (blobs, _dir) in both(12) {
        let mut writer = blobs.writer(blob(1).0).unwrap();
        writer.write(&[0; 8]).unwrap();
        blobs.put(blob(2).0, &blob(2).1).unwrap();
        let mut other = blobs.writer(blob(3).0).unwrap();
        other.write(&[0; 4]).unwrap();
        assert_eq!(blobs.has(blob(2).0), None, "removed for the writer");
        assert!(matches!(writer.write(&[0; 1]), Err(BlobError::Full(_))));
        drop(other);
        writer.write(&[0; 4]).unwrap();
        assert_eq!(writer.written(), 12);
    }
}

#[test]
fn a_file_may_not_exceed_the_limit_of_a_plan() {
    let blobs = Blobs::open(None, MAX_STORE).unwrap();
    let mut writer = blobs.writer(blob(1).0).unwrap();
    let mebibyte = vec![0; 1 << 20];
    (0..64).for_each(|_| writer.write(&mebibyte).unwrap());
    assert!(matches!(writer.write(&[0]), Err(BlobError::TooLarge)));
}

#[test]
fn files_are_found_at_the_next_start_and_unfinished_ones_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let open = |limit| Blobs::open(Some(dir.path().to_owned()), limit).unwrap();
    let blobs = open(100);
    for n in 0..3 {
        blobs.put(blob(n).0, &blob(n).1).unwrap();
        let past = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(n));
        let file = File::open(dir.path().join(blob(n).0.to_string())).unwrap();
        file.set_modified(past).unwrap();
    }
    let unfinished = dir.path().join(format!("{}.9.new", blob(9).0));
    fs::write(&unfinished, "x").unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let again = open(9);
    assert_eq!(again.has(blob(0).0), None, "the oldest is removed");
    assert_eq!(again.part(blob(2).0, 0, 9).unwrap().unwrap().1, blob(2).1);
    assert_eq!(again.inner().used_bytes, 8);
    assert!(!unfinished.exists() && dir.path().join("notes.txt").exists());
}

#[test]
fn rows_are_read_once_and_compared_with_the_plan() {
    let (data, blob) = Data::of("name\nann\nbob\n".into(), Format::Csv, Pick::Unique).unwrap();
    for (blobs, _dir) in both(100) {
        let tables = Tables::default();
        let missing = blobs.table(&tables, &data).unwrap_err();
        assert_eq!(missing, TableError::Absent);
        blobs.put(blob.digest, &blob.bytes).unwrap();
        let table = blobs.table(&tables, &data).unwrap();
        assert_eq!(table.get(1, 0), Some("bob"));
        assert!(Arc::ptr_eq(&table, &blobs.table(&tables, &data).unwrap()));
        for (wrong, expected) in [
            (
                Data {
                    rows: 3,
                    ..data.clone()
                },
                "has 2 rows; the plan has 3",
            ),
            (
                Data {
                    bytes: 9,
                    ..data.clone()
                },
                "has 13 bytes, but the plan says 9",
            ),
            (
                Data {
                    columns: vec!["x".into()],
                    ..data.clone()
                },
                "has the columns name",
            ),
        ] {
            let refused = blobs.table(&tables, &wrong).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(
            blobs.has(data.digest).is_some(),
            "the plan is wrong, not the file"
        );
    }
}

#[test]
fn a_file_that_was_damaged_on_disk_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(Some(dir.path().to_owned()), 100).unwrap();
    let (data, blob) = Data::of("name\nann\nbob\n".into(), Format::Csv, Pick::Unique).unwrap();
    blobs.put(blob.digest, &blob.bytes).unwrap();
    fs::write(dir.path().join(data.digest.to_string()), "name\nann\nbab\n").unwrap();
    let refused = blobs.table(&Tables::default(), &data).unwrap_err();
    assert_eq!(refused, TableError::Damaged);
    assert_eq!(blobs.has(data.digest), None);
}

//! Results in files.

use vajra_fixtures::results as fixture;
use vajra_results::result_file::ResultFile;

#[test]
fn a_result_can_be_read_with_and_without_its_timeline() {
    let alone = ResultFile::of(fixture::result());
    let text = serde_json::to_vec(&alone).unwrap();
    assert_eq!(ResultFile::read(&text).unwrap(), alone);
    // Without further keys it is the result, as in the API.
    let plain = serde_json::to_value(fixture::result()).unwrap();
    assert_eq!(serde_json::to_value(&alone).unwrap(), plain);

    let whole = ResultFile {
        timeline: Some(fixture::timeline()),
        ..alone
    };
    let text = serde_json::to_vec(&whole).unwrap();
    assert_eq!(ResultFile::read(&text).unwrap(), whole);
}

#[test]
fn a_newer_schema_and_another_file_are_different_errors() {
    let mut json = serde_json::to_value(fixture::result()).unwrap();
    json["schema"] = 2.into();
    let error = ResultFile::read(json.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("schema 2"), "{error}");
    let error = ResultFile::read(b"{\"suite\": null}").unwrap_err();
    assert!(
        error.to_string().starts_with("it is not a result"),
        "{error}"
    );
}

/// Nodes store, fetch and serve results as JSON. These two numbers were seen as the mean of one test
/// on different nodes: the default parser of `serde_json` is not exact.
#[test]
fn numbers_have_the_same_bits_after_writing_and_reading() {
    let text = "0.11044360000000039";
    let read: f64 = serde_json::from_str(text).unwrap();
    assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits());
    assert_ne!(read, 0.1104436000000004);

    let mut result = fixture::result();
    for i in 1..5_000_u32 {
        result.duration_s = f64::from(i) / 1_000.0 + 0.1 / f64::from(i);
        let text = serde_json::to_vec(&ResultFile::of(result.clone())).unwrap();
        let read = ResultFile::read(&text).unwrap().result;
        assert_eq!(read.duration_s.to_bits(), result.duration_s.to_bits());
    }
}

//! Results in files.

use vajra_fixtures::results as fixture;
use vajra_results::result_file::Recorded;

#[test]
fn a_result_reads_back_with_its_timeline_and_without() {
    let alone = Recorded::of(fixture::result());
    let text = serde_json::to_vec(&alone).unwrap();
    assert_eq!(Recorded::read(&text).unwrap(), alone);
    // Without more it is the result, as the API tells it.
    let plain = serde_json::to_value(fixture::result()).unwrap();
    assert_eq!(serde_json::to_value(&alone).unwrap(), plain);

    let whole = Recorded {
        timeline: Some(fixture::timeline()),
        ..alone
    };
    let text = serde_json::to_vec(&whole).unwrap();
    assert_eq!(Recorded::read(&text).unwrap(), whole);
}

#[test]
fn a_newer_schema_and_another_file_are_told_apart() {
    let mut json = serde_json::to_value(fixture::result()).unwrap();
    json["schema"] = 2.into();
    let told = Recorded::read(json.to_string().as_bytes()).unwrap_err();
    assert!(told.to_string().contains("schema 2"), "{told}");
    let told = Recorded::read(b"{\"suite\": null}").unwrap_err();
    assert!(told.to_string().starts_with("it is not a result"), "{told}");
}

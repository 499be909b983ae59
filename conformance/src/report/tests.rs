//! What reports look like.

use expect_test::{Expect, expect};
use storage_core::{
    Atomicity, Capabilities, Durability, KEY_BYTES_MAX, ListConsistency, Sharing, Versions,
};

use super::*;

fn report() -> Report {
    let times = |millis: &[u64]| {
        let millis: Vec<_> = millis.iter().map(|millis| Duration::from_millis(*millis)).collect();
        [millis.clone(), millis, Vec::new(), Vec::new()]
    };
    let case = |id, level, outcome, detail: &str| CaseReport {
        id,
        level,
        requires: "a < b & c",
        outcome,
        requests: 4,
        elapsed: Duration::from_micros(12_345),
        detail: detail.into(),
        times: times(&[1, 2, 3, 40]),
    };
    Report {
        provider: Some(ProviderInfo {
            name: "s3://bucket".into(),
            capabilities: Capabilities {
                absent: Atomicity::AllClients,
                matches: Atomicity::Unsupported,
                list: ListConsistency::Strong,
                durability: Durability::PowerLoss,
                versions: Versions::PerContent,
                sharing: Sharing::AllClients,
                key_bytes_max: KEY_BYTES_MAX,
                object_bytes_max: 5 << 30,
            },
        }),
        seed: 7,
        level: "core,scale".into(),
        cases: vec![
            case("basic.size.same", Level::Core, Outcome::Pass, ""),
            case("put.absent.largest", Level::Core, Outcome::Pass, "tried 8 MiB of 5 GiB"),
            case("put.absent.race", Level::Txn, Outcome::OverClaim, "saw 2 \"winners\"\nof 64"),
            case("key.nested", Level::Core, Outcome::Skipped, "declared: <no>"),
            case("list.limit", Level::Scale, Outcome::KnownIssue, "https://x/1: saw \u{1b}[0m"),
        ],
        problems: vec!["cleaning up: 1 objects stay, the first is cb~1/a".into()],
        elapsed: Duration::from_millis(1500),
    }
}

fn check(written: String, expected: Expect) {
    expected.assert_eq(&written);
}

#[test]
fn json_has_the_shape_that_scripts_rely_on() {
    check(
        report().to_json(),
        expect![[r#"
        {
          "provider": "s3://bucket",
          "seed": 7,
          "level": "core,scale",
          "cases": [
            {
              "id": "basic.size.same",
              "level": "core",
              "outcome": "pass",
              "requests": 4,
              "millis": 12,
              "detail": ""
            },
            {
              "id": "put.absent.largest",
              "level": "core",
              "outcome": "pass",
              "requests": 4,
              "millis": 12,
              "detail": "tried 8 MiB of 5 GiB"
            },
            {
              "id": "put.absent.race",
              "level": "txn",
              "outcome": "over_claim",
              "requests": 4,
              "millis": 12,
              "detail": "saw 2 \"winners\"\nof 64"
            },
            {
              "id": "key.nested",
              "level": "core",
              "outcome": "skipped",
              "requests": 4,
              "millis": 12,
              "detail": "declared: <no>"
            },
            {
              "id": "list.limit",
              "level": "scale",
              "outcome": "known_issue",
              "requests": 4,
              "millis": 12,
              "detail": "https://x/1: saw \u001b[0m"
            }
          ],
          "summary": {
            "failed": true,
            "outcomes": {
              "fail": 0,
              "known_issue": 1,
              "over_claim": 1,
              "pass": 2,
              "skipped": 1,
              "under_claim": 0,
              "unexpected_pass": 0
            },
            "requests": 20,
            "millis": 1500,
            "latency": {
              "get": {
                "requests": 20,
                "p50_micros": 2000,
                "p90_micros": 40000,
                "p99_micros": 40000,
                "max_micros": 40000
              },
              "put": {
                "requests": 20,
                "p50_micros": 2000,
                "p90_micros": 40000,
                "p99_micros": 40000,
                "max_micros": 40000
              }
            },
            "problems": [
              "cleaning up: 1 objects stay, the first is cb~1/a"
            ]
          }
        }"#]],
    );
}

#[test]
fn junit_is_well_formed_whatever_a_detail_holds() {
    check(
        report().to_junit(),
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuite name="conformance s3://bucket" tests="6" failures="1" errors="1" skipped="2" time="1.500">
              <properties>
                <property name="seed" value="7"/>
                <property name="level" value="core,scale"/>
                <property name="requests" value="20"/>
              </properties>
              <testcase classname="s3://bucket" name="basic.size.same" time="0.012"/>
              <testcase classname="s3://bucket" name="put.absent.largest" time="0.012">
                <system-out>pass: tried 8 MiB of 5 GiB</system-out>
              </testcase>
              <testcase classname="s3://bucket" name="put.absent.race" time="0.012">
                <failure type="over_claim" message="saw 2 &quot;winners&quot;&#10;of 64">required: a &lt; b &amp; c</failure>
              </testcase>
              <testcase classname="s3://bucket" name="key.nested" time="0.012">
                <skipped message="declared: &lt;no&gt;"/>
              </testcase>
              <testcase classname="s3://bucket" name="list.limit" time="0.012">
                <skipped message="known issue: https://x/1: saw �[0m"/>
              </testcase>
              <testcase classname="s3://bucket" name="run" time="0">
                <error message="cleaning up: 1 objects stay, the first is cb~1/a"/>
              </testcase>
            </testsuite>
        "#]],
    );
}

#[test]
fn markdown_is_one_row() {
    check(
        format!("{}{}", Report::markdown_header(), report().to_markdown_row()),
        expect![[r#"
        | provider | levels | passed | failed | skipped | absent | matches | lists | durability | versions | sharing | put p50 | get p50 | what failed or warns |
        |---|---|--:|--:|--:|---|---|---|---|---|---|--:|--:|---|
        | s3://bucket | core,scale | 2 | 1 | 1 | all clients | no | strong | power loss | per content | all clients | 2.0 ms | 2.0 ms | cleaning up: 1 objects stay, the first is cb~1/a, known issue: `list.limit`, over claim: `put.absent.race` |
    "#]],
    );
}

#[test]
fn the_table_says_what_was_required_where_it_does_not_hold() {
    check(
        report().table(),
        expect![[r#"
            basic.size.same     pass                 4 requests      12 ms
            put.absent.largest  pass                 4 requests      12 ms
                tried 8 MiB of 5 GiB
            put.absent.race     over claim           4 requests      12 ms
                required: a < b & c
                saw 2 "winners"
                of 64
            key.nested          skipped              4 requests      12 ms
                declared: <no>
            list.limit          known issue          4 requests      12 ms
                https://x/1: saw �[0m

            requests      count       p50       p90       p99       max
            put              20   2.00 ms  40.00 ms  40.00 ms  40.00 ms
            get              20   2.00 ms  40.00 ms  40.00 ms  40.00 ms

            problem: cleaning up: 1 objects stay, the first is cb~1/a
            s3://bucket: FAILED; 2 pass, 1 skipped, 1 over claim, 1 known issue; 20 requests in 1.5 s; seed 7
        "#]],
    );
}

#[test]
fn a_provider_that_cannot_be_opened_fails_the_run() {
    let error = Error::not_applied(storage_core::ErrorKind::Misconfigured, "no such `bucket`");
    let report = Report::not_opened(&Settings { seed: 7, ..Settings::default() }, &error);
    assert!(report.failed());
    check(
        report.table(),
        expect![[r#"
        problem: the provider could not be opened: misconfigured: no such `bucket`
        not opened: FAILED; no case ran; 0 requests in 0.0 s; seed 7
    "#]],
    );
}

//! The command line on the real servers that the environment names.

#![allow(clippy::unwrap_used)] // A test that unwraps an error has failed as it should.

#[path = "../main/support.rs"]
#[allow(dead_code)] // The other binary uses the rest.
mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use libtest_mimic::{Arguments, Trial};

use crate::support::Bench;

fn main() -> ExitCode {
    let is_set = |variable: &str| std::env::var(variable).is_ok();
    let any = SERVERS.iter().any(|(_, variable)| is_set(variable));
    let trials = vec![
        trial(
            "objects_travel_from_server_to_server_and_back",
            any,
            objects_travel_from_server_to_server_and_back,
        ),
        trial(
            "a_server_that_ignores_conditions_is_refused_with_the_way_out",
            is_set("CLOUDBANK_TEST_RCLONE"),
            a_server_that_ignores_conditions_is_refused_with_the_way_out,
        ),
        trial(
            "buckets_and_objects_of_other_services_are_worked_with",
            is_set("CLOUDBANK_TEST_SEAWEEDFS") || is_set("CLOUDBANK_TEST_MOTO"),
            buckets_and_objects_of_other_services_are_worked_with,
        ),
        trial(
            "arrays_of_a_folder_and_three_services_keep_the_contract",
            ["CLOUDBANK_TEST_SEAWEEDFS", "CLOUDBANK_TEST_MOTO", "CLOUDBANK_TEST_AZURITE"]
                .into_iter()
                .all(is_set),
            arrays_of_a_folder_and_three_services_keep_the_contract,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, there: bool, test: fn()) -> Trial {
    let test = move || {
        test();
        Ok(())
    };
    Trial::test(name, test).with_ignored_flag(!there)
}

/// Each server, and the variable that says where it is.
const SERVERS: [(&str, &str); 4] = [
    ("seaweedfs", "CLOUDBANK_TEST_SEAWEEDFS"),
    ("moto", "CLOUDBANK_TEST_MOTO"),
    ("rclone", "CLOUDBANK_TEST_RCLONE"),
    ("azurite", "CLOUDBANK_TEST_AZURITE"),
];

/// A configuration with a provider on each server that is there, in buckets of their own, and their names.
/// Says which are left out, and why.
fn servers() -> (Bench, Vec<&'static str>) {
    // Each test has its own: not every service makes one twice.
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let bucket = format!("cli-{}-{number}", std::process::id());
    let mut text = String::new();
    let mut names = Vec::new();
    for (name, variable) in SERVERS {
        let Ok(endpoint) = std::env::var(variable) else {
            println!("{name} is left out: set {variable} or run cargo xtask test");
            continue;
        };
        names.push(name);
        // A busy machine may keep a server waiting.
        text +=
            &format!("[providers.{name}]\nendpoint = \"{endpoint}\"\nrequest_timeout = \"2m\"\n");
        text += &match name {
            "azurite" => {
                format!("type = \"azure\"\nemulator = true\ncontainer = \"{bucket}\"\n")
            }
            _ => format!(
                "type = \"s3\"\nallow_http = true\nbucket = \"{bucket}\"\n\
                 access_key_id = \"cloudbank\"\nsecret_access_key = \"${{CB_SECRET}}\"\n"
            ),
        };
        if name == "rclone" {
            text += "conditional_put = \"unsupported\"\n";
        }
    }
    text += "[providers.local]\ntype = \"fs\"\npath = \"local\"\ncreate = true\n";
    (Bench::with_config(&text).variable("CB_SECRET", "cloudbank-secret"), names)
}

fn objects_travel_from_server_to_server_and_back() {
    let (bench, names) = servers();
    assert!(!names.is_empty(), "no server is there");
    for number in 0..20 {
        bench.feed(&format!("provider put -p local a/{number:02} -"), &vec![b'x'; number * 1000]);
    }
    let all = bench.ok("provider ls -p local --long");
    let missing = bench.session(&format!("provider ls -p {}", names[0]));
    assert!(missing.contains("cloudbank.toml:") && missing.ends_with("[2]\n"), "{missing}");
    // Every command that opens a server to write probes it, which SeaweedFS lets wait for seconds while puts race.
    // Once for each server is enough; after that it is believed.
    let config = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    let believed = config.replace("request_timeout =", "probe = \"off\"\nrequest_timeout =");
    assert_eq!(believed.matches("probe").count(), names.len());
    bench.write("believed.toml", believed);
    let believe = "--config believed.toml";
    let mut before = "local";
    for name in &names {
        bench.ok(&format!("provider create -p {name}"));
        assert!(bench.session(&format!("provider create -p {name}")).ends_with("[4]\n"));
        bench.ok(&format!("provider ls -p {name}"));
        bench.ok(&format!("provider cp -r {before}: {name}: {believe}"));
        assert_eq!(bench.ok(&format!("provider ls -p {name} --long {believe}")), all, "{name}");
        let again = bench.ok(&format!("provider cp -r {before}: {name}: --verify {believe}"));
        assert!(again.starts_with("0 objects copied (0 B), 20 there already"), "{name}: {again}");
        before = name;
    }
    bench.ok(&format!("provider cp -r {before}: local:back/ {believe}"));
    assert_eq!(bench.ok("provider ls -p local back/").lines().count(), 20);
    for name in &names {
        // rclone loses temporary files of its own when puts and deletes overlap, and Azurite may be busy
        // sweeping: what is measured is whether the command works, so two servers are enough.
        if matches!(*name, "seaweedfs" | "moto") {
            let bench_line = "--sizes 1KiB --concurrency 4 --count 8 --rounds 2 --json";
            let measured = bench.ok(&format!("provider bench -p {name} {bench_line} {believe}"));
            assert!(measured.contains("\"object_store\""), "{name}: {measured}");
        }
        assert!(
            bench
                .session(&format!("provider destroy -p {name} --yes {believe}"))
                .ends_with("[4]\n")
        );
        bench.ok(&format!("provider rm -p {name} --prefix a --yes {believe}"));
        bench.ok(&format!("provider destroy -p {name} --yes {believe}"));
    }
}

/// Each array with the members that it is made of; the suite at the levels that it declares.
fn arrays_of_a_folder_and_three_services_keep_the_contract() {
    let (bench, names) = servers();
    let config = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    for name in names.iter().filter(|name| **name != "rclone") {
        bench.ok(&format!("provider create -p {name}"));
    }
    // That conditions are kept was verified by the commands above.
    let config = config.replace("request_timeout =", "probe = \"off\"\nrequest_timeout =");
    for (array, members) in [
        ("type = \"mirror\"\n", ["local", "seaweedfs", "azurite"]),
        ("type = \"erasure\"\ndata = 2\nparity = 1\n", ["seaweedfs", "moto", "azurite"]),
    ] {
        bench.write(
            "arrays.toml",
            format!("{config}[providers.safe]\n{array}members = {members:?}\n"),
        );
        // The whole suite takes minutes: `CLOUDBANK_ARRAYS_SUITE='--level all'`.
        let suite = std::env::var("CLOUDBANK_ARRAYS_SUITE");
        let suite = suite.unwrap_or_else(|_| "--level core --filter put".into());
        let line = format!("conformance -p safe {suite} --config arrays.toml");
        let output = bench.feed(&line, b"");
        assert!(output.status.success(), "{array}{members:?}: {}", bench.shown(&output));
        // And a member that has lost everything is filled again.
        for number in 0..5 {
            let line = format!("provider put -p safe a/{number} - --config arrays.toml");
            assert!(bench.feed(&line, &vec![b'x'; number * 50_000]).status.success());
        }
        bench.ok(&format!("provider rm -p {} --prefix= --yes --config arrays.toml", members[1]));
        let status = bench.session("array status --wait 2m --config arrays.toml");
        assert!(status.contains("5 short by 1 piece") && status.ends_with("[1]\n"), "{status}");
        bench.ok("array repair --config arrays.toml");
        bench.ok("array status --wait 2m --config arrays.toml");
        bench.ok(&format!("provider rm -p {} --prefix= --yes --config arrays.toml", members[0]));
        for number in 0..5 {
            let line = format!("provider get -p safe a/{number} back --config arrays.toml");
            bench.ok(&line);
            assert_eq!(bench.read("back"), vec![b'x'; number * 50_000], "{array}{members:?}");
        }
        for member in members {
            bench.ok(&format!("provider rm -p {member} --prefix= --yes --config arrays.toml"));
        }
    }
    for name in names.iter().filter(|name| **name != "rclone") {
        bench.ok(&format!("provider destroy -p {name} --yes --config arrays.toml"));
    }
}

fn a_server_that_ignores_conditions_is_refused_with_the_way_out() {
    let (bench, names) = servers();
    assert!(names.contains(&"rclone"), "the server is not there");
    bench.ok("provider create -p rclone");
    let config = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    bench.write("strict.toml", config.replace("conditional_put = \"unsupported\"\n", ""));
    let said = bench.session("provider put -p rclone a - --config strict.toml");
    assert!(
        said.contains("`conditional_put = \"unsupported\"`") && said.ends_with("[2]\n"),
        "{said}"
    );
    bench.ok("provider destroy -p rclone --yes");
}

fn buckets_and_objects_of_other_services_are_worked_with() {
    let (bench, services) = servers();
    let files = ["a b", "a+b", "ü/ä", "100%", "a&b=c", "sub/deep/x.txt"];
    let large: Vec<u8> = (0..17_u32 << 18).flat_map(u32::to_le_bytes).collect();
    for name in files {
        let path = bench.path(&format!("in/{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    bench.write("in/large", &large);
    for name in services.into_iter().filter(|name| matches!(*name, "seaweedfs" | "moto")) {
        let at = format!("s3://cli-s3-{}", std::process::id());
        let ok = |line: &str| bench.ok(&format!("s3 -p {name} {line}"));
        ok(&format!("mb {at}"));
        assert!(ok("ls").contains(&at), "{name}");
        ok(&format!("sync in {at}/all --part-size 5MiB"));
        let again = ok(&format!("sync in {at}/all"));
        assert!(again.starts_with("0 objects copied (0 B), 7 there already"), "{name}: {again}");
        ok(&format!("cp -r {at}/all {at}/copy"));
        let out = format!("out-{name}");
        ok(&format!("cp -r {at}/copy {out} --part-size 5MiB"));
        assert!(bench.read(&format!("{out}/large")) == large, "{name}");
        for file in files {
            let found = bench.read(&format!("{out}/{file}"));
            assert_eq!(found, file.as_bytes(), "{name}: {file}");
        }
        assert_eq!(ok(&format!("cat {at}/all/sub/deep/x.txt")), "sub/deep/x.txt");
        assert!(ok(&format!("stat {at}/all/large")).contains("17,825,792"), "{name}");
        let gone = bench.session(&format!("s3 -p {name} stat {at}/none"));
        assert!(gone.ends_with("[3]\n"), "{gone}");
        let full = bench.session(&format!("s3 -p {name} rb {at}"));
        assert!(full.ends_with("[4]\n"), "{full}");
        ok(&format!("rm -r {at}/copy"));
        assert_eq!(ok(&format!("ls -r {at} --json")).lines().count(), 7, "{name}");
        ok(&format!("rb {at} --force"));
    }
}

//! Keys that are no names of files: nothing is ever written outside of the folder, and the key is named.

use std::fs;
use std::path::Path;

use super::Service;

/// Keys that every command but those into a folder takes as they are.
const ODD: [&str; 10] = [
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "a//b",
    "a/.",
    "..",
    "d",
    "d/below",
    "e/",
    "%2e%2e/evil",
];
/// Those of them that cannot be files.
const REFUSED: [&str; 8] =
    ["../evil", "/etc/evil", "a/../../evil", "a//b", "a/.", "..", "d/below", "e/"];

#[test]
fn keys_that_lead_elsewhere_are_named_and_left_out() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    for key in ODD {
        service.put(&format!("s3://bkt/{key}"), key.as_bytes());
    }
    for key in ODD {
        assert_eq!(service.cat(&format!("s3://bkt/{key}")), key.as_bytes());
        service.ok(&format!("s3 stat s3://bkt/{key}"));
    }
    for line in ["s3 cp -r s3://bkt in/here --jobs 1", "s3 sync s3://bkt in/there --jobs 1"] {
        let said = service.session(line);
        assert!(said.ends_with("[1]\n"), "{said}");
        for key in REFUSED {
            let told = said.lines().any(|told| {
                told.starts_with(&format!("! error: s3://bkt/{key} cannot be a file: "))
            });
            assert!(told, "{key}: {said}");
        }
        let folder = service.bench.path(line.split(' ').nth_back(2).unwrap());
        assert_eq!(files(&folder), ["%2e%2e/evil", "d"], "{said}");
    }
    assert_eq!(files(&service.bench.path("in")).len(), 4);
    assert!(!service.bench.path("evil").exists() && !Path::new("/etc/evil").exists());
    // To one of them by name, all is well.
    service.ok("s3 cp s3://bkt/../evil in/named");
    assert_eq!(service.bench.read("in/named"), b"../evil");
    // Into a folder its last part is its name.
    let said = service.session("s3 cp s3://bkt/.. in");
    assert!(said.contains("s3://bkt/.. cannot be a file") && said.ends_with("[1]\n"), "{said}");
    // From bucket to bucket they are just keys.
    service.ok("s3 mb s3://ckt");
    service.ok("s3 sync s3://bkt s3://ckt");
    for key in ODD {
        assert_eq!(service.cat(&format!("s3://ckt/{key}")), key.as_bytes());
    }
    service.ok("s3 rm -r s3://ckt");
    assert_eq!(service.ok("s3 ls -r s3://ckt"), "");
}

#[test]
fn names_of_all_sorts_go_up_and_come_down() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    let names =
        ["a b", "a+b", "ü/ä", "100%", "%41", "a&b=c?d#e", "'\"<>", "star*", "new\nline", "~x"];
    for name in names {
        let path = service.bench.path(&format!("up/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    service.ok("s3 sync up s3://bkt/all");
    let listed = service.ok("s3 ls -r s3://bkt/all/ --json");
    let mut keys: Vec<_> = listed
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["key"].as_str().unwrap().strip_prefix("all/").unwrap().to_owned()
        })
        .collect();
    let mut expected = names.map(str::to_owned).to_vec();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    service.ok("s3 cp -r s3://bkt/all down");
    assert_eq!(files(&service.bench.path("down")), files(&service.bench.path("up")));
    for name in names {
        assert_eq!(fs::read_to_string(service.bench.path(&format!("down/{name}"))).unwrap(), name);
    }
    let again = service.ok("s3 sync s3://bkt/all down");
    assert!(again.contains("0 objects copied (0 B), 10 there already"), "{again}");
}

/// The files below a folder, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

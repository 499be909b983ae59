//! A store with its log on one provider and its objects on several.

use std::fs;

use crate::support::Bench;

fn config(inner: &str) -> String {
    let folder = |name: &str| {
        format!(
            "[providers.{name}]\ntype = \"fs\"\npath = \"{name}\"\ncreate = true\n\
             durability = \"process-crash\"\n"
        )
    };
    let folders: String = ["log", "a", "b", "c"].iter().map(|name| folder(name)).collect();
    format!(
        "{folders}{inner}\n[providers.secret]\ntype = \"encrypt\"\ninner = \"safe\"\n\
         key = \"file:key\"\n[store]\nlog = \"log\"\nobjects = \"secret\"\n"
    )
}

const ERASURE: &str = "[providers.safe]\ntype = \"erasure\"\ndata = 2\nparity = 1\n\
                       members = [\"a\", \"b\", \"c\"]\n";
const MIRROR: &str = "[providers.safe]\ntype = \"mirror\"\nmembers = [\"a\", \"b\", \"c\"]\n";

#[test]
fn a_store_on_an_array_loses_nothing_with_a_member() {
    for inner in [ERASURE, MIRROR] {
        let bench = Bench::with_config(&config(inner));
        bench.write("key", format!("{}\n", "5a".repeat(32)));
        bench.write("large", vec![b'x'; 3 << 20]);
        bench.ok("config check");
        bench.ok("store init");
        bench.ok("store put large large");
        // Whatever was still on its way to the last member when the command ended is not needed.
        fs::remove_dir_all(bench.path("a")).unwrap();
        bench.ok("store get large back");
        assert_eq!(bench.read("back"), bench.read("large"));
        bench.ok("store put again large");
        bench.ok("store verify");
        let seen = fs::read_dir(bench.path("log")).unwrap().count();
        assert!(seen > 0, "the log is where it was to be");
        let plain = walk(&bench.path("c"))
            .into_iter()
            .any(|file| fs::read(file).unwrap().windows(64).any(|bytes| bytes == [b'x'; 64]));
        assert!(!plain, "a member sees what was to be encrypted");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

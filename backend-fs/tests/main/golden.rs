//! A stored tree of format 1, which every later version must still read.

use std::path::Path;

use backend_fs::{Config, FsProvider};
use futures_util::TryStreamExt;
use storage_core::{Get, Prefix, PutIf, StorageProvider, StorageProviderExt};

use crate::support::{key, quick};

const OBJECTS: [(&str, &str); 4] =
    [("a", "the object"), ("a/b", "beneath it"), ("empty", ""), ("log/0000", "first\n")];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_folder_of_format_1_is_read_and_written() {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format-1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    copy(&stored, &path);
    // Folders without a file are not kept in version control.
    for part in ["tmp", "locks"] {
        std::fs::create_dir_all(path.join(part)).unwrap();
    }
    let provider = FsProvider::open(quick(&Config::new(&path))).await.unwrap();
    let listed: Vec<_> = provider.list_all(&Prefix::all()).try_collect().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|object| (object.key.as_str(), object.size as usize)).collect();
    assert_eq!(listed, OBJECTS.map(|(name, body)| (name, body.len())));
    for (name, body) in OBJECTS {
        let object = provider.get(&key(name), Get::whole()).await.unwrap();
        assert_eq!(object.body, body);
    }
    let version = provider.get(&key("log/0000"), Get::meta_only()).await.unwrap().version;
    assert_eq!(version.as_str(), "303132333435363738393a3b3c3d3e3f");
    provider.put(&key("log/0000"), "next".into(), PutIf::Matches(version)).await.unwrap();
}

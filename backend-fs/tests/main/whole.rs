//! Opening, closing and what lies in the folder.

use std::fs;
use std::path::Path;

use backend_fs::{Config, FsProvider};
use storage_core::{Durability, ErrorKind, Get, PutIf, StorageProvider};

use crate::support::{key, place};

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_object_and_a_subtree_of_the_same_name_stand_side_by_side() {
    let place = place().await;
    for name in ["a", "a/b", "a/b/c"] {
        place.provider.put(&key(name), name.into(), PutIf::Absent).await.unwrap();
    }
    for name in ["a", "a/b", "a/b/c"] {
        let object = place.provider.get(&key(name), Get::whole()).await.unwrap();
        assert_eq!(object.body, name);
    }
    place.provider.delete(&key("a/b")).await.unwrap();
    let missing = place.provider.get(&key("a/b"), Get::whole()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    place.provider.get(&key("a/b/c"), Get::whole()).await.unwrap();
}

#[tokio::test]
async fn folders_that_are_not_ours_are_refused_and_the_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |path: &Path, create: bool, kind: ErrorKind, words: &str| {
        let config = Config::new(path).create(create);
        let error = FsProvider::open(config).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains("`path`") && text.contains(words), "{text}");
    };
    let missing = folder.path().join("missing");
    check(&missing, false, ErrorKind::Misconfigured, "create").await;
    check(Path::new(""), false, ErrorKind::Misconfigured, "empty").await;
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    check(&file, false, ErrorKind::Misconfigured, "not a folder").await;
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear").unwrap();
    check(&foreign, false, ErrorKind::Misconfigured, "cloudbank-fs").await;
    check(&foreign, true, ErrorKind::Misconfigured, "letter.txt").await;
    assert_eq!(names(&foreign), ["letter.txt"]);
    let ours = folder.path().join("ours");
    FsProvider::create(&Config::new(&ours)).await.unwrap();
    fs::write(ours.join("cloudbank-fs"), "cloudbank-fs 2\n").unwrap();
    check(&ours, false, ErrorKind::Misconfigured, "\"2\"").await;
    check(&ours, true, ErrorKind::Misconfigured, "\"2\"").await;
}

#[tokio::test]
async fn volatile_files_are_refused() {
    let config = Config::new("unused").durability(Durability::Volatile);
    let error = FsProvider::open(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("`durability`"), "{error}");
}

#[tokio::test]
async fn create_takes_an_empty_folder_once_and_destroy_only_an_empty_provider() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("deep/data"));
    FsProvider::create(&config).await.unwrap();
    let again = FsProvider::create(&config).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");

    let provider = FsProvider::open(config.clone()).await.unwrap();
    provider.put(&key("a/b"), "b".into(), PutIf::Absent).await.unwrap();
    let in_use = FsProvider::destroy(&config).await.unwrap_err();
    assert_eq!(in_use.kind(), ErrorKind::Conflict, "{in_use}");
    drop(provider);
    let full = FsProvider::destroy(&config).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Conflict, "{full}");
    assert!(full.to_string().contains("a/b"), "{full}");

    let provider = FsProvider::open(config.clone()).await.unwrap();
    provider.delete(&key("a/b")).await.unwrap();
    drop(provider);
    FsProvider::destroy(&config).await.unwrap();
    assert_eq!(names(&folder.path().join("deep")), Vec::<String>::new());
    let gone = FsProvider::destroy(&config).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Misconfigured, "{gone}");
}

#[tokio::test]
async fn closing_the_last_handle_leaves_no_temporary_file_and_no_empty_directory() {
    let place = place().await;
    let other = FsProvider::open(place.config.clone()).await.unwrap();
    place.provider.put(&key("a/b/c"), "c".into(), PutIf::Always).await.unwrap();
    place.provider.put(&key("a/d"), "d".into(), PutIf::Always).await.unwrap();
    place.provider.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(names(&place.config.path.join("tmp")).len(), 2);
    drop(place.provider);
    // Another handle may be about to put into it.
    assert_eq!(names(&place.config.path.join("objects/a")), ["b", "d.o"]);
    let all = storage_core::Prefix::all();
    other.list(storage_core::List::new(&all)).await.unwrap();
    drop(other);
    assert_eq!(names(&place.config.path.join("tmp")), Vec::<String>::new());
    assert_eq!(names(&place.config.path.join("objects/a")), ["d.o"]);
}

#[tokio::test]
async fn a_folder_removed_while_it_is_open_is_misconfigured_for_every_operation() {
    let place = place().await;
    fs::remove_dir_all(&place.config.path).unwrap();
    let (name, all) = (key("a/b"), storage_core::Prefix::all());
    let errors = [
        place.provider.put(&name, "b".into(), PutIf::Always).await.unwrap_err(),
        place.provider.put(&name, "b".into(), PutIf::Absent).await.unwrap_err(),
        place.provider.get(&name, Get::whole()).await.unwrap_err(),
        place.provider.delete(&name).await.unwrap_err(),
        place.provider.list(storage_core::List::new(&all)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_was_put_is_corrupt_and_never_an_answer() {
    let place = place().await;
    let path = place.config.path.join("objects/a/b.o");
    place.provider.put(&key("a/b"), "the body".into(), PutIf::Always).await.unwrap();
    let good = fs::read(&path).unwrap();
    let mut cases: Vec<(String, Vec<u8>)> = (0..good.len())
        .map(|length| (format!("cut to {length}"), good[..length].to_vec()))
        .collect();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        cases.push((format!("flipped at {at}"), bad));
    }
    cases.push(("grown".into(), [&good[..], b"x"].concat()));
    for (what, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        let error = place.provider.get(&key("a/b"), Get::whole()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
    fs::write(&path, &good).unwrap();
    fs::copy(&path, place.config.path.join("objects/a/c.o")).unwrap();
    let error = place.provider.get(&key("a/c"), Get::whole()).await.unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
}

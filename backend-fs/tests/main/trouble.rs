//! Full disks, folders that may only be read, and descriptors that must not leak.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use backend_fs::{Config, FsProvider};
use storage_core::{
    Effect, ErrorKind, Get, List, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

use crate::support::{child, child_by, key, place, quick};

/// Opens a folder in which "old" exists, and finds that a large put is refused for this reason, while
/// reading goes on.
pub(crate) async fn child_is_refused(path: &str, kind: &str) {
    let provider = FsProvider::open(Config::new(path)).await.unwrap();
    let large = vec![7; 4 << 20];
    for when in [PutIf::Always, PutIf::Absent] {
        let error = provider.put(&key("a/new"), large.clone().into(), when).await.unwrap_err();
        assert_eq!((error.kind().label(), error.effect()), (kind, Effect::NotApplied), "{error}");
        if kind == "permission_denied" {
            assert!(error.to_string().contains("`path`"), "{error}");
        }
        assert!(provider.try_get(&key("a/new")).await.unwrap().is_none());
    }
    assert_eq!(provider.get(&key("old"), Get::whole()).await.unwrap().body, "old");
    let all = Prefix::all();
    assert_eq!(provider.list(List::new(&all)).await.unwrap().objects.len(), 1);
    let deleted = provider.delete(&key("old")).await;
    match deleted {
        Err(error) if kind == "permission_denied" => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        }
        // Room can be made on a full disk.
        deleted => deleted.unwrap(),
    }
}

async fn prepare(path: &Path) {
    let config = Config::new(path).create(true);
    let provider = FsProvider::open(quick(&config)).await.unwrap();
    provider.put(&key("old"), "old".into(), PutIf::Always).await.unwrap();
}

fn no_leftovers(path: &Path) {
    for directory in std::fs::read_dir(path.join("tmp")).unwrap() {
        let directory = directory.unwrap().path();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "{directory:?}");
    }
}

#[tokio::test]
async fn a_body_cut_short_by_the_system_is_a_full_storage_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    prepare(&path).await;
    // The largest file is 1 MiB, and the signal that says so is ignored, so that write(2) fails.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap());
    let status = child_by(shell, "refused", &path, &["storage_full"]).status().unwrap();
    assert!(status.success());
    no_leftovers(&path);
}

#[tokio::test]
#[ignore = "needs unshare(1) and the right to mount a file system of its own"]
async fn a_full_disk_is_a_full_storage_and_can_be_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("unshare");
    let script =
        "mount -t tmpfs -o size=2m none \"$0\" && cp -r \"$0/../data\" \"$0/\" && exec \"$@\"";
    let mounted = folder.path().join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    prepare(&folder.path().join("data")).await;
    shell.args(["-rm", "sh", "-c", script]).arg(&mounted);
    shell.arg(std::env::current_exe().unwrap());
    let path = mounted.join("data");
    let status = child_by(shell, "refused", &path, &["storage_full"]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_folder_that_may_only_be_read_can_be_read_and_the_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    prepare(&path).await;
    let open_to_all = |mode: &str| {
        let status = Command::new("chmod").args(["-R", mode]).arg(folder.path()).status();
        assert!(status.unwrap().success());
    };
    open_to_all("a+rX,a-w");
    // Rights do not bind root, so a child of root becomes somebody else.
    let root = rustix::process::geteuid().is_root();
    let binary = folder.path().join("test");
    let mut command = if root {
        std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        let mut command = Command::new(&binary);
        command.uid(65534).gid(65534).current_dir("/");
        child_by(command, "refused", &path, &["permission_denied"])
    } else {
        child("refused", &path, &["permission_denied"])
    };
    let status = command.status().unwrap();
    open_to_all("u+w");
    assert!(status.success());
}

pub(crate) async fn child_counts_descriptors(path: &str) {
    let descriptors = || std::fs::read_dir("/dev/fd").unwrap().count();
    let provider = FsProvider::open(Config::new(path)).await.unwrap();
    let mut before = 0;
    for n in 0..200 {
        let (name, all) = (key(&format!("a/{}", n % 7)), Prefix::all());
        drop(provider.put(&name, "body".into(), PutIf::Always).await.unwrap());
        drop(provider.put(&name, "body".into(), PutIf::Absent).await.unwrap_err());
        let version = provider.get(&name, Get::range(1..2)).await.unwrap().version;
        drop(provider.put(&name, "more".into(), PutIf::Matches(version)).await.unwrap());
        drop(provider.list(List::new(&all)).await.unwrap());
        provider.delete(&name).await.unwrap();
        drop(provider.get(&name, Get::whole()).await.unwrap_err());
        if n == 0 {
            before = descriptors();
        }
    }
    assert_eq!(descriptors(), before);
}

#[tokio::test]
async fn a_thousand_operations_leave_no_descriptor_open() {
    let place = place().await;
    let mut child = child("descriptors", &place.config.path, &[]);
    assert!(child.stdout(Stdio::null()).status().unwrap().success());
}

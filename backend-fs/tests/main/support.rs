//! What the tests of both binaries share: places to put to, and processes to kill.

use std::path::Path;
use std::process::Command;

use backend_fs::{Config, FsProvider};
use storage_core::{Durability, Key};
use tempfile::TempDir;

/// An open provider on a folder that goes with it.
pub(crate) struct Place {
    pub(crate) provider: FsProvider,
    pub(crate) config: Config,
    pub(crate) _folder: TempDir,
}

pub(crate) async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true);
    let provider = FsProvider::open(config.clone()).await.unwrap();
    Place { provider, config, _folder: folder }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// As `config`, but quick: what a process leaves behind shows without a sync, too.
pub(crate) fn quick(config: &Config) -> Config {
    config.clone().durability(Durability::ProcessCrash)
}

/// A small generator, so that a failure names a seed that brings it back.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % bound
    }
}

const ROLE: &str = "BACKEND_FS_TEST_ROLE";

/// This test binary in another process, playing a role on a folder.
pub(crate) fn child(role: &str, path: &Path, arguments: &[&str]) -> Command {
    child_by(Command::new(std::env::current_exe().unwrap()), role, path, arguments)
}

/// As [`child`], started by a command that runs what follows it.
pub(crate) fn child_by(mut command: Command, role: &str, path: &Path, rest: &[&str]) -> Command {
    command
        .args(["roles::plays_a_role_for_another_test", "--exact", "--ignored", "--nocapture"])
        .env(ROLE, [&[role, path.to_str().unwrap()], rest].concat().join("\n"))
        .env("RUST_BACKTRACE", "0");
    command
}

/// The role that this process plays, if it plays one, and the words with it.
pub(crate) fn role() -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    Some(role.lines().map(str::to_owned).collect())
}

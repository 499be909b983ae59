//! Where the clients are.

use std::ffi::OsString;
use std::path::PathBuf;

/// What a client is run as, or why it cannot be.
pub(crate) type Program = Result<PathBuf, String>;

/// What `cargo xtask test` says of a client: where it is, or why it is not installed.
pub(crate) fn find(variable: &str) -> Program {
    let name = format!("CLOUDBANK_TEST_CLIENT_{variable}");
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let missing = given(&format!("{name}_MISSING"));
    match (given(&name), missing) {
        (Some(path), _) => Ok(path.into()),
        (None, Some(why)) => Err(why.to_string_lossy().into_owned()),
        (None, None) => Err(format!("set {name}, or run cargo xtask test")),
    }
}

/// The search path with the folder behind it where what mounts is, for whoever needs that.
pub(crate) fn search_path() -> OsString {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    folders.extend(find("S3FS").ok().and_then(|program| program.parent().map(PathBuf::from)));
    std::env::join_paths(folders).unwrap_or_default()
}

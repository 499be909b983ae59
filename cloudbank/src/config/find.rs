//! Where the configuration is, when nobody says.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::reference::Variables;
use super::source::Source;

/// The file looked for in the current folder.
pub(crate) const FILE_NAME: &str = "cloudbank.toml";

/// What is used when there is no file.
pub(crate) const BUILT_IN: &str = r#"# Used while there is no cloudbank.toml; `cloudbank config init` writes one.
[providers.local]
type = "fs"
path = "data"
create = true
"#;

/// Finds the configuration and reads it: the file that was asked for, else `$CLOUDBANK_CONFIG`, else
/// `./cloudbank.toml`, else `cloudbank/cloudbank.toml` in the user's configuration folder, else the
/// built-in one.
///
/// # Errors
///
/// What is wrong with the file and what to do, when one that was asked for cannot be read, or one that is
/// there.
pub(crate) fn find(asked_for: Option<&Path>, variables: &Variables) -> Result<Source, String> {
    if let Some(path) = asked_for {
        return read(path).map_err(|error| explain(path, &error, "--config"));
    }
    if let Some(path) = variables("CLOUDBANK_CONFIG").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return read(&path).map_err(|error| explain(&path, &error, "CLOUDBANK_CONFIG"));
    }
    for path in candidates(variables) {
        match read(&path) {
            Ok(source) => return Ok(source),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(explain(&path, &error, "the search for a configuration")),
        }
    }
    Ok(Source::built_in(BUILT_IN))
}

/// The files tried in turn when none is asked for.
fn candidates(variables: &Variables) -> Vec<PathBuf> {
    let variable =
        |name: &str| variables(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("APPDATA"))
        .or_else(|| variable("HOME").map(|home| home.join(".config")));
    let mut candidates = vec![PathBuf::from(FILE_NAME)];
    candidates.extend(user.map(|folder| folder.join("cloudbank").join(FILE_NAME)));
    candidates
}

fn read(path: &Path) -> std::io::Result<Source> {
    Ok(Source::file(path, std::fs::read_to_string(path)?))
}

fn explain(path: &Path, error: &std::io::Error, origin: &str) -> String {
    let shown = path.display();
    let (what, help) = match error.kind() {
        ErrorKind::NotFound => (
            "does not exist".to_owned(),
            format!("`cloudbank config init --config {shown}` writes one to start from"),
        ),
        ErrorKind::PermissionDenied => (
            "cannot be read: permission denied".into(),
            "let the user who runs cloudbank read it".into(),
        ),
        ErrorKind::IsADirectory => {
            ("is a folder".into(), format!("name the file: {}", path.join(FILE_NAME).display()))
        }
        ErrorKind::InvalidData => ("is not UTF-8 text".into(), "save it as UTF-8".into()),
        _ => (format!("cannot be read: {error}"), "check the path".into()),
    };
    format!("the configuration file {shown} {what}\n  = named by {origin}\n  = {help}")
}

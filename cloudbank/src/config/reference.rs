//! References in values: `${NAME}` is a variable of the environment, `file:PATH` the content of a file.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The most bytes that a file with a secret or a certificate has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Looks up a variable of the environment. Handed in, so that tests need not change their own.
pub type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// Why a reference leads nowhere: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dangling {
    pub(crate) message: String,
    pub(crate) help: String,
}

fn dangling(message: impl Into<String>, help: impl Into<String>) -> Dangling {
    Dangling { message: message.into(), help: help.into() }
}

/// Replaces every `${NAME}`; `$${` stands for `${` itself.
pub(crate) fn expand(text: &str, variables: &Variables) -> Result<String, Dangling> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            return Err(dangling(
                "a `${` without its `}`",
                "write ${NAME} for a variable of the environment, $${ for the characters themselves",
            ));
        };
        expanded.push_str(&variable(&rest[at + 2..at + length], variables)?);
        rest = &rest[at + length + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable(name: &str, variables: &Variables) -> Result<String, Dangling> {
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(dangling(
            format!("`${{{name}}}` does not name a variable of the environment"),
            "names have letters, digits and _, and do not begin with a digit",
        ));
    }
    let value = variables(name).ok_or_else(|| {
        dangling(
            format!("the environment variable {name} is not set"),
            format!("set it: export {name}=..."),
        )
    })?;
    let value = value.into_string().map_err(|_| {
        dangling(format!("the environment variable {name} is not UTF-8"), "give it another value")
    })?;
    if value.is_empty() {
        return Err(dangling(
            format!("the environment variable {name} is empty"),
            format!("give it a value: export {name}=..."),
        ));
    }
    Ok(value)
}

/// Reads the file behind a reference, without the line end after it. Also says whether anyone on this machine
/// can read that file.
pub(crate) fn read_file(path: &Path) -> Result<(String, bool), Dangling> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => dangling(
            format!("the file {shown} does not exist"),
            "put the secret there; a relative path starts at the folder of the configuration file",
        ),
        ErrorKind::PermissionDenied => dangling(
            format!("the file {shown} cannot be read: permission denied"),
            "let the user who runs cloudbank read it",
        ),
        ErrorKind::IsADirectory => {
            dangling(format!("{shown} is a folder"), "name the file in it that holds the secret")
        }
        _ => dangling(format!("the file {shown} cannot be read: {error}"), "check the path"),
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(dangling(
                format!("the file {shown} is not UTF-8 text"),
                "put the secret there as text, alone",
            ));
        }
        result => result.map_err(failed)?,
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(dangling(
            format!("the file {shown} has more than {FILE_BYTES_MAX} bytes"),
            "name a file that holds the secret and nothing else",
        ));
    }
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(dangling(format!("the file {shown} is empty"), "put the secret there"));
    }
    Ok((secret.to_owned(), anyone_can_read(&meta)))
}

#[cfg(unix)]
fn anyone_can_read(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn anyone_can_read(_: &std::fs::Metadata) -> bool {
    false
}

//! The key that objects are encrypted with where clients ask for it: of the configuration, or of a file that is made once.

use std::io::{ErrorKind, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway_s3::EncryptionKey;
use storage_core::Secret;

use crate::error::{Error, Result};

/// The key that was configured, or that of the file, which is made when it is not there; and whether it was made.
///
/// # Errors
///
/// [`Error::Usage`] for a key that is none, [`Error::File`], [`Error::Failed`] without a source of randomness.
pub(crate) fn load(configured: Option<&Secret>, file: &Path) -> Result<(EncryptionKey, bool)> {
    if let Some(secret) = configured {
        return Ok((parse(secret.reveal(), "`encryption_key` of [s3]")?, false));
    }
    let made = make_file(file)?;
    let what = || format!("read the encryption key in {}", file.display());
    let text = std::fs::read_to_string(file).map_err(Error::file(what()))?;
    Ok((parse(&text, &file.display().to_string())?, made))
}

fn parse(text: &str, whose: &str) -> Result<EncryptionKey> {
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(EncryptionKey::new).ok_or_else(|| {
        Error::Usage(format!(
            "{whose} is not 32 bytes in base64\n  = `openssl rand -base64 32` makes such a key"
        ))
    })
}

/// Only the user who runs the server can read it. Of two servers that do this at the same time one makes it.
fn make_file(path: &Path) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Error::Failed(format!("no randomness for an encryption key: {error}")))?;
    let what = || format!("write the encryption key to {}", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Private from the first byte on, and there as a whole or not at all.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::file(what()))?;
    writeln!(file, "{}", STANDARD.encode(key)).map_err(Error::file(what()))?;
    file.as_file().sync_all().map_err(Error::file(what()))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::file(what())(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_a_configured_one_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("encryption.key");
        let configured = Secret::new(STANDARD.encode([7; 32]));
        let (key, made) = load(Some(&configured), &file).unwrap();
        assert!(key == EncryptionKey::new([7; 32]) && !made && !file.exists());
        let (first, made) = load(None, &file).unwrap();
        assert!(made);
        let (again, made) = load(None, &file).unwrap();
        assert!(first == again && !made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        for bad in ["", "short", &STANDARD.encode([7; 31])] {
            assert!(load(Some(&Secret::new(bad)), &file).is_err(), "{bad}");
        }
    }
}

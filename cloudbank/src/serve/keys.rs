//! Access keys: those of the configuration, and those of a file that is read again when it changes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gateway_s3::{Access, AccessKey, Right, User};
use storage_core::Secret;

use crate::config::{KeyEntry, Level, read_keys_file};
use crate::error::{Error, Result};

/// How often the file is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// How many characters a made-up access key has, and its secret: 190 bits of it cannot be guessed.
const ACCESS_KEY_CHARACTERS: usize = 20;
const SECRET_CHARACTERS: usize = 40;
/// What they are made of: nothing that a shell or an address would have to be told about.
const CHARACTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// The user of the made-up key.
const FIRST_USER: &str = "operator";

/// Every access key that is good.
#[derive(Debug)]
pub(crate) struct Keys {
    fixed: Vec<KeyEntry>,
    file: Option<PathBuf>,
    all: RwLock<BTreeMap<String, AccessKey>>,
}

/// A key to be told about: the only one, in a file that was made here.
#[derive(Debug, Clone)]
pub(crate) struct OnlyKey {
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
}

impl Keys {
    /// The keys of the configuration, and of the file unless that is `None`.
    pub(crate) fn load(fixed: Vec<KeyEntry>, file: Option<&Path>) -> Result<Self> {
        let keys = Self { fixed, file: file.map(Into::into), all: RwLock::default() };
        keys.reload()?;
        Ok(keys)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The key, if there is just one.
    pub(crate) fn only(&self) -> Option<OnlyKey> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys = all.iter();
        match (keys.next(), keys.next()) {
            (Some((access_key, key)), None) => Some(OnlyKey {
                access_key: access_key.clone(),
                secret_key: Secret::new(key.secret.clone()),
            }),
            _ => None,
        }
    }

    /// Reads the file again; whether the keys are others than before.
    fn reload(&self) -> Result<bool> {
        let mut entries = self.fixed.clone();
        if let Some(file) = &self.file {
            let (read, problems) = read_keys_file(file, &|name| std::env::var_os(name))?;
            for warning in &problems.list {
                tracing::warn!("{}", warning.message);
            }
            entries.extend(read);
        }
        let mut all = BTreeMap::new();
        for entry in &entries {
            if all.insert(entry.access_key.clone(), meaning(entry)).is_some() {
                return Err(Error::Usage(format!(
                    "the access key `{}` is in the configuration and in {}",
                    entry.access_key,
                    self.file.as_deref().unwrap_or(Path::new("it")).display()
                )));
            }
        }
        let mut current = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let new = *current != all;
        *current = all;
        Ok(new)
    }

    /// Keeps looking at the file. One that is wrong changes nothing.
    pub(crate) async fn watch(self: Arc<Self>) {
        let Some(file) = &self.file else { return };
        let about =
            || std::fs::metadata(file).ok().map(|about| (about.modified().ok(), about.len()));
        let mut before = about();
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            let now = about();
            if now == before {
                continue;
            }
            before = now;
            match self.reload() {
                Ok(true) => tracing::info!(keys = self.count(), "new access keys"),
                Ok(false) => {}
                Err(error) => tracing::warn!("the access keys stay as they were: {error}"),
            }
        }
    }
}

impl Access for Keys {
    fn key(&self, access_key: &str) -> Option<AccessKey> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(access_key).cloned()
    }

    fn user(&self, id_or_email: &str) -> Option<User> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        // Restricted keys are for programs; what is granted is granted to who owns something.
        let mut plain = all.values().filter(|key| key.rights.is_empty());
        let key = plain.find(|key| {
            let by_email = !key.email.is_empty() && key.email == id_or_email;
            key.user == id_or_email || by_email
        })?;
        Some(User { id: key.user.clone(), display_name: key.display_name.clone() })
    }
}

fn meaning(entry: &KeyEntry) -> AccessKey {
    let mut key = AccessKey::new(entry.secret_key.reveal(), entry.user.as_str());
    if let Some(name) = &entry.display_name {
        key.display_name.clone_from(name);
    }
    if let Some(email) = &entry.email {
        key.email.clone_from(email);
    }
    let rights = entry.rights.iter().map(|(buckets, level)| {
        let level = match level {
            Level::Read => gateway_s3::Level::Read,
            Level::Write => gateway_s3::Level::Write,
            Level::Admin => gateway_s3::Level::Admin,
        };
        Right::new(buckets.as_str(), level)
    });
    key.rights = rights.collect();
    key
}

/// Makes a file with one key that nobody knows, unless there is a file; whether it was made.
///
/// Only the user who runs the server can read it. Of two servers that do this at the same time one makes it.
///
/// # Errors
///
/// [`Error::File`], [`Error::Failed`] without a source of randomness.
pub(crate) fn make_file(path: &Path) -> Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let (access_key, secret_key) = (random(ACCESS_KEY_CHARACTERS)?, random(SECRET_CHARACTERS)?);
    let text = format!(
        "# Made by `cloudbank serve`, for whoever may use it. More keys: more of these tables. Changes count at once.\n\
         # What a key may be used for can be narrowed: read = [\"logs-*\"], write = [\"inbox\"], admin = [\"*\"].\n\n\
         [[keys]]\naccess_key = \"{access_key}\"\nsecret_key = \"{secret_key}\"\nuser = \"{FIRST_USER}\"\n"
    );
    let what = || format!("write the access keys to {}", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Private from the first byte on, and there as a whole or not at all.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::file(what()))?;
    file.write_all(text.as_bytes()).map_err(Error::file(what()))?;
    file.as_file().sync_all().map_err(Error::file(what()))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::file(what())(error.error)),
    }
}

fn random(characters: usize) -> Result<String> {
    let mut bytes = vec![0; characters];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Failed(format!("no randomness for an access key: {error}")))?;
    let characters = bytes.iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 32)]));
    Ok(characters.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        assert!(make_file(&path).unwrap());
        let first = Keys::load(Vec::new(), Some(&path)).unwrap().only().unwrap();
        assert!(!make_file(&path).unwrap());
        let second = Keys::load(Vec::new(), Some(&path)).unwrap().only().unwrap();
        assert_eq!(first.access_key, second.access_key);
        assert_eq!(first.secret_key.reveal(), second.secret_key.reveal());
        assert_eq!((first.access_key.len(), first.secret_key.reveal().len()), (20, 40));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn keys_come_and_go_with_the_file_and_a_wrong_file_changes_nothing() {
        let table =
            |name: &str| format!("[[keys]]\naccess_key = \"{name}\"\nsecret_key = \"12345678\"\n");
        let (_folder, path) = written(&table("one"));
        let keys = Keys::load(Vec::new(), Some(&path)).unwrap();
        assert!(keys.key("one").is_some() && keys.key("two").is_none());
        std::fs::write(&path, table("one") + &table("two")).unwrap();
        assert!(keys.reload().unwrap());
        assert!(keys.key("two").is_some());
        for wrong in [table("one") + &table("one"), table("three") + "x = ", "kys = 1".into()] {
            std::fs::write(&path, wrong).unwrap();
            assert!(keys.reload().is_err());
            assert!(keys.key("two").is_some() && keys.key("three").is_none());
        }
        std::fs::write(&path, table("two")).unwrap();
        assert!(keys.reload().unwrap());
        assert!(keys.key("one").is_none());
    }

    #[test]
    fn rights_are_those_that_are_written() {
        let (_folder, path) = written(
            "[[keys]]\naccess_key = \"one\"\nsecret_key = \"12345678\"\nuser = \"ann\"\n\
             read = \"logs-*\"\nwrite = [\"a\", \"b\"]\n",
        );
        let key = Keys::load(Vec::new(), Some(&path)).unwrap().key("one").unwrap();
        assert_eq!((key.user.as_str(), key.rights.len()), ("ann", 3));
        assert_eq!(key.rights[0], Right::new("logs-*", gateway_s3::Level::Read));
        assert_eq!(key.rights[2], Right::new("b", gateway_s3::Level::Write));
    }
}

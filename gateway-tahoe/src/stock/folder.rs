//! The folder of a stock server: which containers there are, and where one belongs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::StorageIndex;
use crate::error::{Error, Result};

/// The folder of uploads that were never finished.
const INCOMING: &str = "incoming";

/// What the name of a file ends with while it is written. The stock server takes only digits for a share.
pub(super) const UNFINISHED: &str = ".unfinished";

/// The storage folder of a stock server: the one with `shares` in it.
#[derive(Debug, Clone)]
pub struct StockFolder {
    shares: PathBuf,
}

/// The containers of one storage index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The storage index.
    pub index: StorageIndex,
    /// The files, by the number of the share.
    pub files: BTreeMap<u64, PathBuf>,
}

impl StockFolder {
    /// The folder at this path: `storage`, the node's folder above it, or `shares` itself.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when there is no such folder in it.
    pub fn open(path: &Path) -> Result<Self> {
        let places = [path.join("shares"), path.join("storage/shares"), path.to_path_buf()];
        let named = path.file_name().is_some_and(|name| name == "shares");
        let found = places.into_iter().take(if named { 3 } else { 2 }).find(|place| place.is_dir());
        let missing = || {
            let why = "there is no folder `shares` in it, as the storage folder of a Tahoe-LAFS server has";
            Error::file(path)(std::io::Error::new(std::io::ErrorKind::NotFound, why))
        };
        Ok(Self { shares: found.ok_or_else(missing)? })
    }

    /// A folder that is to have shares, made if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn create(path: &Path) -> Result<Self> {
        let shares = path.join("shares");
        fs::create_dir_all(&shares).map_err(Error::file(&shares))?;
        Ok(Self { shares })
    }

    /// Where the container of a share belongs.
    #[must_use]
    pub fn place(&self, index: StorageIndex, number: u64) -> PathBuf {
        let name = index.to_string();
        self.shares.join(&name[..2]).join(name).join(number.to_string())
    }

    /// All that is there, in the order of names. What cannot be read is in its place in the order.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when the folder itself cannot be read.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<Entry>> + Send + use<>> {
        let prefixes = names(&self.shares)?;
        Ok(prefixes.into_iter().filter(|(name, _)| name != INCOMING).flat_map(
            |(prefix, folder)| {
                let inner = match names(&folder) {
                    Ok(inner) => inner,
                    Err(error) => return vec![Err(error)],
                };
                inner.into_iter().map(|(name, folder)| entry(&prefix, &name, &folder)).collect()
            },
        ))
    }
}

fn entry(prefix: &str, name: &str, folder: &Path) -> Result<Entry> {
    let index = StorageIndex::parse(name).filter(|_| name.starts_with(prefix) && prefix.len() == 2);
    let index = index.ok_or_else(|| unexpected(folder, "it is not named as a storage index is"))?;
    let mut files = BTreeMap::new();
    for (name, path) in names(folder)? {
        // Left by an export that was interrupted.
        if name.ends_with(UNFINISHED) {
            continue;
        }
        let number = name.parse::<u64>().ok().filter(|number| number.to_string() == name);
        let number = number.ok_or_else(|| unexpected(&path, "it is not named as a share is"))?;
        files.insert(number, path);
    }
    Ok(Entry { index, files })
}

fn unexpected(path: &Path, why: &str) -> Error {
    Error::file(path)(std::io::Error::new(std::io::ErrorKind::InvalidData, why))
}

/// What is in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let read = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        names.sort();
        Ok(names)
    };
    read().map_err(Error::file(folder))
}

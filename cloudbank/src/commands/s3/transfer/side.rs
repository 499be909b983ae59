//! What is in a folder, or below a prefix, in the order of its names.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::Options;
use super::work::{End, Known};
use crate::commands::s3::failed;
use crate::commands::s3::filter::Pattern;
use crate::commands::s3::place::S3Place;
use crate::commands::walk::{self, Links};
use crate::error::{Error, Result};
use crate::s3::client::Client;
use crate::s3::list::{Entry, Lister, Listing, Object};
use crate::s3::object::Name;

/// So many names are known ahead.
const NAMES_AHEAD: usize = 1000;

/// One of many.
#[derive(Debug)]
pub(super) enum Item {
    Found(Found),
    LeftOut { what: String, why: &'static str },
    Failed(Error),
}

/// A file or an object, with its name below the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) end: End,
    pub(super) known: Known,
}

impl Found {
    /// Whether it only stands for a folder that is shown somewhere.
    pub(super) fn is_folder(&self) -> bool {
        self.known.size == 0 && self.name.ends_with('/')
    }
}

/// A folder that is being listed.
pub(super) enum Side {
    Files(mpsc::Receiver<walk::Found>),
    Objects(Box<Objects>),
}

pub(super) struct Objects {
    lister: Lister,
    /// As it was typed.
    shown: String,
    /// The bucket, as of when it is meant.
    bucket: String,
    folder: String,
    pattern: Option<Pattern>,
    entries: VecDeque<Object>,
}

impl Side {
    /// The files of a folder.
    pub(super) fn files(folder: &Path, follow_links: bool) -> Self {
        let (sender, receiver) = mpsc::channel(NAMES_AHEAD);
        let links = if follow_links { Links::Follow } else { Links::LeaveOut };
        let folder = folder.to_path_buf();
        // It ends when nobody listens any more.
        tokio::task::spawn_blocking(move || walk::walk(&folder, links, &sender));
        Self::Files(receiver)
    }

    /// The objects that a pattern stands for, or all in a folder.
    pub(super) fn objects(
        client: &Client,
        place: &S3Place,
        bucket: &str,
        pattern: Option<Pattern>,
    ) -> Self {
        let folder = match &pattern {
            Some(pattern) => pattern.folder.clone(),
            None => place.key.clone(),
        };
        let prefix = pattern.as_ref().map_or(&folder, |pattern| &pattern.prefix).clone();
        let listing = Listing { bucket: bucket.to_owned(), prefix, ..Listing::default() };
        Self::Objects(Box::new(Objects {
            lister: client.list(listing),
            shown: place.shown(),
            bucket: bucket.to_owned(),
            folder,
            pattern,
            entries: VecDeque::new(),
        }))
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the listing fails: of what would have come nothing is known.
    pub(super) async fn next(&mut self, options: &Options) -> Result<Option<Item>> {
        loop {
            let item = match self {
                Self::Files(receiver) => match receiver.recv().await {
                    None => return Ok(None),
                    Some(found) => file(found),
                },
                Self::Objects(objects) => match objects.next().await? {
                    None => return Ok(None),
                    Some(found) => Item::Found(found),
                },
            };
            match item {
                Item::Found(found) if !options.filter.takes(&found.name) => {}
                item => return Ok(Some(item)),
            }
        }
    }
}

impl Objects {
    async fn next(&mut self) -> Result<Option<Found>> {
        loop {
            while let Some(object) = self.entries.pop_front() {
                if self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&object.key)) {
                    return Ok(Some(self.found(object)));
                }
            }
            let page = self.lister.page().await.map_err(failed(format!("list {}", self.shown)))?;
            let Some(entries) = page else { return Ok(None) };
            self.entries.extend(entries.into_iter().filter_map(|entry| match entry {
                Entry::Object(object) => Some(object),
                Entry::Folder(_) => None,
            }));
        }
    }

    fn found(&self, object: Object) -> Found {
        Found {
            name: object.key[self.folder.len()..].to_owned(),
            end: End::Object(Name::new(&self.bucket, &object.key)),
            known: Known {
                size: object.size,
                etag: object.etag,
                modified: DateTime::parse_from_rfc3339(&object.last_modified)
                    .ok()
                    .map(|time| time.to_utc()),
            },
        }
    }
}

fn file(found: walk::Found) -> Item {
    let shown = |path: &Path| crate::commands::shown_line(&path.to_string_lossy());
    match found {
        walk::Found::File { path, name, size, modified } => match String::from_utf8(name) {
            Ok(name) => {
                Item::Found(Found { name, known: of_file(size, modified), end: End::File(path) })
            }
            Err(_) => Item::Failed(Error::Failed(format!(
                "{}: its name is not UTF-8, as that of an object is",
                shown(&path)
            ))),
        },
        walk::Found::LeftOut { path, why } => Item::LeftOut { what: shown(&path), why },
        walk::Found::Failed { path, error } => {
            Item::Failed(Error::File { what: format!("read {}", shown(&path)), error })
        }
    }
}

/// What is known of a file.
pub(super) fn of_file(size: u64, modified: Option<std::time::SystemTime>) -> Known {
    Known { size, etag: String::new(), modified: modified.map(DateTime::<Utc>::from) }
}

/// A folder that must be there.
///
/// # Errors
///
/// [`Error::NotFound`], and [`Error::Usage`] for what is no folder.
pub(super) fn check_folder(folder: &PathBuf) -> Result<()> {
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => {
            Err(Error::Usage(format!("{shown} is a file\n  = `cloudbank s3 cp` copies files")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NotFound(format!("there is no folder {shown}")))
        }
        Err(error) => Err(Error::file(format!("read {shown}"))(error)),
    }
}

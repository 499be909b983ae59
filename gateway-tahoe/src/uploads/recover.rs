//! Uploads of a server that has ended, taken up again: what its journal tells.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::Uploads;
use super::journal::Entry;
use super::upload::Upload;
use crate::error::{Error, Result};

impl Uploads {
    /// Takes up what the journal tells.
    pub(super) fn recover(&self, entries: Vec<Entry>) -> Result<()> {
        let mut found: HashMap<u64, Upload> = HashMap::new();
        let mut next = 0;
        for entry in entries {
            next = next.max(entry.id() + 1);
            match entry {
                Entry::Begun { id, place, size, secret, lease, deadline } => {
                    let upload = Upload::new(id, place, size, secret, lease, deadline);
                    upload.written().left = true;
                    found.insert(id, upload);
                }
                Entry::Wrote { id, begin, end, deadline } => {
                    if let Some(upload) = found.get(&id) {
                        let mut written = upload.written();
                        written.ranges.insert(begin..end.min(upload.size));
                        written.deadline = deadline;
                    }
                }
                Entry::Over { id } => {
                    found.remove(&id);
                }
            }
        }
        let mut kept = Vec::new();
        let mut open = self.opened();
        open.next = next;
        for upload in found.into_values() {
            kept.push(upload.entry());
            kept.extend(upload.wrote());
            open.bytes = open.bytes.saturating_add(upload.size);
            open.uploads.insert(upload.place, Arc::new(upload));
        }
        self.inner.journal.replace(&kept)?;
        let named: BTreeSet<_> = open.uploads.values().map(|upload| self.path(upload.id)).collect();
        drop(open);
        // What is left of uploads that were over when the server ended.
        let listed =
            std::fs::read_dir(&self.inner.folder).map_err(Error::file(&self.inner.folder))?;
        for entry in listed {
            let path = entry.map_err(Error::file(&self.inner.folder))?.path();
            if is_of_an_upload(&path) && !named.contains(&path) {
                std::fs::remove_file(&path).map_err(Error::file(&path))?;
            }
        }
        Ok(())
    }
}

fn is_of_an_upload(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

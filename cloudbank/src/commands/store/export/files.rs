//! Values that become files of a folder.

use std::path::Path;

use storage_txn::ValueStream;

use crate::commands::folder::{Folder, look};
use crate::commands::store::open::OpenStore;
use crate::commands::store::source::Source;
use crate::commands::target::Target;
use crate::error::{Error, Result};

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// It was written, or would be.
    Written { replaced: bool },
    /// The same bytes are there.
    Same,
    /// Other bytes are there, and stay.
    Differs,
    /// It cannot be a file of this folder, and this is why.
    Refused(String),
}

/// A folder that is exported to.
#[derive(Debug)]
pub(super) struct Files {
    folder: Folder,
    overwrite: bool,
    dry_run: bool,
}

impl Files {
    pub(super) fn open(root: &Path, overwrite: bool, dry_run: bool) -> Result<Self> {
        Ok(Self { folder: Folder::open(root, dry_run)?, overwrite, dry_run })
    }

    /// Gives the file `name`, with `/` between the folders, the bytes of a value, which is read once or, to be
    /// compared first, twice.
    pub(super) async fn write(
        &mut self,
        name: &[u8],
        size: u64,
        value: &impl AsyncFn() -> Result<ValueStream>,
        opened: &OpenStore,
    ) -> Result<Done> {
        let path = match self.folder.place(name)? {
            Ok(path) => path,
            Err(why) => return Ok(Done::Refused(why)),
        };
        let failed = || Error::file(format!("write {}", path.display()));
        let replaced = match look(&path).map_err(failed())? {
            None => false,
            Some(meta) => {
                let same = meta.len() == size
                    && opened.is_same(&mut value().await?, Source::file(&path).await?).await?;
                match (same, self.overwrite) {
                    (true, _) => return Ok(Done::Same),
                    (false, false) => return Ok(Done::Differs),
                    (false, true) => true,
                }
            }
        };
        if !self.dry_run {
            let mut value = value().await?;
            let mut target = Target::open(&path).map_err(failed())?;
            while let Some(piece) = value.next().await.map_err(opened.explain())? {
                target.write(&piece).map_err(failed())?;
            }
            target.finish().map_err(failed())?;
        }
        Ok(Done::Written { replaced })
    }
}

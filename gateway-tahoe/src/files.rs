//! Files in the folder of the server, on threads that may wait.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};

/// So many bytes of a file from a place on.
pub(crate) async fn read_at(path: &Arc<PathBuf>, at: u64, bytes: usize) -> Result<Bytes> {
    let name = path.clone();
    let read = blocking(move || {
        let file = std::fs::File::open(&*name)?;
        let mut buffer = vec![0; bytes];
        read_exact_at(&file, &mut buffer, at)?;
        Ok(Bytes::from(buffer))
    });
    read.await.map_err(Error::file(path.as_path()))
}

/// Writes bytes to a file from a place on.
pub(crate) async fn write_at(path: &Path, at: u64, pieces: Vec<Bytes>) -> Result<()> {
    let name = path.to_owned();
    let write = blocking(move || {
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&name)?;
        write_all_at(&file, &pieces, at)
    });
    write.await.map_err(Error::file(path))
}

/// Locks a file, and makes it if it is not there. The system lets go of the lock when the process ends, however it does.
///
/// # Errors
///
/// [`Error::InUse`] with the folder when somebody else has locked it; [`Error::File`].
pub(crate) fn lock(path: &Path) -> Result<std::fs::File> {
    use std::fs::TryLockError;
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(Error::file(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::InUse(path.parent().unwrap_or(path).to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(Error::file(path)(error)),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = folder.join(name);
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    match written.and_then(|()| std::fs::rename(&temporary, path)) {
        Ok(()) => std::fs::File::open(folder)?.sync_all(),
        Err(error) => {
            let _ = std::fs::remove_file(&temporary);
            Err(error)
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(unix)]
fn read_exact_at(file: &std::fs::File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &std::fs::File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(buffer)
}

/// As much as one call to write may have: of a longer one a file system may take pages of 2 MiB, and a virtual machine
/// that gives memory back to its host waits for each (as in `backend-fs`).
const CALL_BYTES: usize = 256 << 10;

/// Writes pieces one after the other, as many in one call as are well taken at once.
fn write_all_at(mut file: &std::fs::File, pieces: &[Bytes], at: u64) -> io::Result<()> {
    use std::io::{IoSlice, Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(at))?;
    let parts = pieces.iter().flat_map(|piece| piece.chunks(CALL_BYTES));
    let mut slices: Vec<_> = parts.map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|slice| {
            bytes += slice.len();
            bytes <= CALL_BYTES
        });
        let fits = fits.count();
        match file.write_vectored(&rest[..fits]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces that are empty, that end where a call does, and that are longer than a call.
    #[test]
    fn pieces_of_any_length_are_written_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pieces");
        let lengths =
            [0, 1, CALL_BYTES - 1, 0, CALL_BYTES, 3, 3 * CALL_BYTES + 7, 100_000, 200_000, 0];
        let pieces = lengths.iter().enumerate();
        let pieces: Vec<_> = pieces.map(|(n, bytes)| Bytes::from(vec![n as u8; *bytes])).collect();
        let file = std::fs::File::create(&path).unwrap();
        write_all_at(&file, &pieces, 5).unwrap();
        let read = std::fs::read(&path).unwrap();
        assert_eq!(read[..5], [0; 5]);
        assert!(read[5..] == pieces.concat());
    }
}

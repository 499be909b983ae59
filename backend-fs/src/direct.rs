//! Large bodies that are synced anyway, written past the page cache.
//!
//! What has to be on the disk before a put is answered gains nothing by being copied into the page cache first: on ext4
//! that takes two to five times the processor's time, and twice as long. Where the system or its file system cannot do
//! it, all of a body goes the usual way; and so does what is left of it after the last whole block.

use std::fs::File;
use std::io::{self, Write};

use rustix::io::Errno;

use crate::object::{HEADER_BYTES, Header};
use crate::pool::Pool;

/// Bodies of fewer bytes are as well off in the page cache.
const BYTES_MIN: usize = 512 << 10;
/// What is written, where it goes and where it comes from begin at a multiple of this. Of disks that want more than that, the
/// system refuses it.
const BLOCK_BYTES: usize = 4 << 10;
/// How much is written at once, and copied for it.
const CHUNK_BYTES: usize = 2 << 20;

/// Writes as much of header and body as can be written so, and says how many bytes that were: perhaps none.
pub(crate) fn write(
    pool: &Pool,
    file: &mut File,
    header: &Header,
    body: &[u8],
) -> io::Result<usize> {
    if body.len() < BYTES_MIN || past_the_cache(file, true).is_err() {
        return Ok(0);
    }
    let written = write_blocks(pool, file, &header.encode(), body);
    // What else is written has no whole blocks.
    past_the_cache(file, false)?;
    written
}

#[cfg(target_os = "linux")]
fn past_the_cache(file: &File, yes: bool) -> rustix::io::Result<()> {
    use rustix::fs::OFlags;
    rustix::fs::fcntl_setfl(file, if yes { OFlags::DIRECT } else { OFlags::empty() })
}

#[cfg(not(target_os = "linux"))]
fn past_the_cache(_: &File, _: bool) -> rustix::io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

fn write_blocks(
    pool: &Pool,
    file: &mut impl Write,
    header: &[u8; HEADER_BYTES],
    mut body: &[u8],
) -> io::Result<usize> {
    let whole = (HEADER_BYTES + body.len()) / BLOCK_BYTES * BLOCK_BYTES;
    let Some(mut buffer) = pool.take(CHUNK_BYTES + BLOCK_BYTES) else { return Ok(0) };
    let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
    buffer.resize(start, 0);
    buffer.extend_from_slice(header);
    let mut written = 0;
    while written < whole {
        // There is room for it, so that the buffer stays where it is.
        let room = (whole - written).min(CHUNK_BYTES) - (buffer.len() - start);
        let (now, later) = body.split_at(room);
        buffer.extend_from_slice(now);
        let bytes = buffer.len() - start;
        let done = loop {
            match file.write(&buffer[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if refused(&error) => break 0,
                done => break done?,
            }
        };
        written += done;
        if done < bytes {
            // What comes next may begin within a block.
            break;
        }
        buffer.truncate(start);
        body = later;
    }
    drop(pool.share(buffer));
    Ok(written)
}

/// Whether it is this way of writing that is refused.
fn refused(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::OPNOTSUPP];
    refusals.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use storage_core::Key;

    use super::*;
    use crate::object;

    fn header(body: &[u8]) -> Header {
        Header::new(&Key::new("a").unwrap(), body).unwrap()
    }

    #[test]
    fn a_body_of_any_size_is_written_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::default();
        let edges = [BYTES_MIN, BYTES_MIN + BLOCK_BYTES, CHUNK_BYTES, 2 * CHUNK_BYTES];
        for edge in edges {
            for bytes in [edge - HEADER_BYTES - 1, edge - HEADER_BYTES, edge - 1, edge, edge + 1] {
                let body: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
                let header = header(&body);
                let path = folder.path().join(format!("{bytes}"));
                let mut file = File::create(&path).unwrap();
                let written = write(&pool, &mut file, &header, &body).unwrap();
                object::write(&mut file, &header, &body, written).unwrap();
                let mut found = Vec::new();
                File::open(&path).unwrap().read_to_end(&mut found).unwrap();
                assert_eq!(found[..HEADER_BYTES], header.encode(), "{bytes}");
                assert!(found[HEADER_BYTES..] == body, "{bytes}, of which {written} at once");
                assert!(written.is_multiple_of(BLOCK_BYTES), "{bytes}");
            }
        }
    }

    /// Takes so many bytes, and then fails so.
    struct Limited(Vec<u8>, usize, Errno);

    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(self.2.into());
            }
            let taken = room.min(bytes.len());
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_refused_is_left_to_the_usual_way_and_what_fails_fails() {
        let pool = Pool::default();
        let body = vec![7; 3 * CHUNK_BYTES];
        let cases = [
            (0, Errno::INVAL, Some(0)),
            (0, Errno::OPNOTSUPP, Some(0)),
            (0, Errno::NOSPC, None),
            (CHUNK_BYTES, Errno::INVAL, Some(CHUNK_BYTES)),
            (CHUNK_BYTES, Errno::NOSPC, None),
            // No whole block of the second one: it is gone on with where it ended.
            (CHUNK_BYTES + 512, Errno::NOSPC, Some(CHUNK_BYTES + 512)),
        ];
        for (room, errno, expected) in cases {
            let header = header(&body).encode();
            let mut file = Limited(Vec::new(), room, errno);
            let written = write_blocks(&pool, &mut file, &header, &body).ok();
            assert_eq!(written, expected, "{room} {errno}");
            let all = [&header[..], &body].concat();
            assert!(file.0 == all[..room]);
        }
    }
}

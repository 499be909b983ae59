//! `provider get`: an object becomes a file, or flows to standard output.

use std::ops::Range;
use std::path::PathBuf;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::json;
use storage_core::{ByteRange, Key, Object, Operation, StorageProvider, Version};

use super::Place;
use crate::commands::target::{Target, check_target};
use crate::config::human_size;
use crate::error::{Error, Result};
use crate::run::Context;

/// Up to so many bytes are fetched in one piece, which a provider may check as a whole.
const ONE_PIECE_BYTES_MAX: u64 = 16 << 20;
/// Larger objects pass through memory in pieces of so many bytes ...
const PIECE_BYTES: u64 = 8 << 20;
/// ... of which so many are under way at a time.
const PIECES_AHEAD_MAX: usize = 4;
const BAR: &str = "{bytes} of {total_bytes} [{bar:30}] {binary_bytes_per_sec}, {eta} left";

pub(super) struct Get {
    pub(super) key: Key,
    pub(super) file: PathBuf,
    pub(super) range: Option<ByteRange>,
    pub(super) if_match: Option<String>,
    pub(super) if_changed: Option<String>,
}

impl Get {
    pub(super) async fn run(self, context: &Context, place: &Place) -> Result<()> {
        let to_output = self.file.as_os_str() == "-";
        if !to_output {
            check_target(&self.file)?;
        }
        let provider = place.open_to_read().await?;
        let request = storage_core::Get {
            range: None,
            if_match: self.if_match.map(Version::new),
            if_changed: self.if_changed.map(Version::new),
            meta_only: true,
        };
        let found = provider.get(&self.key, request.clone()).await.map_err(place.explain())?;
        let range = match self.range {
            Some(range) => range
                .within(found.size)
                .map_err(|error| error.during(Operation::Get, &self.key))
                .map_err(place.explain())?,
            None => 0..found.size,
        };
        let length = range.end - range.start;
        let failed = || Error::file(format!("write {}", self.file.display()));
        let mut target = match to_output {
            true => None,
            false => Some(Target::open(&self.file).map_err(failed())?),
        };
        let bar = context.output.progress(Some(length), BAR);
        let mut pieces = std::pin::pin!(pieces(&*provider, &self.key, request, range, &found));
        while let Some(piece) = pieces.try_next().await.map_err(place.explain())? {
            match &mut target {
                // The bytes are the result, also with --json.
                None => context.output.bytes(&piece.body)?,
                Some(target) => target.write(&piece.body).map_err(failed())?,
            }
            bar.inc(piece.body.len() as u64);
        }
        bar.finish_and_clear();
        let Some(target) = target else { return Ok(()) };
        target.finish().map_err(failed())?;
        let (shown, version) = (self.file.display(), found.version);
        context.output.done(
            format_args!(
                "got {}: {} into {shown}, version {version}",
                self.key,
                human_size(length)
            ),
            &json!({
                "key": self.key.as_str(),
                "file": shown.to_string(),
                "bytes": length,
                "size": found.size,
                "version": version.as_str(),
            }),
        )
    }
}

/// The bytes of `range`, in order: in one piece if there are few, else in pieces of the version found,
/// some fetched ahead.
fn pieces<'a>(
    provider: &'a dyn StorageProvider,
    key: &'a Key,
    request: storage_core::Get,
    range: Range<u64>,
    found: &Object,
) -> impl Stream<Item = storage_core::Result<Object>> + 'a {
    let whole = range == (0..found.size);
    let version = found.version.clone();
    let piece_bytes = if range.end - range.start <= ONE_PIECE_BYTES_MAX {
        ONE_PIECE_BYTES_MAX
    } else {
        PIECE_BYTES
    };
    // An empty object is a piece too.
    let last = range.end.max(range.start + 1);
    let starts = (range.start..last).step_by(piece_bytes as usize);
    stream::iter(starts)
        .map(move |start| {
            let end = range.end.min(start + piece_bytes);
            let mut request = storage_core::Get { meta_only: false, ..request.clone() };
            if !(whole && start == 0 && end == range.end) {
                request.range = Some(ByteRange::from(start..end));
            }
            request.if_match = Some(version.clone());
            provider.get(key, request)
        })
        .buffered(PIECES_AHEAD_MAX)
}

/// `A-B`, both ends included, or `A-` (RFC 9110 §14.1.1).
pub(crate) fn parse_range(text: &str) -> Result<ByteRange> {
    let wrong = |why: &str| {
        Error::Usage(format!(
            "`{}` is not a range: {why}\n  = expected A-B, both included and counted from 0, or A-",
            text.escape_debug()
        ))
    };
    let (first, last) = text.split_once('-').ok_or_else(|| wrong("it has no `-`"))?;
    if first.is_empty() {
        return Err(wrong("it does not say where to begin"));
    }
    let start: u64 = first.parse().map_err(|_| wrong("it begins with no number"))?;
    if last.is_empty() {
        return Ok(ByteRange { start, end: None });
    }
    let last: u64 = last.parse().map_err(|_| wrong("it ends with no number"))?;
    if last < start {
        return Err(wrong("it ends before it begins"));
    }
    Ok(ByteRange { start, end: Some(last.saturating_add(1)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        let check = |text: &str, expected: Option<ByteRange>| {
            assert_eq!(parse_range(text).ok(), expected, "{text}");
        };
        check("0-0", Some(ByteRange::from(0..1)));
        check("0-99", Some(ByteRange::from(0..100)));
        check("100-", Some(ByteRange::from(100..)));
        check("0-18446744073709551615", Some(ByteRange::from(0..u64::MAX)));
        check("-5", None);
        check("5", None);
        check("5-4", None);
        check("a-b", None);
        check("", None);
        check("1-2-3", None);
    }
}

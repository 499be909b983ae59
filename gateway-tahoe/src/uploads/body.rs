//! The bytes of a write, some at a time.

use std::pin::Pin;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::error::{Error, Refusal, Result};

/// How many bytes of a body are taken at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;
/// So many parts in a row that have less than this on average are copied together: what keeps hold of a part must not weigh
/// more than the part.
const PARTS: usize = 256;
const PART_BYTES_MIN: usize = 4 << 10;

/// The first bytes of a body, as many as are wanted, some at a time.
pub(super) struct Pieces<B> {
    body: Pin<Box<B>>,
    wanted: u64,
    left: Bytes,
}

impl<B> Pieces<B>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, wanted: u64) -> Self {
        Self { body: Box::pin(body), wanted, left: Bytes::new() }
    }

    /// The next ones: so many as are taken at once, or all that are still wanted.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>> {
        let mut want = self.wanted.min(PIECE_BYTES as u64) as usize;
        self.wanted -= want as u64;
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut looked_at = 0;
        while want > 0 {
            if self.left.is_empty() {
                match self.body.frame().await {
                    Some(Ok(frame)) => self.left = frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => return Err(Error::Body(error.to_string())),
                    None => {
                        let why = "the body has fewer bytes than its range".to_owned();
                        return Err(Refusal::Invalid(why).into());
                    }
                }
                continue;
            }
            let piece = self.left.split_to(want.min(self.left.len()));
            want -= piece.len();
            pieces.push(piece);
            if pieces.len() - looked_at >= PARTS {
                let bytes: usize = pieces[looked_at..].iter().map(Bytes::len).sum();
                if bytes < PARTS * PART_BYTES_MIN {
                    let small = pieces.split_off(looked_at);
                    pieces.push(joined(small));
                }
                looked_at = pieces.len();
            }
        }
        Ok(pieces)
    }

    /// That all was taken.
    pub(super) fn finish(&self) -> Result<()> {
        match self.wanted {
            0 => Ok(()),
            wanted => Err(Error::Body(format!("{wanted} bytes were not taken"))),
        }
    }
}

/// All of them in one.
pub(super) fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    }
}

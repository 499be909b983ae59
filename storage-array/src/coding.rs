//! Cutting objects into pieces, and making objects of pieces.

use bytes::{Bytes, BytesMut};
use reed_solomon_erasure::galois_8::ReedSolomon;
use storage_core::{Error, ErrorKind, Result};

use crate::cell::Shape;

/// Reed-Solomon over GF(2^8) with the polynomial 0x11d: a Vandermonde matrix with rows of powers of 0, 1, 2, ..
/// normalised so that the first pieces are the object itself, in a row.
#[derive(Debug)]
pub(crate) struct Coding {
    shape: Shape,
    /// `None` where a piece is the whole object, or nothing is added to it.
    code: Option<ReedSolomon>,
}

impl Coding {
    pub(crate) fn new(shape: Shape) -> Result<Self> {
        let (data, total) = (usize::from(shape.data), usize::from(shape.total));
        let code = if data > 1 && total > data {
            let code = ReedSolomon::new(data, total - data).map_err(|error| {
                Error::not_applied(ErrorKind::Misconfigured, format!("no such code: {error}"))
            })?;
            Some(code)
        } else {
            None
        };
        Ok(Self { shape, code })
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// All pieces of an object: the data pieces, of which the last are filled up with zeros, and then the
    /// others.
    pub(crate) fn cut(&self, body: &Bytes) -> Vec<Bytes> {
        let (data, total) = (usize::from(self.shape.data), usize::from(self.shape.total));
        let piece = self.shape.piece_bytes(body.len() as u64) as usize;
        let mut pieces: Vec<Bytes> = (0..data)
            .map(|index| {
                let range = (index * piece).min(body.len())..((index + 1) * piece).min(body.len());
                let part = body.slice(range);
                if part.len() == piece {
                    return part;
                }
                let mut filled = BytesMut::from(&part[..]);
                filled.resize(piece, 0);
                filled.freeze()
            })
            .collect();
        match &self.code {
            Some(code) if piece > 0 => {
                let mut parity = vec![vec![0; piece]; total - data];
                code.encode_sep(&pieces, &mut parity).expect("all pieces have one length");
                pieces.extend(parity.into_iter().map(Bytes::from));
            }
            Some(_) => pieces.resize(total, Bytes::new()),
            // A mirror.
            None => pieces.resize(total, body.clone()),
        }
        pieces
    }

    /// The object that these pieces belong to: at least as many as are needed, by index.
    pub(crate) fn join(&self, size: u64, pieces: &[(u8, Bytes)]) -> Result<Bytes> {
        if self.shape.data == 1 {
            return pieces.first().map(|(_, piece)| piece.clone()).ok_or_else(too_few);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut whole = self.slots(pieces);
        if let Some(code) = &self.code
            && whole[..usize::from(self.shape.data)].iter().any(Option::is_none)
        {
            code.reconstruct_data(&mut whole).map_err(|_| too_few())?;
        }
        let mut body = BytesMut::with_capacity(size as usize);
        for piece in whole.into_iter().take(usize::from(self.shape.data)) {
            let piece = piece.ok_or_else(too_few)?;
            let rest = size as usize - body.len();
            body.extend_from_slice(&piece[..piece.len().min(rest)]);
        }
        Ok(body.freeze())
    }

    /// The pieces `wanted`, made of others.
    pub(crate) fn rebuild(&self, pieces: &[(u8, Bytes)], wanted: &[u8]) -> Result<Vec<Bytes>> {
        if self.shape.data == 1 {
            let copy = pieces.first().map(|(_, piece)| piece.clone()).ok_or_else(too_few)?;
            return Ok(vec![copy; wanted.len()]);
        }
        let mut whole = self.slots(pieces);
        match &self.code {
            // Nothing to code in an empty object.
            Some(_) if pieces.iter().all(|(_, piece)| piece.is_empty()) => {
                return Ok(vec![Bytes::new(); wanted.len()]);
            }
            Some(code) => code.reconstruct(&mut whole).map_err(|_| too_few())?,
            None => {}
        }
        wanted
            .iter()
            .map(|index| whole[usize::from(*index)].clone().map(Bytes::from).ok_or_else(too_few))
            .collect()
    }

    fn slots(&self, pieces: &[(u8, Bytes)]) -> Vec<Option<Vec<u8>>> {
        let mut slots = vec![None; usize::from(self.shape.total)];
        for (index, piece) in pieces {
            slots[usize::from(*index)] = Some(piece.to_vec());
        }
        slots
    }
}

fn too_few() -> Error {
    Error::not_applied(ErrorKind::Unavailable, "too few pieces can be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_pieces_that_are_enough_make_the_object_and_every_other_piece() {
        for (data, total) in [(1, 1), (1, 2), (1, 3), (2, 3), (4, 6), (3, 5)] {
            let coding = Coding::new(Shape { data, total }).unwrap();
            for size in [0_usize, 1, 2, 3, 7, 8, 1000, 1001] {
                let body: Bytes = (0..size).map(|at| (at * 7 + 3) as u8).collect();
                let pieces = coding.cut(&body);
                assert_eq!(pieces.len(), usize::from(total));
                for subset in 0_u32..1 << total {
                    let kept: Vec<_> = (0..total)
                        .filter(|index| subset >> index & 1 == 1)
                        .map(|index| (index, pieces[usize::from(index)].clone()))
                        .collect();
                    if kept.len() < usize::from(data) || kept.is_empty() {
                        continue;
                    }
                    let joined = coding.join(size as u64, &kept).unwrap();
                    assert_eq!(joined, body, "{data} of {total}, {size} bytes, subset {subset:b}");
                    let all: Vec<u8> = (0..total).collect();
                    assert_eq!(coding.rebuild(&kept, &all).unwrap(), pieces);
                }
            }
        }
    }
}

//! A filter over the keys of a segment: says for sure that a key is not in it, and seldom wrongly that it may be.
//!
//! It is the split block Bloom filter of Apache Parquet, so that others have code for it: blocks of 256 bits,
//! of which a key sets one in each of eight words.

use bytes::Bytes;
use twox_hash::XxHash64;

/// 16 bits a key: about 1 in 1,000 absent keys is looked up for nothing. Who asks for a key asks several segments.
const BITS_PER_KEY: usize = 16;
const BLOCK_BYTES: usize = 32;
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// How many bytes a filter for so many keys has.
pub(super) fn bytes(keys: usize) -> usize {
    (keys * BITS_PER_KEY).div_ceil(8 * BLOCK_BYTES).max(1) * BLOCK_BYTES
}

/// What a key is in a filter.
pub(super) fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

/// The filter for keys of these hashes.
pub(super) fn build(hashes: &[u64]) -> Bytes {
    let mut filter = vec![0; bytes(hashes.len())];
    let blocks = filter.len() / BLOCK_BYTES;
    for hash in hashes {
        for (at, bit) in bits(*hash, blocks) {
            filter[at] |= bit;
        }
    }
    filter.into()
}

/// Whether the key of this hash may be in the filter.
pub(super) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let blocks = filter.len() / BLOCK_BYTES;
    blocks == 0 || bits(hash, blocks).all(|(at, bit)| filter[at] & bit != 0)
}

/// The eight bits of a key: in which byte each is, and which of its bits.
fn bits(hash: u64, blocks: usize) -> impl Iterator<Item = (usize, u8)> {
    let block = (((hash >> 32) * blocks as u64) >> 32) as usize;
    let low = hash as u32;
    SALT.iter().enumerate().map(move |(word, salt)| {
        let bit = low.wrapping_mul(*salt) >> 27;
        (block * BLOCK_BYTES + 4 * word + bit as usize / 8, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_denied_and_few_that_are_absent_are_let_through() {
        for keys in [0_u32, 1, 10, 1000, 50_000] {
            let hashes: Vec<_> = (0..keys).map(|key| hash(&key.to_be_bytes())).collect();
            let filter = build(&hashes);
            assert!(hashes.iter().all(|hash| may_contain(&filter, *hash)));
            let absent = (keys..keys + 20_000).map(|key| hash(&key.to_be_bytes()));
            let wrong = absent.filter(|hash| may_contain(&filter, *hash)).count();
            assert!(wrong <= 60, "{wrong} of 20,000 with {keys} keys");
        }
    }
}

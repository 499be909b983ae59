//! Which of several weighted members keeps a key: the one with the highest score.
//!
//! A score depends on one member and the key only, so a member that comes or goes moves the keys it wins or
//! had, and no others. The arithmetic is exact everywhere: additions, multiplications and divisions of
//! IEEE 754, and no function whose last bit depends on the machine.

/// The score of a member of this weight for a key: -weight / ln(h), where h is between 0 and 1 and drawn from
/// both names.
pub(crate) fn score(member: &str, key: &str, weight: f64) -> f64 {
    // Never 0 and never 1: half of one in 2^52 away from both.
    let drawn = ((hash(member, key) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -weight / ln(drawn)
}

/// FNV-1a over the member, finished as MurmurHash3 finishes, and on from there over the key.
fn hash(member: &str, key: &str) -> u64 {
    let start = finish(fnv(0xcbf2_9ce4_8422_2325, member));
    finish(fnv(start, key))
}

fn fnv(start: u64, text: &str) -> u64 {
    text.bytes()
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// The natural logarithm of a number in (0, 1), to about fifteen digits.
fn ln(number: f64) -> f64 {
    let bits = number.to_bits();
    let exponent = (bits >> 52) as i64 - 1022;
    // In [0.5, 1).
    let fraction = f64::from_bits(bits & ((1 << 52) - 1) | 1022 << 52);
    let ratio = (fraction - 1.0) / (fraction + 1.0);
    let square = ratio * ratio;
    let (mut sum, mut power) = (0.0, ratio);
    for odd in 0..20 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    2.0 * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for number in [0.5 / (1_u64 << 52) as f64, 1e-9, 0.1, 0.25, 0.5, 0.7, 0.999_999] {
            assert!((ln(number) - number.ln()).abs() < 1e-12 * number.ln().abs(), "{number}");
        }
    }

    #[test]
    fn keys_are_shared_out_by_weight() {
        let weights = [("a", 1.0), ("b", 1.0), ("c", 2.0), ("d", 4.0)];
        let mut counts = [0_u32; 4];
        for number in 0..80_000 {
            let key = format!("value/{number:08x}");
            let scores = weights.map(|(name, weight)| score(name, &key, weight));
            let best = (0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
            counts[best] += 1;
        }
        for (count, expected) in counts.into_iter().zip([10_000, 10_000, 20_000, 40_000]) {
            assert!(count.abs_diff(expected) < 500, "{counts:?}");
        }
    }
}

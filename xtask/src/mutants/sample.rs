//! Some of many, drawn at random.

use std::time::{SystemTime, UNIX_EPOCH};

/// A seed that is another one each time, and short enough to be typed again.
pub(super) fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    mixed(now.as_nanos() as u64) % 1_000_000
}

/// So many of `all`, in their order; each set of so many is as likely as any other.
pub(super) fn draw<T: Copy>(all: &[T], many: usize, seed: u64) -> Vec<T> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    let drawn = |place: &usize| mixed(mixed(seed).wrapping_add(*place as u64));
    places.sort_by_key(drawn);
    places.truncate(many);
    places.sort_unstable();
    places.into_iter().map(|place| all[place]).collect()
}

/// SplitMix64 (Steele, Lea and Flood, 2014): every number becomes another one that looks like chance.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_every_one_is_drawn_as_often() {
        let all: Vec<usize> = (0..50).collect();
        let mut times = [0; 50];
        for seed in 0..2_000 {
            let drawn = draw(&all, 10, seed);
            assert_eq!(drawn, draw(&all, 10, seed));
            assert!(drawn.len() == 10 && drawn.is_sorted_by(|a, b| a < b), "{drawn:?}");
            drawn.into_iter().for_each(|one| times[one] += 1);
        }
        // 400 of each are expected, with a deviation of 18.
        assert!(times.iter().all(|times| (310..490).contains(times)), "{times:?}");
        assert_eq!(draw(&all, 60, 1), all);
    }
}

//! Sizes and times as people write them: `64MiB`, `30s`.

use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// What to write for a size.
pub(crate) const SIZE_EXPECTED: &str =
    "a size such as \"64MiB\" (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)";
/// What to write for a time.
pub(crate) const TIME_EXPECTED: &str = "a time such as \"30s\" (ms, s, m, h)";

/// A size in bytes: `64MiB`, `10 kB`, `512`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// A time: `30s`, `500ms`, `2m`, `1h`.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

/// A size in the largest unit that shows it exactly: `64MiB`, `1000B`.
pub(crate) fn exact_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .filter(|(name, _)| name.ends_with("iB") || *name == "B")
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// A size for people: `1.5 MiB`.
pub(crate) fn human_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .filter(|(name, _)| name.ends_with("iB"))
        .find(|(_, factor)| bytes >= *factor)
        .map_or_else(
            || format!("{bytes} B"),
            |(name, factor)| format!("{:.1} {name}", bytes as f64 / *factor as f64),
        )
}

/// A time in the largest unit that shows it exactly: `30s`, `1500ms`.
pub(crate) fn exact_time(time: Duration) -> String {
    let millis = time.as_millis() as u64;
    TIME_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor))
        .map_or_else(
            || format!("{millis}ms"),
            |(name, factor)| format!("{}{name}", millis / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(parse_size(text), expected, "{text}");
        check("0", Some(0));
        check("64MiB", Some(64 << 20));
        check("64 mib", Some(64 << 20));
        check("10kB", Some(10_000));
        check("5TiB", Some(5 << 40));
        check("99999999TiB", None);
        check("MiB", None);
        check("12 parsecs", None);
        check("-1", None);
    }

    #[test]
    fn times_need_a_unit() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(parse_time(text), millis.map(Duration::from_millis), "{text}");
        };
        check("30s", Some(30_000));
        check("500ms", Some(500));
        check("2m", Some(120_000));
        check("30", None);
        check("1d", None);
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for bytes in [0, 1, 1023, 1024, 64 << 20, 5 << 40, 1000] {
            assert_eq!(parse_size(&exact_size(bytes)), Some(bytes));
        }
        for millis in [1, 999, 1000, 90_000, 120_000, 3_600_000] {
            let time = Duration::from_millis(millis);
            assert_eq!(parse_time(&exact_time(time)), Some(time));
        }
    }
}

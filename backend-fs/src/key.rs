//! Where a key's object lies: the codec between keys and paths.
//!
//! Each segment but the last is a directory of that name; the object is a file named as the last
//! segment plus [`OBJECT_SUFFIX`]. The suffix begins with a character that no segment has, so the
//! object `a` (`a.o`) and the subtree `a/...` (`a/`) stand side by side. Keys have no upper case and
//! nothing to normalise, so no file system can mix two of them up.

use storage_core::{Key, SEGMENT_BYTES_MAX, is_key_byte};

/// What follows the last segment in the name of an object's file.
pub(crate) const OBJECT_SUFFIX: &str = ".o";

/// How many lock files keys are spread over. Part of the format: all who write must agree.
pub(crate) const STRIPES: u32 = 256;

/// The path of a key's object, beneath the folder of objects.
pub(crate) fn object_path(key: &Key) -> String {
    format!("{key}{OBJECT_SUFFIX}")
}

/// Splits a path into its directory, empty for the top, and the name within it.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The name of the lock file that guards a key.
pub(crate) fn stripe(key: &Key) -> String {
    stripe_name(crc_fast::crc32_iscsi(key.as_str().as_bytes()) % STRIPES)
}

/// The name of a lock file by its number.
pub(crate) fn stripe_name(number: u32) -> String {
    format!("{number:02x}")
}

/// What a name in a directory stands for. The order is that of keys: an object sorts before the
/// subtree of the same name, since `/` sorts before every byte of a segment but after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Object,
    Directory,
}

/// The segment that a file name stands for, or `None` for a name that is not ours.
pub(crate) fn decode(name: &[u8]) -> Option<(&str, Kind)> {
    let (segment, kind) = match name.strip_suffix(OBJECT_SUFFIX.as_bytes()) {
        Some(segment) => (segment, Kind::Object),
        None => (name, Kind::Directory),
    };
    let ours = (1..=SEGMENT_BYTES_MAX).contains(&segment.len())
        && segment.iter().copied().all(is_key_byte);
    let text = std::str::from_utf8(segment).ok()?;
    ours.then_some((text, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_file_name_say_the_same() {
        let check = |key: &str, path: &str| {
            assert_eq!(object_path(&Key::new(key).unwrap()), path);
            let (directory, name) = split(path);
            let (segment, kind) = decode(name.as_bytes()).unwrap();
            let back = if directory.is_empty() {
                segment.to_owned()
            } else {
                format!("{directory}/{segment}")
            };
            assert_eq!((back.as_str(), kind), (key, Kind::Object));
        };
        check("a", "a.o");
        check("a/b", "a/b.o");
        check("~/=/_", "~/=/_.o");
        check("log/0000", "log/0000.o");
    }

    #[test]
    fn names_that_are_not_ours_mean_nothing() {
        let long = "a".repeat(SEGMENT_BYTES_MAX + 1);
        for name in ["", ".", "..", ".o", "A", "a.O", "a.o.o", "a.tmp", "lost+found", "ä", &long] {
            assert_eq!(decode(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_directory_walk_in_name_order_is_key_order() {
        let names = ["=", "=.o", "a", "a.o", "ab", "ab.o", "a=", "a=.o", "z.o", "~", "0.o"];
        let mut keys = Vec::new();
        let mut items: Vec<_> = names.iter().map(|name| decode(name.as_bytes()).unwrap()).collect();
        items.sort_unstable();
        for (segment, kind) in items {
            match kind {
                Kind::Object => keys.push(segment.to_owned()),
                Kind::Directory => keys.extend([format!("{segment}/0"), format!("{segment}/~")]),
            }
        }
        assert!(keys.is_sorted(), "{keys:?}");
    }
}

//! Keys and values as people and programs read them: bytes that cannot be shown are escaped.

use std::ffi::{OsStr, OsString};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use storage_txn::KEY_BYTES_MAX;

use crate::error::{Error, Result};

/// A key as typed: everything is itself, but for `\\`, `\n`, `\r`, `\t` and `\xNN`.
///
/// # Errors
///
/// [`Error::Usage`] for another word behind a backslash, and for a key that is too long.
pub(super) fn key(text: &OsStr) -> Result<Bytes> {
    let typed = text.as_encoded_bytes();
    let wrong = |at: usize| {
        Error::Usage(format!(
            "`{}` is not a key: what follows its backslash at byte {} means nothing\n  = expected \\\\, \\n, \\r, \\t or \\xNN, with two hexadecimal digits",
            text.to_string_lossy().escape_debug(),
            at + 1,
        ))
    };
    let mut key = Vec::with_capacity(typed.len());
    let mut at = 0;
    while let Some(byte) = typed.get(at) {
        if *byte != b'\\' {
            key.push(*byte);
            at += 1;
            continue;
        }
        let (byte, length) = match typed.get(at + 1) {
            Some(b'\\') => (b'\\', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b't') => (b'\t', 2),
            Some(b'x') => (hexadecimal(typed.get(at + 2..at + 4)).ok_or_else(|| wrong(at))?, 4),
            _ => return Err(wrong(at)),
        };
        key.push(byte);
        at += length;
    }
    checked(key.into())
}

pub(super) fn keys(texts: &[OsString]) -> Result<Vec<Bytes>> {
    texts.iter().map(|text| key(text)).collect()
}

/// # Errors
///
/// [`Error::Usage`] for a key that is too long.
pub(super) fn checked(key: Bytes) -> Result<Bytes> {
    if key.len() > KEY_BYTES_MAX {
        let start = shown(&key[..40]);
        return Err(Error::Usage(format!(
            "the key `{start}...` has {} bytes: a key has up to {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    Ok(key)
}

fn hexadecimal(digits: Option<&[u8]>) -> Option<u8> {
    let digits = std::str::from_utf8(digits?).ok()?;
    // `from_str_radix` would take a sign for a digit.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// A key as [`key`] reads it.
pub(super) fn shown(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for chunk in key.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text += "\\\\",
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                c if is_printable(c) => text.push(c),
                c => escape(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    // A blank at the end would not be seen.
    if text.ends_with(' ') {
        text.pop();
        text += "\\x20";
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        *text += &format!("\\x{byte:02x}");
    }
}

fn is_printable(c: char) -> bool {
    // What the standard library escapes cannot be seen, but for quotes and what joins the letter before it.
    c == ' '
        || c.is_ascii_graphic()
        || (!c.is_ascii() && format!("x{c}").escape_debug().count() == 2)
}

/// A text of the user's, such as a message, that must stay on its line.
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Puts bytes into an object: under `name` when they are text, else under `name_base64`.
pub(super) fn insert(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

/// Bytes in a list: a string when they are text, else `{"base64": "..."}`.
pub(super) fn item(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

pub(super) fn from_base64(text: &str) -> Option<Bytes> {
    STANDARD.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_typed_as_it_is_shown() {
        let check = |bytes: &[u8], text: &str| {
            assert_eq!(shown(bytes), text);
            assert_eq!(key(OsStr::new(text)).unwrap(), bytes, "{text}");
        };
        check(b"", "");
        check(b"notes/1 \"a\" 'b'", "notes/1 \"a\" 'b'");
        check(b"a\\b", "a\\\\b");
        check(b"a\nb\tc\r", "a\\nb\\tc\\r");
        check(b"\x00\x7f\xff", "\\x00\\x7f\\xff");
        check(b"blank ", "blank\\x20");
        check("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}");
        // An umlaut of two parts, and a mark that turns the direction of writing.
        check("u\u{308}".as_bytes(), "u\u{308}");
        check("a\u{202e}b".as_bytes(), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(key(OsStr::new(&shown(&all))).unwrap(), all);
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for text in ["a\\", "\\q", "\\x", "\\x4", "\\x4g", "\\x+4"] {
            let said = key(OsStr::new(text)).unwrap_err().to_string();
            assert!(said.contains("expected \\\\"), "{text}: {said}");
        }
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert!(key(OsStr::new(&long)).unwrap_err().to_string().contains("4097"));
    }
}

//! Every boundary of the alphabet and of the lengths.

use super::*;

#[test]
fn a_byte_is_accepted_if_and_only_if_it_is_in_the_alphabet() {
    for byte in 0..=127u8 {
        let text = format!("a{}a", char::from(byte));
        let expected = byte == b'/' || b"0123456789abcdefghijklmnopqrstuvwxyz_=~".contains(&byte);
        assert_eq!(Key::new(&text).is_ok(), expected, "{text:?}");
        assert_eq!(Prefix::new(&text).is_ok(), expected, "{text:?}");
    }
}

#[test]
fn every_byte_of_the_alphabet_sorts_after_the_slash() {
    assert!((0..=255u8).filter(|byte| is_key_byte(*byte)).all(|byte| byte > b'/'));
}

#[test]
fn lengths_and_segments_are_bounded_exactly() {
    let segment = "s".repeat(SEGMENT_BYTES_MAX);
    let longest = format!("{segment}/{segment}/{}", "s".repeat(KEY_BYTES_MAX - 402));
    assert_eq!(longest.len(), KEY_BYTES_MAX);
    let too_long = format!("{longest}s");
    let wide = format!("a/{segment}s");

    let cases: &[(&str, Option<KeyProblem>, Option<KeyProblem>)] = &[
        // text, problem as a key, problem as a prefix
        ("", Some(KeyProblem::Empty), None),
        ("a", None, None),
        ("a/", Some(KeyProblem::EmptySegment { at: 2 }), None),
        ("/", Some(KeyProblem::EmptySegment { at: 0 }), Some(KeyProblem::EmptySegment { at: 0 })),
        ("/a", Some(KeyProblem::EmptySegment { at: 0 }), Some(KeyProblem::EmptySegment { at: 0 })),
        (
            "a//b",
            Some(KeyProblem::EmptySegment { at: 2 }),
            Some(KeyProblem::EmptySegment { at: 2 }),
        ),
        (&segment, None, None),
        (&longest, None, None),
        (
            &too_long,
            Some(KeyProblem::TooLong { bytes: 513 }),
            Some(KeyProblem::TooLong { bytes: 513 }),
        ),
        (
            &wide,
            Some(KeyProblem::SegmentTooLong { at: 2 }),
            Some(KeyProblem::SegmentTooLong { at: 2 }),
        ),
        (
            "é",
            Some(KeyProblem::Byte { at: 0, byte: 0xc3 }),
            Some(KeyProblem::Byte { at: 0, byte: 0xc3 }),
        ),
    ];
    for (text, as_key, as_prefix) in cases {
        assert_eq!(Key::new(text).err(), *as_key, "{text:?} as a key");
        assert_eq!(Prefix::new(text).err(), *as_prefix, "{text:?} as a prefix");
    }
}

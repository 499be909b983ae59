//! What a subscriber gets to see, and what never.
//!
//! In a process of its own: `tracing` remembers for each place in the code whether anybody listens,
//! and a test in another thread that comes by while the subscriber is put in place can make it
//! remember "nobody" for good.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "wrappers/script.rs"]
mod script;

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::script::some_of_everything;

#[test]
fn traces_tell_of_every_request_and_of_no_key_or_body() {
    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);
    impl Write for Text {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let text = Text::default();
    let writer = text.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, some_of_everything);

    let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 8, "seven requests, one of them tried again:\n{text}");
    assert!(!text.contains("secret"), "{text}");
    for (line, expected) in [
        (0, r#"provider_request{provider="aws" operation="put"}"#),
        (1, r#"outcome="conflict""#),
        (
            2,
            r#"operation="get"}: storage_wrappers::retry: trying again operation="get" attempts=1 kind="unavailable""#,
        ),
        (3, r#"outcome="ok""#),
        (7, r#"outcome="dropped""#),
    ] {
        assert!(lines[line].contains(expected), "line {line} without {expected}:\n{text}");
    }
}

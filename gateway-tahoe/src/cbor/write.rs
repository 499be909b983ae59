//! Answers.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use ciborium_ll::{Encoder, Header, simple};

use super::SET;
use crate::Answer;
use crate::uploads::Allocated;

/// The name of the protocol in the answer about versions.
const PROTOCOL: &[u8] = b"http://allmydata.org/tahoe/protocols/storage/v1";

/// What the server can take. Every key is a string of bytes there, and nowhere else.
pub(crate) fn version(immutable_max: u64, mutable_max: u64, available: u64, name: &str) -> Vec<u8> {
    let mut output = Output::default();
    output.map(2);
    output.bytes(PROTOCOL);
    output.map(3);
    output.bytes(b"maximum-immutable-share-size");
    output.uint(immutable_max);
    output.bytes(b"maximum-mutable-share-size");
    output.uint(mutable_max);
    output.bytes(b"available-space");
    output.uint(available);
    output.bytes(b"application-version");
    output.bytes(name.as_bytes());
    output.0
}

/// What became of an allocation.
pub(crate) fn allocated(answer: &Allocated) -> Vec<u8> {
    let mut output = Output::default();
    output.map(2);
    output.text("already-have");
    output.set(&answer.already_have);
    output.text("allocated");
    output.set(&answer.allocated);
    output.0
}

/// A set of numbers.
pub(crate) fn numbers(numbers: &BTreeSet<u64>) -> Vec<u8> {
    let mut output = Output::default();
    output.set(numbers);
    output.0
}

/// What is still missing of an upload.
pub(crate) fn required(missing: &[Range<u64>]) -> Vec<u8> {
    let mut output = Output::default();
    output.map(1);
    output.text("required");
    output.array(missing.len());
    for range in missing {
        output.map(2);
        output.text("begin");
        output.uint(range.start);
        output.text("end");
        output.uint(range.end);
    }
    output.0
}

/// What became of a read-test-write.
pub(crate) fn read_test_written(answer: &Answer) -> Vec<u8> {
    let bytes: usize = answer.data.values().flatten().map(Bytes::len).sum();
    let mut output = Output(Vec::with_capacity(bytes + 64 * (answer.data.len() + 1)));
    output.map(2);
    output.text("success");
    output.push(Header::Simple(if answer.success { simple::TRUE } else { simple::FALSE }));
    output.text("data");
    output.map(answer.data.len());
    for (number, pieces) in &answer.data {
        output.uint(*number);
        output.array(pieces.len());
        pieces.iter().for_each(|piece| output.bytes(piece));
    }
    output.0
}

/// What was written so far.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    fn push(&mut self, header: Header) {
        // Nothing can go wrong with memory.
        let _ = Encoder::from(&mut self.0).push(header);
    }

    fn uint(&mut self, number: u64) {
        self.push(Header::Positive(number));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.push(Header::Bytes(Some(bytes.len())));
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.push(Header::Text(Some(text.len())));
        self.0.extend_from_slice(text.as_bytes());
    }

    fn array(&mut self, len: usize) {
        self.push(Header::Array(Some(len)));
    }

    fn map(&mut self, len: usize) {
        self.push(Header::Map(Some(len)));
    }

    fn set(&mut self, numbers: &BTreeSet<u64>) {
        self.push(Header::Tag(SET));
        self.array(numbers.len());
        numbers.iter().for_each(|number| self.uint(*number));
    }
}

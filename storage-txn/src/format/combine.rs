//! What handles tell each other when one hands its transactions to another, as described in `docs/formats/combine.md`.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use storage_log::{LogId, Slot};

use crate::format::entry::{self, Logged};
use crate::reads::Reads;
use crate::writes::Range;
use crate::{Error, ErrorKind, KEY_BYTES_MAX, Result, TransactionId, Version, space};

/// The first bytes of every message; the last of them is the version of the format.
const MAGIC: [u8; 4] = *b"cbc1";
const HEAD_BYTES: usize = 8;
const MAC_BYTES: usize = 32;
const KEY_CONTEXT: &str = "cloudbank combine secret 1";

/// The key that two handles have in common, and with which each message is signed.
pub(crate) type Secret = [u8; 32];

/// How a request was signed: the answer is signed over it too, so that it answers this request alone.
pub(crate) type Signature = [u8; MAC_BYTES];

/// The key that follows from a secret.
pub(crate) fn secret(secret: &[u8]) -> Secret {
    blake3::derive_key(KEY_CONTEXT, secret)
}

/// Transactions that one handle hands to another.
#[derive(Debug)]
pub(crate) struct Request {
    /// The store.
    pub(crate) log: LogId,
    /// What the handle that asks calls itself.
    pub(crate) from: u64,
    /// What the other called itself when it was asked last; 0 when it was not.
    pub(crate) to: u64,
    /// Higher with every request of one handle.
    pub(crate) sequence: u64,
    /// None of them is a greeting: is there somebody, and who?
    pub(crate) transactions: Vec<Handed>,
}

/// A transaction, with all that is needed to decide whether it can be committed.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) transaction: Logged,
    pub(crate) reads: Reads,
    pub(crate) read_at: Version,
    pub(crate) required: Vec<(Bytes, Option<Version>)>,
    pub(crate) sessions: BTreeSet<u64>,
    pub(crate) repeated: bool,
}

/// The same, where it need not be given away.
#[derive(Debug)]
pub(crate) struct ToHand<'a> {
    pub(crate) transaction: &'a Logged,
    pub(crate) reads: &'a Reads,
    pub(crate) read_at: Version,
    pub(crate) required: &'a [(Bytes, Option<Version>)],
    pub(crate) sessions: &'a BTreeSet<u64>,
    pub(crate) repeated: bool,
}

/// What the other handle says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) log: LogId,
    /// What the handle that answers calls itself.
    pub(crate) from: u64,
    pub(crate) answer: Answer,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing was done, and will not be.
    Refused(Refusal),
    /// The transactions stand in the log up to this slot or will never be put there by the handle that answers, but for
    /// these, of which it does not know.
    Settled { slot: Slot, unknown: BTreeSet<TransactionId> },
}

/// Why a handle takes no transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Refusal {
    None = 0,
    /// It is a handle on another store.
    OtherStore = 1,
    /// It hands its own to somebody.
    HandsOver = 2,
    /// It does not call itself what the request calls it: it was started anew.
    Renamed = 3,
    /// A request that was sent later came before.
    Late = 4,
    /// It cannot read the log as far as the transactions have.
    Behind = 5,
    /// One of a reason that this program does not know.
    Other = 6,
}

/// The bytes of a request, and how they are signed.
pub(crate) fn encode_request<'a>(
    secret: &Secret,
    (log, from, to, sequence): (LogId, u64, u64, u64),
    transactions: impl Iterator<Item = ToHand<'a>>,
) -> (Bytes, Signature) {
    let mut body = Vec::new();
    let head = wire::RequestHead { log: Bytes::copy_from_slice(&log.0), from, to, sequence };
    body.extend(head.encode_to_vec());
    for handed in transactions {
        let terms = terms(&handed).encode_to_vec();
        let mut transaction = Vec::new();
        entry::encode_transaction(handed.transaction, &mut transaction);
        let mut message = Vec::with_capacity(transaction.len() + terms.len() + 8);
        encode_key(1, WireType::LengthDelimited, &mut message);
        encode_varint(transaction.len() as u64, &mut message);
        message.extend(transaction);
        message.extend(terms);
        encode_key(5, WireType::LengthDelimited, &mut body);
        encode_varint(message.len() as u64, &mut body);
        body.extend(message);
    }
    seal(secret, Kind::Request, &[], &body)
}

/// # Errors
///
/// [`ErrorKind::UnknownFormat`], [`ErrorKind::Storage`] with `PermissionDenied` when it was signed with another secret,
/// [`ErrorKind::Corrupt`] for what no handle sends, [`ErrorKind::LimitExceeded`] for a key that is too long.
pub(crate) fn decode_request(secret: &Secret, bytes: &Bytes) -> Result<(Request, Signature)> {
    let (body, signature) = open(secret, Kind::Request, &[], bytes)?;
    let request = wire::Request::decode(body).map_err(unreadable)?;
    let transactions: Result<_> = request.transactions.into_iter().map(handed).collect();
    let request = Request {
        log: log_id(&request.log)?,
        from: request.from,
        to: request.to,
        sequence: request.sequence,
        transactions: transactions?,
    };
    Ok((request, signature))
}

pub(crate) fn encode_reply(secret: &Secret, request: &Signature, reply: &Reply) -> Bytes {
    let (refusal, slot, unknown) = match &reply.answer {
        Answer::Refused(refusal) => (*refusal, Slot(0), Vec::new()),
        Answer::Settled { slot, unknown } => {
            let unknown = unknown.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect();
            (Refusal::None, *slot, unknown)
        }
    };
    let message = wire::Reply {
        log: Bytes::copy_from_slice(&reply.log.0),
        from: reply.from,
        refusal: refusal.into(),
        slot: slot.0,
        unknown,
    };
    seal(secret, Kind::Reply, request, &message.encode_to_vec()).0
}

/// # Errors
///
/// Those of [`decode_request`].
pub(crate) fn decode_reply(secret: &Secret, request: &Signature, bytes: &Bytes) -> Result<Reply> {
    let (body, _) = open(secret, Kind::Reply, request, bytes)?;
    let reply = wire::Reply::decode(body).map_err(unreadable)?;
    let unknown: Result<_> = reply.unknown.iter().map(|id| transaction_id(id)).collect();
    let answer = match Refusal::try_from(reply.refusal) {
        Ok(Refusal::None) => Answer::Settled { slot: Slot(reply.slot), unknown: unknown? },
        refusal => Answer::Refused(refusal.unwrap_or(Refusal::Other)),
    };
    Ok(Reply { log: log_id(&reply.log)?, from: reply.from, answer })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Request = 0,
    Reply = 1,
}

fn head(kind: Kind) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..MAGIC.len()].copy_from_slice(&MAGIC);
    head[MAGIC.len()] = kind as u8;
    head
}

fn sign(secret: &Secret, head: &[u8; HEAD_BYTES], answered: &[u8], body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(head).update(answered).update(body);
    hasher.finalize()
}

fn seal(secret: &Secret, kind: Kind, answered: &[u8], body: &[u8]) -> (Bytes, Signature) {
    let head = head(kind);
    let signature = sign(secret, &head, answered, body);
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + MAC_BYTES + body.len());
    bytes.put_slice(&head);
    bytes.put_slice(signature.as_bytes());
    bytes.put_slice(body);
    (bytes.freeze(), *signature.as_bytes())
}

fn open(secret: &Secret, kind: Kind, answered: &[u8], bytes: &Bytes) -> Result<(Bytes, Signature)> {
    let head = head(kind);
    let signature: Option<Signature> = bytes
        .get(HEAD_BYTES..HEAD_BYTES + MAC_BYTES)
        .and_then(|signature| signature.try_into().ok());
    let Some(signature) = signature.filter(|_| bytes.starts_with(&head)) else {
        return Err(Error::new(
            ErrorKind::UnknownFormat,
            "this is no message of a handle that combines commits, or one of another version",
        ));
    };
    let body = bytes.slice(HEAD_BYTES + MAC_BYTES..);
    // Compared in constant time.
    if sign(secret, &head, answered, &body) != blake3::Hash::from_bytes(signature) {
        return Err(Error::new(
            ErrorKind::Storage(storage_core::ErrorKind::PermissionDenied),
            "the message was signed with another secret, or changed on its way",
        ));
    }
    Ok((body, signature))
}

fn terms(handed: &ToHand<'_>) -> wire::Terms {
    wire::Terms {
        read_at: handed.read_at.0,
        keys: handed.reads.keys().cloned().collect(),
        ranges: handed.reads.ranges().iter().map(range_to_wire).collect(),
        required: handed
            .required
            .iter()
            .map(|(key, version)| wire::Required {
                key: key.clone(),
                version: version.map(|version| version.0),
            })
            .collect(),
        sessions: handed.sessions.iter().copied().collect(),
        repeated: handed.repeated,
    }
}

fn handed(message: wire::Handed) -> Result<Handed> {
    let transaction =
        message.transaction.ok_or_else(|| Error::corrupt("a transaction is missing"))?;
    let transaction = entry::transaction_from_wire(transaction)?;
    check_writes(&transaction)?;
    let mut reads = Reads::default();
    message.keys.into_iter().for_each(|key| reads.key(key));
    for range in message.ranges {
        reads.range(Range { start: range.start, end: range.end });
    }
    let required = message.required.into_iter();
    Ok(Handed {
        transaction,
        reads,
        read_at: Version(message.read_at),
        required: required.map(|one| (one.key, one.version.map(Version))).collect(),
        sessions: message.sessions.into_iter().collect(),
        repeated: message.repeated,
    })
}

/// What a transaction of this store can write: users' keys and system keys, each of a length that is allowed.
fn check_writes(transaction: &Logged) -> Result<()> {
    let writes = &transaction.writes;
    if transaction.cancelled && !writes.is_empty() {
        return Err(Error::corrupt("a transaction that is shut out writes something"));
    }
    let spaces = [space::all(space::USER), space::all(space::SYSTEM)];
    for (key, _) in writes.points() {
        if !spaces.iter().any(|space| space.contains(key)) {
            return Err(Error::corrupt("a transaction writes a key that is nobody's"));
        }
        if key.len() > KEY_BYTES_MAX + 1 {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("a key of {} bytes is longer than {KEY_BYTES_MAX}", key.len() - 1),
            ));
        }
    }
    for range in writes.ranges() {
        let within = |space: &Range| space.contains(&range.start) && range.end <= space.end;
        if !spaces.iter().any(within) {
            return Err(Error::corrupt("a transaction empties a range that is nobody's"));
        }
    }
    Ok(())
}

fn range_to_wire(range: &Range) -> wire::Range {
    wire::Range { start: range.start.clone(), end: range.end.clone() }
}

fn log_id(bytes: &[u8]) -> Result<LogId> {
    bytes.try_into().map(LogId).map_err(|_| Error::corrupt("the id of a store is not 16 bytes"))
}

fn transaction_id(bytes: &[u8]) -> Result<TransactionId> {
    let id = bytes.try_into().map(TransactionId);
    id.map_err(|_| Error::corrupt("the id of a transaction is not 16 bytes"))
}

fn unreadable(error: prost::DecodeError) -> Error {
    Error::corrupt(format!("a message of another handle cannot be read: {error}"))
}

/// Protocol Buffers: unknown fields are skipped, so fields may be added.
mod wire {
    use bytes::Bytes;

    use crate::format::entry::wire::Transaction;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Request {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) log: Bytes,
        #[prost(fixed64, tag = "2")]
        pub(super) from: u64,
        #[prost(fixed64, tag = "3")]
        pub(super) to: u64,
        #[prost(uint64, tag = "4")]
        pub(super) sequence: u64,
        #[prost(message, repeated, tag = "5")]
        pub(super) transactions: Vec<Handed>,
    }

    /// The first fields of a request: the others follow.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RequestHead {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) log: Bytes,
        #[prost(fixed64, tag = "2")]
        pub(super) from: u64,
        #[prost(fixed64, tag = "3")]
        pub(super) to: u64,
        #[prost(uint64, tag = "4")]
        pub(super) sequence: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Handed {
        #[prost(message, optional, tag = "1")]
        pub(super) transaction: Option<Transaction>,
        #[prost(uint64, tag = "2")]
        pub(super) read_at: u64,
        #[prost(bytes = "bytes", repeated, tag = "3")]
        pub(super) keys: Vec<Bytes>,
        #[prost(message, repeated, tag = "4")]
        pub(super) ranges: Vec<Range>,
        #[prost(message, repeated, tag = "5")]
        pub(super) required: Vec<Required>,
        #[prost(fixed64, repeated, tag = "6")]
        pub(super) sessions: Vec<u64>,
        #[prost(bool, tag = "7")]
        pub(super) repeated: bool,
    }

    /// The last fields of a transaction that is handed over: the transaction itself is before them.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Terms {
        #[prost(uint64, tag = "2")]
        pub(super) read_at: u64,
        #[prost(bytes = "bytes", repeated, tag = "3")]
        pub(super) keys: Vec<Bytes>,
        #[prost(message, repeated, tag = "4")]
        pub(super) ranges: Vec<Range>,
        #[prost(message, repeated, tag = "5")]
        pub(super) required: Vec<Required>,
        #[prost(fixed64, repeated, tag = "6")]
        pub(super) sessions: Vec<u64>,
        #[prost(bool, tag = "7")]
        pub(super) repeated: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Range {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) start: Bytes,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) end: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Required {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(uint64, optional, tag = "2")]
        pub(super) version: Option<u64>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Reply {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) log: Bytes,
        #[prost(fixed64, tag = "2")]
        pub(super) from: u64,
        #[prost(enumeration = "super::Refusal", tag = "3")]
        pub(super) refusal: i32,
        #[prost(uint64, tag = "4")]
        pub(super) slot: u64,
        #[prost(bytes = "bytes", repeated, tag = "5")]
        pub(super) unknown: Vec<Bytes>,
    }
}

#[cfg(test)]
mod tests;

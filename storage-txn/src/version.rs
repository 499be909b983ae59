//! The names of transactions: where they stand in the one order, and what their writers call them.

use std::fmt;
use std::str::FromStr;

/// Where a transaction stands in the one order of its store: 1 for the first, and so on without a gap.
/// 0 is the store before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// Before the first transaction.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the writer of a transaction calls it: 16 bytes drawn at random before it is sent, so that it can be
/// asked about when the answer was lost.
///
/// Written as 32 hexadecimal digits.
///
/// # Examples
///
/// ```
/// use storage_txn::TransactionId;
///
/// let id = TransactionId([0xab; 16]);
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!("not an id".parse::<TransactionId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 16]);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATransactionId;

impl fmt::Display for NotATransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction id is 32 hexadecimal digits")
    }
}

impl std::error::Error for NotATransactionId {}

impl FromStr for TransactionId {
    type Err = NotATransactionId;

    fn from_str(text: &str) -> Result<Self, NotATransactionId> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotATransactionId);
        }
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).or(Err(NotATransactionId))?;
        }
        Ok(Self(id))
    }
}

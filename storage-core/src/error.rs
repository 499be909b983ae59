//! What went wrong, what to do about it, and whether it happened all the same.

use std::fmt;
use std::time::Duration;

use crate::Key;

/// The result of an operation on a provider.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a provider did not succeed.
///
/// Act on [`kind`](Self::kind); after a mutation, look at [`effect`](Self::effect) before trying
/// again. The message names what to fix; the cause is kept whole as
/// [`source`](std::error::Error::source).
///
/// # Examples
///
/// ```
/// use storage_core::{Effect, Error, ErrorKind, Key, Operation};
///
/// let error = Error::unknown(ErrorKind::Unavailable, "the connection was reset")
///     .during(Operation::Put, &Key::new("log/0000")?);
/// assert_eq!(error.effect(), Effect::Unknown);
/// assert_eq!(
///     error.to_string(),
///     "put \"log/0000\": unavailable: the connection was reset (it may have been applied)"
/// );
/// # Ok::<(), storage_core::KeyProblem>(())
/// ```
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    effect: Effect,
    operation: Option<Operation>,
    key: Option<Key>,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error after which the operation has not taken effect and never will.
    pub fn not_applied(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, Effect::NotApplied, message.into())
    }

    /// An error after which nobody knows whether the mutation has taken effect, or still will.
    ///
    /// Kinds that mean "not applied" by definition (see [`ErrorKind::is_refusal`]) stay so.
    pub fn unknown(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, Effect::Unknown, message.into())
    }

    fn new(kind: ErrorKind, effect: Effect, message: String) -> Self {
        let effect = if kind.is_refusal() { Effect::NotApplied } else { effect };
        Self(Box::new(Parts {
            kind,
            effect,
            operation: None,
            key: None,
            message,
            retry_after: None,
            source: None,
        }))
    }

    /// Says which operation on which key failed, unless that is said already.
    #[must_use]
    pub fn during(mut self, operation: Operation, key: &Key) -> Self {
        if self.0.operation.is_none() {
            self.0.operation = Some(operation);
            self.0.key = Some(key.clone());
        }
        self
    }

    /// The same error under another key, if it names one: what a wrapper does that calls objects by
    /// other names than its caller.
    ///
    /// # Examples
    ///
    /// ```
    /// use storage_core::{Error, ErrorKind, Key, Operation};
    ///
    /// let inside = Error::not_applied(ErrorKind::NotFound, "there is no object")
    ///     .during(Operation::Get, &Key::new("tenants/7/a")?);
    /// let error = inside.renamed(&Key::new("a")?);
    /// assert_eq!(error.to_string(), "get \"a\": not found: there is no object");
    /// # Ok::<(), storage_core::KeyProblem>(())
    /// ```
    #[must_use]
    pub fn renamed(mut self, key: &Key) -> Self {
        if self.0.key.is_some() {
            self.0.key = Some(key.clone());
        }
        self
    }

    /// Says that a list failed, unless an operation is named already.
    #[must_use]
    pub fn during_list(mut self) -> Self {
        self.0.operation.get_or_insert(Operation::List);
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says how long the service asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// The same error, no longer certain that nothing happened: what a caller that has tried more
    /// than once says when an earlier attempt ended unknown. A refusal becomes
    /// [`ErrorKind::Unavailable`], since it refused only the last attempt.
    #[must_use]
    pub fn into_unknown(mut self) -> Self {
        if self.0.kind.is_refusal() {
            self.0.message = format!(
                "an earlier attempt's answer was lost; the last one said: {}: {}",
                self.0.kind, self.0.message
            );
            self.0.kind = ErrorKind::Unavailable;
        }
        self.0.effect = Effect::Unknown;
        self
    }

    /// What kind of failure it is: what to do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the mutation took effect. For reads always [`Effect::NotApplied`].
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The operation that failed, where it is known.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The key it failed on, where there is one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// What happened, without operation, key and kind.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long the service asked to be left alone, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(f, "{operation}")?;
            if let Some(key) = &self.0.key {
                write!(f, " \"{key}\"")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}", self.0.kind)?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        if self.0.effect == Effect::Unknown {
            f.write_str(" (it may have been applied)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Whether a mutation that failed took effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It did not and never will. It may be sent again.
    NotApplied,
    /// It may have, or may yet, once. Read back before anything else; see
    /// [`create_exact`](crate::StorageProviderExt::create_exact).
    Unknown,
}

/// What kind of failure it is. Two kinds differ where a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such object. Go on without it.
    NotFound,
    /// The condition does not hold, and nothing was done. Read again and decide again.
    Conflict,
    /// The object is still the version the caller has. Use that.
    NotModified,
    /// The range selects no byte of the object. Ask for its size first.
    InvalidRange,
    /// The key is longer than the provider takes. Use another.
    InvalidKey,
    /// The body is larger than the provider takes. Cut it up.
    TooLarge,
    /// The provider declares that it cannot do this. Do without.
    Unsupported,
    /// The credentials are refused or lack a right. Fix the setting the message names.
    PermissionDenied,
    /// The place is not as configured: no such bucket, another region, not this service at all. Fix the
    /// setting the message names.
    Misconfigured,
    /// No room left. Make some.
    StorageFull,
    /// Too many requests. Wait ([`Error::retry_after`]), then try again, slower.
    Throttled,
    /// It cannot be reached or did not answer in time. Try again later.
    Unavailable,
    /// What is stored, or what the place answers, breaks the contract. Do not use it; look into it.
    Corrupt,
    /// Something not foreseen. Do not try again; look into it.
    Unexpected,
}

impl ErrorKind {
    /// Whether this kind by itself says that nothing was done: the request was looked at and refused.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::NotFound
            | Self::Conflict
            | Self::NotModified
            | Self::InvalidRange
            | Self::InvalidKey
            | Self::TooLarge
            | Self::Unsupported => true,
            Self::PermissionDenied
            | Self::Misconfigured
            | Self::StorageFull
            | Self::Throttled
            | Self::Unavailable
            | Self::Corrupt
            | Self::Unexpected => false,
        }
    }

    /// Whether the same request may succeed later with nothing changed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }

    /// The kind as one word with underscores, for labels and reports.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::NotModified => "not_modified",
            Self::InvalidRange => "invalid_range",
            Self::InvalidKey => "invalid_key",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::PermissionDenied => "permission_denied",
            Self::Misconfigured => "misconfigured",
            Self::StorageFull => "storage_full",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label().replace('_', " "))
    }
}

/// The operations of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`put`](crate::StorageProvider::put)
    Put,
    /// [`get`](crate::StorageProvider::get)
    Get,
    /// [`list`](crate::StorageProvider::list)
    List,
    /// [`delete`](crate::StorageProvider::delete)
    Delete,
}

impl Operation {
    /// All of them, in the order of the trait.
    pub const ALL: [Self; 4] = [Self::Put, Self::Get, Self::List, Self::Delete];

    /// Whether it changes anything.
    #[must_use]
    pub fn is_mutation(self) -> bool {
        matches!(self, Self::Put | Self::Delete)
    }

    /// Its name, for labels and messages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

//! A watch on both sides: no request that was not declared, no answer against the contract.

use bytes::Bytes;
use storage_core::{
    Atomicity, Error, ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf,
    Result, StorageProvider, Version, async_trait,
};

/// Refuses what the provider does not declare before it can ignore it, and takes no answer that breaks
/// the contract of [`StorageProvider`].
///
/// Refused, with no request: a condition declared
/// [`Unsupported`](storage_core::Atomicity::Unsupported), a body above
/// [`object_bytes_max`](storage_core::Capabilities::object_bytes_max), a key above
/// [`key_bytes_max`](storage_core::Capabilities::key_bytes_max).
///
/// Not taken, and called [`Corrupt`](storage_core::ErrorKind::Corrupt) instead: bytes that are not those
/// asked for in number or version; a page that is out of order, outside its prefix, not after
/// `start_after`, longer than asked, or that promises more without a place to go on from; an error that
/// the request cannot have (a conflict without a condition, a missing key to a delete).
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
/// use storage_core::{Atomicity, Capabilities, ErrorKind, Key, PutIf, StorageProvider};
/// use storage_wrappers::{Guarded, Override};
///
/// # futures_executor::block_on(async {
/// let memory = MemoryProvider::new();
/// let declared =
///     Capabilities { absent: Atomicity::Unsupported, ..memory.info().capabilities };
/// let provider = Guarded::new(Override::new(memory, declared));
/// let refused = provider.put(&Key::new("a")?, "body".into(), PutIf::Absent).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Unsupported);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Guarded<P> {
    inner: P,
    info: ProviderInfo,
}

impl<P: StorageProvider> Guarded<P> {
    /// Holds `inner` to what it declares now.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let info = inner.info();
        Self { inner, info }
    }

    fn check_key(&self, key: &Key) -> Result<()> {
        let (bytes, limit) = (key.as_str().len(), self.info.capabilities.key_bytes_max);
        if bytes <= limit {
            return Ok(());
        }
        let message = format!("{bytes} bytes, but a key has at most {limit} here");
        Err(Error::not_applied(ErrorKind::InvalidKey, message))
    }

    fn check_put(&self, key: &Key, body: &Bytes, when: &PutIf) -> Result<()> {
        self.check_key(key)?;
        let capabilities = &self.info.capabilities;
        let (condition, atomicity) = match when {
            PutIf::Always => ("always", Atomicity::AllClients),
            PutIf::Absent => ("if absent", capabilities.absent),
            PutIf::Matches(_) => ("if the version matches", capabilities.matches),
        };
        if atomicity == Atomicity::Unsupported {
            let name = &self.info.name;
            let message = format!("{name} does not declare that it can put {condition}");
            return Err(Error::not_applied(ErrorKind::Unsupported, message));
        }
        let (bytes, limit) = (body.len() as u64, capabilities.object_bytes_max);
        if bytes > limit {
            let message = format!("{bytes} bytes, but an object has at most {limit} here");
            return Err(Error::not_applied(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

/// Lets an error through if a request of this kind can have it.
fn check_error(error: Error, operation: Operation, conditions: &Conditions) -> Error {
    let possible = match error.kind() {
        ErrorKind::NotFound => operation == Operation::Get,
        ErrorKind::Conflict => conditions.conflict,
        ErrorKind::NotModified => conditions.if_changed,
        ErrorKind::InvalidRange => conditions.range,
        _ => true,
    };
    if possible {
        return error;
    }
    let message = format!("an answer that a {operation} like this cannot have: {error}");
    if operation.is_mutation() {
        Error::unknown(ErrorKind::Corrupt, message).with_source(error)
    } else {
        Error::not_applied(ErrorKind::Corrupt, message).with_source(error)
    }
}

/// Which conditions a request sets, and so which refusals it can have.
#[derive(Default)]
struct Conditions {
    conflict: bool,
    if_changed: bool,
    range: bool,
}

/// Compares what was got with what was asked for; says what is wrong.
fn check_object(object: &Object, request: &Get) -> Result<(), String> {
    let Object { body, size, version } = object;
    let expected = if request.meta_only {
        0
    } else {
        match request.range {
            None => *size,
            Some(range) => match range.within(*size) {
                Ok(range) => range.end - range.start,
                Err(_) => return Err(format!("an answer to bytes {range:?} of {size}")),
            },
        }
    };
    if body.len() as u64 != expected {
        return Err(format!("{} bytes in the answer instead of {expected}", body.len()));
    }
    if request.if_match.as_ref().is_some_and(|wanted| wanted != version) {
        return Err(format!("version {version} in the answer to a request for another"));
    }
    if request.if_changed.as_ref() == Some(version) {
        return Err(format!("version {version} in the answer to a request for any other"));
    }
    Ok(())
}

/// Compares a page with what was asked for; says what is wrong.
fn check_page(page: &Page, request: &List<'_>) -> Result<(), String> {
    let limit = request.limit.max(1);
    if page.objects.len() > limit {
        return Err(format!("{} keys in a page of at most {limit}", page.objects.len()));
    }
    if page.more && page.objects.is_empty() {
        return Err("an empty page that promises more".into());
    }
    let mut before = request.start_after;
    for listed in &page.objects {
        let key = &listed.key;
        if !key.starts_with(request.prefix) {
            return Err(format!("\"{key}\" in a list of \"{}\"", request.prefix));
        }
        if let Some(before) = before.filter(|before| *before >= key) {
            return Err(format!("\"{key}\" listed after \"{before}\""));
        }
        before = Some(key);
    }
    Ok(())
}

fn corrupt(message: String) -> Error {
    Error::not_applied(ErrorKind::Corrupt, message)
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Guarded<P> {
    fn info(&self) -> ProviderInfo {
        self.info.clone()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let during = |error: Error| error.during(Operation::Put, key);
        self.check_put(key, &body, &when).map_err(during)?;
        let conditions = Conditions { conflict: when != PutIf::Always, ..Conditions::default() };
        self.inner
            .put(key, body, when)
            .await
            .map_err(|error| during(check_error(error, Operation::Put, &conditions)))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let during = |error: Error| error.during(Operation::Get, key);
        self.check_key(key).map_err(during)?;
        let conditions = Conditions {
            conflict: request.if_match.is_some(),
            if_changed: request.if_changed.is_some(),
            range: request.range.is_some() && !request.meta_only,
        };
        let object = self
            .inner
            .get(key, request.clone())
            .await
            .map_err(|error| during(check_error(error, Operation::Get, &conditions)))?;
        check_object(&object, &request).map_err(|what| during(corrupt(what)))?;
        Ok(object)
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let page = self.inner.list(request).await.map_err(|error| {
            check_error(error, Operation::List, &Conditions::default()).during_list()
        })?;
        check_page(&page, &request).map_err(|what| corrupt(what).during_list())?;
        Ok(page)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let during = |error: Error| error.during(Operation::Delete, key);
        self.check_key(key).map_err(during)?;
        let conditions = Conditions::default();
        self.inner
            .delete(key)
            .await
            .map_err(|error| during(check_error(error, Operation::Delete, &conditions)))
    }
}

//! Liars about themselves: what they declare, print and blame.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use conformance::{Denied, Hooks, Missing};
use storage_core::{Atomicity, Capabilities, Secret};

use super::lie::place;
use super::prelude::*;

liars! {
    info_changes: "honesty.info-stable", shared(InfoChanges::default()),
        "counts its requests in its name: statistics where callers keep a label";
    info_differs_between_handles: "honesty.info-stable", {
            let handles = AtomicU64::new(0);
            each(move || InfoDiffers(handles.fetch_add(1, Ordering::Relaxed)))
        },
        "promises other sizes by handle: limits asked of whichever node answered";
    conditions_reach_further_than_objects: "honesty.info-stable", shared(ReachesFar),
        "promises one winner among all clients of a table in memory: capabilities copied from another";
    body_in_debug: "honesty.no-secret", shared(BodyInDebug::default()),
        "prints the last body with `{:?}`: a derived Debug on a request kept for retries";
    body_in_error: "honesty.no-secret", shared(BodyInError),
        "quotes the body in an error: \"could not store ...\", logged by everybody above";
    secret_in_debug: "honesty.no-secret", with_secret(SecretShown { debug: true, error: false }),
        "prints its credentials with `{:?}`: a derived Debug on the settings";
    secret_in_error: "honesty.no-secret", with_secret(SecretShown { debug: false, error: true }),
        "quotes the signed request in an error: object_store's retries, RUSTSEC-2024-0358";
    missing_bucket_is_an_empty_one: "honesty.missing-bucket", missing(Nowhere { list: None, ..SAYS_SO }),
        "lists a missing bucket as empty: a 404 taken for no keys, a folder made on demand";
    missing_bucket_is_not_found: "honesty.missing-bucket", missing(Nowhere { get: ErrorKind::NotFound, ..SAYS_SO }),
        "says `NotFound` when it is the bucket that is missing: S3's NoSuchBucket is a 404 too";
    missing_bucket_deletes_fine: "honesty.missing-bucket", missing(Nowhere { delete: None, ..SAYS_SO }),
        "deletes from a missing bucket with success: every 404 of a delete is fine";
    missing_bucket_names_no_setting: "honesty.missing-bucket", missing(Nowhere { names_setting: false, ..SAYS_SO }),
        "says that something is missing, and not which setting to look at: arrow-rs-object-store#851";
    bad_credentials_are_not_found: "honesty.bad-credentials", denied(Nowhere { get: ErrorKind::NotFound, ..REFUSED }),
        "says `NotFound` when the credentials are refused: S3 hides what one may not list, passed on";
    bad_credentials_list_nothing: "honesty.bad-credentials", denied(Nowhere { list: None, ..REFUSED }),
        "lists nothing when the credentials are refused: an empty answer of an anonymous visitor";
    bad_credentials_are_unavailable: "honesty.bad-credentials", denied(Nowhere { put: ErrorKind::Unavailable, ..REFUSED }),
        "asks to try again later when the credentials are refused: 403 in the list of what to retry";
}

/// How often it was asked.
#[derive(Default)]
struct InfoChanges(AtomicU64);

impl Lie for InfoChanges {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.name =
            format!("memory, asked {} times", self.0.fetch_add(1, Ordering::Relaxed)).into();
        info
    }
}

/// Which handle it is.
struct InfoDiffers(u64);

impl Lie for InfoDiffers {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.object_bytes_max -= self.0;
        info
    }
}

struct ReachesFar;

impl Lie for ReachesFar {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        info.capabilities.absent = Atomicity::AllClients;
        info
    }
}

/// The last body put.
#[derive(Default)]
struct BodyInDebug(Mutex<Bytes>);

#[async_trait]
impl Lie for BodyInDebug {
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liar").field("last", &*self.0.lock().unwrap()).finish()
    }

    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        *self.0.lock().unwrap() = body.clone();
        honest.put(key, body, when).await
    }
}

struct BodyInError;

#[async_trait]
impl Lie for BodyInError {
    async fn put(
        &self,
        honest: &MemoryProvider,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> Result<Version> {
        let text = String::from_utf8_lossy(&body).into_owned();
        let result = honest.put(key, body, when).await;
        result.map_err(|error| Error::not_applied(error.kind(), format!("could not store {text}")))
    }
}

const SECRET: &str = "wJalrXUtnFEMI";

fn with_secret(lie: SecretShown) -> World {
    shared(lie).hooks(|_, _| Hooks { secrets: vec![Secret::new(SECRET)], ..Hooks::default() })
}

struct SecretShown {
    debug: bool,
    error: bool,
}

#[async_trait]
impl Lie for SecretShown {
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liar").field("secret", if self.debug { &SECRET } else { &"***" }).finish()
    }

    async fn get(&self, honest: &MemoryProvider, key: &Key, request: Get) -> Result<Object> {
        let quoted = if self.error { SECRET } else { "***" };
        let result = honest.get(key, request).await;
        result.map_err(|error| {
            Error::not_applied(error.kind(), format!("GET ?X-Amz-Signature={quoted}"))
        })
    }
}

/// A place that cannot be used, and what it says to each operation; `None` is success.
#[derive(Clone, Copy)]
struct Nowhere {
    put: ErrorKind,
    get: ErrorKind,
    list: Option<ErrorKind>,
    delete: Option<ErrorKind>,
    setting: &'static str,
    names_setting: bool,
}

/// A bucket that is missing, and says so.
const SAYS_SO: Nowhere = nowhere(ErrorKind::Misconfigured, "bucket");

/// A bucket that refuses the credentials, and says so.
const REFUSED: Nowhere = nowhere(ErrorKind::PermissionDenied, "secret_access_key");

const fn nowhere(kind: ErrorKind, setting: &'static str) -> Nowhere {
    Nowhere {
        put: kind,
        get: kind,
        list: Some(kind),
        delete: Some(kind),
        setting,
        names_setting: true,
    }
}

fn missing(liar: Nowhere) -> World {
    shared(Truth).hooks(move |lying, _| {
        let open = place(if lying { liar } else { SAYS_SO });
        Hooks { missing: Some(Missing { open, setting: SAYS_SO.setting }), ..Hooks::default() }
    })
}

fn denied(liar: Nowhere) -> World {
    shared(Truth).hooks(move |lying, _| {
        let open = place(if lying { liar } else { REFUSED });
        Hooks { denied: Some(Denied { open, setting: REFUSED.setting }), ..Hooks::default() }
    })
}

impl Nowhere {
    fn error(&self, kind: ErrorKind) -> Error {
        let hint = if self.names_setting { self.setting } else { "something" };
        Error::not_applied(kind, format!("the service refuses: check the setting {hint}"))
    }
}

#[async_trait]
impl Lie for Nowhere {
    async fn put(&self, _: &MemoryProvider, _: &Key, _: Bytes, _: PutIf) -> Result<Version> {
        Err(self.error(self.put))
    }

    async fn get(&self, _: &MemoryProvider, _: &Key, _: Get) -> Result<Object> {
        Err(self.error(self.get))
    }

    async fn list(&self, _: &MemoryProvider, _: List<'_>) -> Result<Page> {
        self.list.map_or(Ok(Page::default()), |kind| Err(self.error(kind)))
    }

    async fn delete(&self, _: &MemoryProvider, _: &Key) -> Result<()> {
        self.delete.map_or(Ok(()), |kind| Err(self.error(kind)))
    }
}

/// What is honest, but for what it declares.
struct Declares(fn(&mut Capabilities));

pub(crate) fn declares(change: fn(&mut Capabilities)) -> World {
    shared(Declares(change))
}

impl Lie for Declares {
    fn info(&self, honest: &MemoryProvider) -> ProviderInfo {
        let mut info = honest.info();
        (self.0)(&mut info.capabilities);
        info
    }
}

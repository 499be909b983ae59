//! What the backends on `object_store` have in common: one provider over any of its services.
//!
//! A backend names its service ([`Service`]: addresses, signatures, the meaning of its error codes)
//! and gets [`ObjectProvider`]. Read in this order:
//!
//! 1. `wire`: a connection that tells what became of each request.
//! 2. `service`: what a backend says about its service.
//! 3. `classify`: what a failed request means.
//! 4. `condition`: versions as HTTP conditions.
//! 5. `name`: keys as names in the bucket.
//! 6. `provider`, `page`, `bucket`: the operations.
//! 7. `probe`: whether a condition truly has one winner.
//! 8. `settings`: what both services' settings have in common.

mod bucket;
mod classify;
mod condition;
mod name;
mod page;
mod probe;
mod provider;
mod service;
mod settings;
mod wire;

pub use bucket::{create, destroy};
pub use classify::{UNSUPPORTED_WAY_OUT, in_doubt, refused};
pub use condition::is_entity_tag;
pub use name::Names;
pub use probe::probe;
pub use provider::ObjectProvider;
pub use service::{Call, PageRequest, Place, RawPage, Service};
pub use settings::{ConditionalPut, Http, Probe, check_endpoint, check_header_text, misconfigured};
pub use wire::{Answer, CredentialConnector, Failure, Outcome, Record, Wire};

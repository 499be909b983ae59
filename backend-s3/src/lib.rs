//! Objects in S3 and what speaks its language: AWS, MinIO, Ceph, Garage, R2, B2, Wasabi, GCS's
//! interoperable interface, SeaweedFS.
//!
//! [`Config`] says where and how, [`S3Provider::open`] verifies that the service does what is about to
//! be promised. What it guarantees is in the README; the settings are in `docs/backends/s3.md`.

mod config;
mod credentials;
mod error;
mod key_source;
mod listing;
mod profile;
mod provider;
mod service;

pub use backend_object_store::{ConditionalPut, Http, Names, Probe};
pub use config::{Checksum, Config, Credentials, OBJECT_BYTES_MAX};
pub use key_source::{KeySource, Keys, ProfileSettings};
pub use provider::S3Provider;

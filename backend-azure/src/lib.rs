//! Objects in Azure Blob Storage, or in its emulator.
//!
//! [`Config`] says where and how, [`AzureProvider::open`] verifies that the service does what is about
//! to be promised. What it guarantees is in the README; the settings are in `docs/backends/azure.md`.

mod config;
mod credentials;
mod error;
mod listing;
mod provider;
mod service;

pub use backend_object_store::{ConditionalPut, Http, Names, Probe};
pub use config::{Config, Credentials, EMULATOR_ACCOUNT, OBJECT_BYTES_MAX};
pub use provider::AzureProvider;

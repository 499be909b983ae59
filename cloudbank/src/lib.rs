//! The `cloudbank` command as a library: configuration, the registry of backends, and every command.
//!
//! The binary is three lines on top of this. A program with a backend of its own is four: it adds a type
//! to the [`Registry`] and hands it to [`main_with`].
//!
//! Read in this order:
//!
//! 1. [`Registry`], [`Backend`]: the types a provider can have.
//! 2. [`Section`], [`Setting`]: how a type reads its settings.
//! 3. [`Config`], [`Provider`]: what a configuration file means.
//! 4. [`main_with`], [`run`]: the command line.
//! 5. [`Error`], [`Code`]: why a command failed, and the exit code that says so.

mod arrays;
mod cli;
mod commands;
mod config;
mod error;
mod output;
mod providers;
mod raw;
mod registry;
mod run;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "serve")]
mod serve;

pub use config::{
    Choice, Config, Meaning, Position, Problem, Problems, Provider, Section, Setting, Severity,
    Source, Variables, closest,
};
pub use error::{Code, Error, Result};
pub use raw::{RawError, RawService};
pub use registry::{Backend, Members, Registry};
pub use run::{main_with, run};
#[cfg(feature = "s3")]
pub use s3::failure::Failure;

/// The examples of the README, which must run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

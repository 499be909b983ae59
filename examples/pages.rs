//! The code on the project's pages, run as documentation tests.

#[doc = include_str!("../README.md")]
pub mod readme {}

//! A client of the S3 protocol, for the commands on buckets and objects.
//!
//! A provider sees keys of a few characters, one bucket and whole objects. People's buckets have everything else:
//! keys with `..` in them, versions, lists of access, parts of uploads. So these commands speak S3 themselves, over
//! an HTTP client that sends an address as it is written.
//!
//! Read in this order: `endpoint`, `sign`, `wire`, `client`, then what is asked: `bucket`, `list`, `object`,
//! `multipart`, `acl`.

pub(crate) mod acl;
pub(crate) mod bucket;
pub(crate) mod checksum;
pub(crate) mod client;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod list;
pub(crate) mod multipart;
pub(crate) mod object;
mod sign;
pub(crate) mod wire;
mod xml;

pub(crate) use sign::hash as sign_hash;

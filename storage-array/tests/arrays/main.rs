//! What arrays promise beyond the contract of a provider, in virtual time.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod away;
mod damage;
mod encrypt;
mod fast;
mod losses;
mod register;
mod restore;
mod returning;
mod rig;
mod seasons;
mod shard;
mod upkeep;

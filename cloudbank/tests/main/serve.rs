//! `serve`: a real server, asked by real HTTP.

#[allow(dead_code)] // The other binary uses the rest.
pub(crate) mod client;
mod combining;
mod configured;
mod first_run;
mod hostile;
#[allow(dead_code)] // The other binary uses the rest.
pub(crate) mod running;
mod seen;

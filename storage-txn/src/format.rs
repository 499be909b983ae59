//! The bytes that a store keeps, as described in `docs/formats/store.md`.

pub(crate) mod checkpoint;
pub(crate) mod combine;
pub(crate) mod commit;
pub(crate) mod entry;
pub(crate) mod moved;
pub(crate) mod root;
pub(crate) mod segment;
pub(crate) mod value;

#[cfg(test)]
mod tests;

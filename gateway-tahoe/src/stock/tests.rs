//! Containers and folders, there and back.

mod containers;
mod moving;

//! The table `[tahoe]`: the server of Tahoe-LAFS.

use std::path::PathBuf;
use std::time::Duration;

use super::{Address, addresses};
use crate::config::section::Section;
use crate::config::source::Source;

/// Where it is served unless the configuration says otherwise.
const LISTEN: &str = "127.0.0.1:3457";
/// The folder that no configuration names, beside the configuration.
const FOLDER: &str = "cloudbank-tahoe";

/// The table `[tahoe]`.
#[cfg_attr(not(feature = "gateway-s3"), allow(dead_code, reason = "some is of S3 alone"))]
#[derive(Debug)]
pub(crate) struct TahoeSettings {
    /// Whether the table is there, so that `serve` serves it.
    pub(crate) is_given: bool,
    pub(crate) listen: Vec<Address>,
    /// What clients are told instead of where it listens: a host, or a host and a port.
    pub(crate) location: Option<String>,
    pub(crate) folder: PathBuf,
    /// Of the server in its store.
    pub(crate) name: String,
    pub(crate) nickname: String,
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) read_only: bool,
    pub(crate) cache_bytes: u64,
    /// How long after its last lease a share is let go of; `None`: never.
    pub(crate) expire_after: Option<Duration>,
    pub(crate) expire_every: Duration,
}

impl TahoeSettings {
    pub(super) fn read(section: &mut Section<'_>, source: &Source, is_given: bool) -> Self {
        let listen = section.one_or_more("listen").or(vec![LISTEN.into()]);
        let listen = addresses(section, "listen", &listen);
        let folder = section.path("folder").optional();
        let folder = folder.unwrap_or_else(|| {
            let path = source.folder.join(FOLDER);
            std::path::absolute(&path).unwrap_or(path)
        });
        let expire = section.switch("expire").or(false);
        let expire_after = section.time("expire_after").or(Duration::ZERO);
        Self {
            is_given,
            listen,
            location: section.text("location").optional(),
            folder,
            name: section.text("name").or("default".into()),
            nickname: section.text("nickname").or("cloudbank".into()),
            quota_bytes: section.size("quota").optional(),
            read_only: section.switch("read_only").or(false),
            cache_bytes: section.size("cache").or(32 << 20),
            expire_after: expire.then_some(expire_after),
            expire_every: section.time("expire_every").or(Duration::from_secs(3600)),
        }
    }
}

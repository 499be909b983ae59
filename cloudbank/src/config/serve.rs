//! The tables `[s3]`, `[server]` and `[combiner]`: what is served, to whom, within which bounds, together with whom.

#[cfg(feature = "gateway-s3")]
mod combiner;
#[cfg(feature = "gateway-s3")]
mod keys;
#[cfg(feature = "gateway-tahoe")]
mod tahoe;

use std::net::SocketAddr;
#[cfg(feature = "gateway-s3")]
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "gateway-s3")]
use gateway_s3::SignatureV2;
#[cfg(feature = "gateway-s3")]
use storage_core::Secret;

use super::document::{Entry, Table, Value};
use super::problem::Problem;
use super::reference::Variables;
use super::section::{Section, Shown};
use super::source::Source;

#[cfg(feature = "gateway-s3")]
pub(crate) use combiner::CombinerSettings;
#[cfg(feature = "gateway-s3")]
pub(crate) use keys::{KeyEntry, Level, read_keys_file};
#[cfg(feature = "gateway-tahoe")]
pub(crate) use tahoe::TahoeSettings;

/// Where S3 is served unless the configuration says otherwise.
#[cfg(feature = "gateway-s3")]
const LISTEN: &str = "127.0.0.1:9000";
/// Where the operator is served.
const ADMIN: &str = "127.0.0.1:9001";
/// Where keys are that no configuration names, beside the configuration.
#[cfg(feature = "gateway-s3")]
pub(crate) const KEYS_FILE: &str = "cloudbank-keys.toml";

/// Where the encryption key is that no configuration names, beside the configuration.
#[cfg(feature = "gateway-s3")]
const ENCRYPTION_KEY_FILE: &str = "cloudbank-encryption.key";

/// What `cloudbank serve` serves.
#[derive(Debug)]
pub(crate) struct Serving {
    #[cfg(feature = "gateway-s3")]
    pub(crate) s3: S3Settings,
    pub(crate) server: ServerSettings,
    #[cfg(feature = "gateway-s3")]
    pub(crate) combiner: Option<CombinerSettings>,
    #[cfg(feature = "gateway-tahoe")]
    pub(crate) tahoe: TahoeSettings,
    pub(super) problems: Vec<Problem>,
    /// The tables that are written, as they are meant.
    pub(super) shown: Vec<(&'static str, Vec<Shown>)>,
}

/// The table `[s3]`.
#[cfg(feature = "gateway-s3")]
#[derive(Debug)]
pub(crate) struct S3Settings {
    pub(crate) listen: Vec<Address>,
    /// A certificate with its chain, and its private key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) region: String,
    pub(crate) domains: Vec<String>,
    pub(crate) staleness_max: Option<Duration>,
    /// Where signatures of version 2 are taken.
    pub(crate) signature_v2: SignatureV2,
    pub(crate) keys: Vec<KeyEntry>,
    /// Where further keys are.
    pub(crate) keys_file: PathBuf,
    /// What objects are encrypted with where clients ask for it, in base64.
    pub(crate) encryption_key: Option<Secret>,
    /// Where that key is otherwise.
    pub(crate) encryption_key_file: PathBuf,
    /// Whether somebody has named that file, or keys, so that none are to be made up.
    pub(crate) keys_are_given: bool,
}

/// The table `[server]`.
#[cfg_attr(not(feature = "gateway-s3"), allow(dead_code, reason = "some is of S3 alone"))]
#[derive(Debug)]
pub(crate) struct ServerSettings {
    /// `None` when there is to be none.
    pub(crate) admin: Option<Address>,
    /// Whether somebody has said where, or that there is to be none.
    pub(crate) admin_is_given: bool,
    pub(crate) log: LogFormat,
    /// The address of a collector.
    pub(crate) traces: Option<String>,
    pub(crate) limits: gateway_http::Limits,
    pub(crate) cache_bytes: u64,
    /// Whether this server compacts, collects and scrubs.
    pub(crate) upkeep: bool,
    pub(crate) collect_every: Duration,
    pub(crate) scrub_every: Duration,
    pub(crate) scrub_bytes_per_second: u64,
    pub(crate) compact_every: Duration,
    pub(crate) compact_bytes_per_second: u64,
    pub(crate) expire_every: Duration,
    pub(crate) expire_records_per_second: u64,
    /// What lifecycle rules call a day: shorter in trials.
    pub(crate) expire_day: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
}

impl Address {
    /// An IP address with a port, `localhost:PORT`, or `:PORT` for all addresses of the machine.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let socket = match text.rsplit_once(':') {
            Some(("localhost", port)) => SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)),
            Some(("" | "*", port)) => SocketAddr::from(([0, 0, 0, 0], port.parse().ok()?)),
            _ => text.parse().ok()?,
        };
        Some(Self { socket })
    }
}

/// What to write for an address.
pub(crate) const ADDRESS_EXPECTED: &str =
    "an address such as \"127.0.0.1:9000\", or \":9000\" for all of this machine";

impl Serving {
    pub(super) fn read(
        [s3, server, combiner, tahoe]: [Option<&Entry>; 4],
        source: &Source,
        variables: &Variables,
    ) -> Self {
        let empty = Table::new();
        let (mut problems, mut shown) = (Vec::new(), Vec::new());
        let table = |entry: Option<&Entry>| match entry {
            Some(Entry { value: Value::Table(_), name_span, .. }) => name_span.clone(),
            _ => 0..0,
        };
        let settings = |entry: Option<&'_ Entry>| match entry.map(|entry| &entry.value) {
            Some(Value::Table(table)) => table.clone(),
            _ => empty.clone(),
        };
        let server_table = settings(server);
        #[cfg(feature = "gateway-s3")]
        let s3_settings = {
            let s3_table = settings(s3);
            let mut section = Section::of_table("[s3]", table(s3), &s3_table, source, variables);
            let mut key_problems = Vec::new();
            let s3_settings = S3Settings::read(&mut section, source, variables, &mut key_problems);
            let read = section.finish();
            problems.extend(read.problems);
            problems.extend(key_problems);
            if s3.is_some() {
                shown.push(("[s3]", read.shown));
            }
            s3_settings
        };
        let mut section =
            Section::of_table("[server]", table(server), &server_table, source, variables);
        let server_settings = ServerSettings::read(&mut section);
        let read = section.finish();
        problems.extend(read.problems);
        if server.is_some() {
            shown.push(("[server]", read.shown));
        }
        #[cfg(feature = "gateway-s3")]
        let combiner_settings = combiner.and_then(|entry| {
            let settings = settings(Some(entry));
            let span = table(Some(entry));
            let mut section = Section::of_table("[combiner]", span, &settings, source, variables);
            let combiner_settings = CombinerSettings::read(&mut section);
            let read = section.finish();
            problems.extend(read.problems);
            shown.push(("[combiner]", read.shown));
            combiner_settings
        });
        #[cfg(feature = "gateway-tahoe")]
        let tahoe_settings = {
            let tahoe_table = settings(tahoe);
            let mut section =
                Section::of_table("[tahoe]", table(tahoe), &tahoe_table, source, variables);
            let read_settings = TahoeSettings::read(&mut section, source, tahoe.is_some());
            let read = section.finish();
            problems.extend(read.problems);
            if tahoe.is_some() {
                shown.push(("[tahoe]", read.shown));
            }
            read_settings
        };
        // The tables of gateways that are not there say nothing.
        let _ = (s3, combiner, tahoe);
        Self {
            #[cfg(feature = "gateway-s3")]
            s3: s3_settings,
            server: server_settings,
            #[cfg(feature = "gateway-s3")]
            combiner: combiner_settings,
            #[cfg(feature = "gateway-tahoe")]
            tahoe: tahoe_settings,
            problems,
            shown,
        }
    }
}

#[cfg(feature = "gateway-s3")]
impl S3Settings {
    fn read(
        section: &mut Section<'_>,
        source: &Source,
        variables: &Variables,
        key_problems: &mut Vec<Problem>,
    ) -> Self {
        let listen = section.one_or_more("listen").or(vec![LISTEN.into()]);
        let listen = addresses(section, "listen", &listen);
        section.only_together("tls_certificate", &["tls_key"]);
        section.only_together("tls_key", &["tls_certificate"]);
        let certificate = section.path("tls_certificate").optional();
        let key = section.path("tls_key").optional();
        let region = section.text("region").or("us-east-1".into());
        let domains = section.one_or_more("domains").or(Vec::new());
        let staleness_max = section.time("staleness_max").optional();
        let (off, on) = (("off", SignatureV2::Off), ("on", SignatureV2::On));
        let signature_v2 = section
            .choice("signature_v2", &[off, ("urls", SignatureV2::Urls), on])
            .or("urls", SignatureV2::Urls);
        let has_file = section.has("keys_file");
        let keys_file = section.path("keys_file").optional();
        let keys = section.entry("keys");
        let keys_are_given = has_file || keys.is_some();
        let keys = keys::read_keys("[[s3.keys]]", keys, source, variables, key_problems);
        let keys_file = keys_file.unwrap_or_else(|| {
            let path = source.folder.join(KEYS_FILE);
            std::path::absolute(&path).unwrap_or(path)
        });
        let encryption_key = section.secret("encryption_key").optional();
        let encryption_key_file = section.path("encryption_key_file").optional();
        let encryption_key_file = encryption_key_file.unwrap_or_else(|| {
            let path = source.folder.join(ENCRYPTION_KEY_FILE);
            std::path::absolute(&path).unwrap_or(path)
        });
        let tls = certificate.zip(key);
        Self {
            listen,
            tls,
            region,
            domains,
            staleness_max,
            signature_v2,
            keys,
            keys_file,
            keys_are_given,
            encryption_key,
            encryption_key_file,
        }
    }
}

impl ServerSettings {
    fn read(section: &mut Section<'_>) -> Self {
        let admin_is_given = section.has("admin");
        let admin = section.text("admin").or(ADMIN.into());
        let admin = match admin.as_str() {
            "off" => None,
            text => addresses(section, "admin", &[text.to_owned()]).pop(),
        };
        let log = section
            .choice("log", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
            .or("text", LogFormat::Text);
        let mut limits = gateway_http::Limits::default();
        let number = |section: &mut Section<'_>, name: &str, default: usize| {
            section.number(name, 1, 1 << 20).or(default as u64) as usize
        };
        limits.connections_max = number(section, "connections_max", limits.connections_max);
        limits.requests_max = number(section, "requests_max", limits.requests_max);
        limits.waiting_max = number(section, "waiting_max", limits.waiting_max);
        limits.waiting_time_max = section.time("waiting_time_max").or(limits.waiting_time_max);
        let memory = section.size("memory_max").or(limits.memory_bytes_max as u64);
        limits.memory_bytes_max = usize::try_from(memory).unwrap_or(usize::MAX);
        limits.body_bytes_max = section.size("body_max").or(limits.body_bytes_max);
        limits.header_time_max = section.time("header_time_max").or(limits.header_time_max);
        limits.idle_time_max = section.time("idle_time_max").or(limits.idle_time_max);
        limits.stall_time_max = section.time("stall_time_max").or(limits.stall_time_max);
        limits.body_bytes_per_second_min =
            section.size("body_rate_min").or(limits.body_bytes_per_second_min);
        limits.request_time_max = section.time("request_time_max").or(limits.request_time_max);
        limits.drain_time_max = section.time("drain_time_max").or(limits.drain_time_max);
        Self {
            admin,
            admin_is_given,
            log,
            traces: section.text("traces").optional(),
            limits,
            cache_bytes: section.size("cache").or(64 << 20),
            upkeep: section.switch("upkeep").or(true),
            collect_every: section.time("collect_every").or(Duration::from_secs(3600)),
            scrub_every: section.time("scrub_every").or(Duration::from_secs(7 * 24 * 3600)),
            scrub_bytes_per_second: section.size("scrub_rate").or(4 << 20),
            compact_every: section.time("compact_every").or(Duration::from_secs(10 * 60)),
            compact_bytes_per_second: section.size("compact_rate").or(16 << 20),
            expire_every: section.time("expire_every").or(Duration::from_secs(3600)),
            expire_records_per_second: section.number("expire_rate", 1, 1 << 30).or(5000),
            expire_day: section.time("expire_day").or(Duration::from_secs(24 * 3600)),
        }
    }
}

/// The addresses that a setting names; what is none is noted.
fn addresses(section: &mut Section<'_>, name: &str, texts: &[String]) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in texts {
        match Address::parse(text) {
            Some(address) => addresses.push(address),
            None => section.problem(
                name,
                Problem::error(format!(
                    "`{name}` has {text:?} in it, which is no address to listen on"
                ))
                .expected(ADDRESS_EXPECTED),
            ),
        }
    }
    if texts.is_empty() {
        section
            .problem(name, Problem::error(format!("`{name}` is empty")).expected(ADDRESS_EXPECTED));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_this_machine() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = Address::parse(text).map(|address| address.socket.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        };
        check("127.0.0.1:9000", Some("127.0.0.1:9000"));
        check("localhost:0", Some("127.0.0.1:0"));
        check(":9000", Some("0.0.0.0:9000"));
        check("*:80", Some("0.0.0.0:80"));
        check("[::1]:9000", Some("[::1]:9000"));
        check("9000", None);
        check("127.0.0.1", None);
        check("s3.example.org:9000", None);
        check("127.0.0.1:99999", None);
    }
}

//! Two servers on one store: one speaks HTTP, the other HTTPS. What one has written the other shows.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::running::Running;
use crate::support::Bench;

pub(crate) const ACCESS_KEY: &str = "cloudbank";
pub(crate) const SECRET_KEY: &str = "cloudbank-secret";
/// Below it, each bucket has a host of its own.
pub(crate) const DOMAIN: &str = "s3.localhost";

/// The servers, started when they are first needed.
pub(crate) struct Place {
    servers: Mutex<Option<Servers>>,
    buckets: AtomicU64,
}

struct Servers {
    bench: Bench,
    plain: Running,
    tls: Running,
}

/// What a case is told, as variables.
pub(crate) type Told = Vec<(&'static str, String)>;

impl Place {
    pub(crate) fn new() -> Self {
        Self { servers: Mutex::new(None), buckets: AtomicU64::new(0) }
    }

    /// Where everything is, for a case that nothing else is told.
    pub(crate) fn told(&self) -> Told {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = servers.get_or_insert_with(Servers::start);
        let bucket = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        told(&servers.plain.host(), &servers.tls.host(), bucket)
    }

    /// Ends the servers; what they should not have said.
    pub(crate) fn close(&self) -> Vec<String> {
        let Some(servers) = self.servers.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        for server in [servers.plain, servers.tls] {
            let ended = server.stop();
            let bad = |line: &&str| {
                line.contains("panicked")
                    || (line.contains("status=\"5") && !line.contains("status=\"501"))
            };
            problems.extend(ended.logs.lines().filter(bad).map(str::to_owned));
            if ended.status.code() != Some(0) {
                problems.push(format!("a server ended with {}: {}", ended.status, ended.logs));
            }
        }
        let verified = servers.bench.session("store verify");
        if verified.contains("not sound") {
            problems.push(verified);
        }
        problems
    }
}

impl Servers {
    fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let bench = Bench::with_config(&config(""));
        let files = ["certificate", "key"].map(|what| {
            let file = if what == "key" { "server.key" } else { "server.pem" };
            format!("tls_{what} = {:?}\n", here.join(file).display().to_string())
        });
        bench.write("tls.toml", config(&files.concat()));
        // The second finds the store that the first has made.
        let plain = Running::start(&bench, "");
        let tls = Running::start(&bench, "--config tls.toml");
        Self { bench, plain, tls }
    }
}

/// A store in a folder, and whom it is served to.
pub(crate) fn config(more: &str) -> String {
    format!(
        "[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\"\n\
         [s3]\ndomains = [\"{DOMAIN}\"]\n{more}\
         [[s3.keys]]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n"
    )
}

/// What a case is told of these servers and its bucket.
pub(crate) fn told(host: &str, tls_host: &str, bucket: String) -> Told {
    let certificate = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/server.pem");
    vec![
        ("S3_URL", format!("http://{host}")),
        ("S3_TLS_URL", format!("https://{tls_host}")),
        ("S3_CERTIFICATE", certificate.display().to_string()),
        ("S3_DOMAIN", DOMAIN.to_owned()),
        ("S3_ACCESS_KEY", ACCESS_KEY.to_owned()),
        ("S3_SECRET_KEY", SECRET_KEY.to_owned()),
        ("S3_REGION", "us-east-1".to_owned()),
        ("S3_BUCKET", bucket),
    ]
}

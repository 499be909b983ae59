//! A server of Tahoe-LAFS that is killed again and again, under load.
//!
//! Of what it has answered with 201 or `success` nothing may be lost or partial: a share is there with all its bytes, and
//! all shares of a slot are of the version that was acknowledged last, or of the one after it that nobody heard of.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How many seconds it goes on.
const SECONDS: &str = "CLOUDBANK_SOAK_SECONDS";
/// Unless the environment says otherwise.
const SECONDS_OF_A_TEST: u64 = 8;
const CLIENTS: u64 = 4;
/// The longest that a server lives before it is killed.
const LIFE_MILLIS_MAX: u64 = 1500;
/// How long a server may take to start. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Some shares are larger than what goes into the log, and come in two writes.
const LARGE_BYTES: usize = 300_000;
const SHARES: u8 = 3;

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Files that are stored, each with the size of its share.
    files: Mutex<Vec<(String, usize)>>,
    /// The versions of slots: the last that was acknowledged, and the last that was tried.
    slots: Mutex<BTreeMap<u64, (u64, u64)>>,
    files_begun: AtomicU64,
}

/// A server in a process of its own, that is killed in the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How to ask it.
struct Client {
    http: reqwest::Client,
    base: String,
    authorization: String,
}

pub(crate) fn run() {
    let seconds = std::env::var(SECONDS).map_or(SECONDS_OF_A_TEST, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seed: u64 = rand::random();
    println!("a server is killed for {seconds} s, seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (told, until, mut kills) =
        (Told::default(), Instant::now() + Duration::from_secs(seconds), 0);
    while kills == 0 || Instant::now() < until {
        let (server, client) = start(folder.path());
        let dead = AtomicBool::new(false);
        let life = Duration::from_millis(rng.random_range(100..LIFE_MILLIS_MAX));
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (client, told, dead, runtime) = (&client, &told, &dead, &runtime);
                scope.spawn(move || {
                    let done = runtime.block_on(work(client, number, told, dead));
                    // Before the server was killed nothing may go wrong.
                    if let Err(problem) = done {
                        assert!(dead.load(Ordering::SeqCst), "before it was killed: {problem}");
                    }
                });
            }
            std::thread::sleep(life);
            // Said first: an error may be seen at once.
            dead.store(true, Ordering::SeqCst);
            drop(server);
        });
        kills += 1;
    }
    let (_server, client) = start(folder.path());
    let files = told.files.lock().unwrap();
    let slots = told.slots.lock().unwrap();
    runtime.block_on(async {
        for (index, size) in &*files {
            let (status, body) =
                client.ask("GET", &format!("immutable/{index}/0"), &[], vec![]).await.unwrap();
            assert_eq!(status, 200, "{index} was acknowledged");
            assert!(body == content(index, *size), "{index} is another");
        }
        for (slot, (acknowledged, tried)) in &*slots {
            let mut versions = Vec::new();
            for share in 0..SHARES {
                let path = format!("mutable/{}/{share}", index_of(1_000_000 + slot));
                versions.push(client.ask("GET", &path, &[], vec![]).await.unwrap());
            }
            let (status, version) = &versions[0];
            assert!(
                versions.iter().all(|other| other == &versions[0]),
                "slot {slot}: {versions:?}"
            );
            if *acknowledged == 0 && *status == 404 {
                continue;
            }
            assert_eq!(*status, 200, "slot {slot} has version {acknowledged}");
            let version = u64::from_be_bytes(version[..].try_into().unwrap());
            let told = *acknowledged..=*tried;
            assert!(told.contains(&version), "slot {slot} is {version}, and not of {told:?}");
        }
    });
    println!(
        "{} files and {} slots, of {} begun, by a server that was killed {kills} times",
        files.len(),
        slots.len(),
        told.files_begun.load(Ordering::Relaxed)
    );
    assert!(!files.is_empty() && !slots.is_empty());
}

/// Uploads files and changes a slot, until something goes wrong.
async fn work(client: &Client, number: u64, told: &Told, dead: &AtomicBool) -> Result<(), String> {
    while !dead.load(Ordering::SeqCst) {
        let file = told.files_begun.fetch_add(1, Ordering::Relaxed);
        let index = index_of(file);
        let size = if file % 4 == 3 { LARGE_BYTES } else { 100 + file as usize % 1000 };
        let secrets = [LEASES[0], LEASES[1], UPLOAD];
        let mut body =
            hex("a26d73686172652d6e756d62657273d9010281006e616c6c6f63617465642d73697a651a");
        body.extend((size as u32).to_be_bytes());
        expect(200, client.ask("POST", &format!("immutable/{index}"), &secrets, body).await?)?;
        let data = content(&index, size);
        let half = if size == LARGE_BYTES { size / 2 } else { 0 };
        for (from, to) in [(0, half), (half, size)] {
            if from == to {
                continue;
            }
            let range = format!("bytes {from}-{}/*", to - 1);
            let headers = [("content-range", &range[..]), UPLOAD];
            let path = format!("immutable/{index}/0");
            let answer = client.ask("PATCH", &path, &headers, data[from..to].to_vec()).await?;
            expect(if to == size { 201 } else { 200 }, answer)?;
        }
        told.files.lock().unwrap().push((index, size));

        let (seen, tried) = told.slots.lock().unwrap().get(&number).copied().unwrap_or((0, 0));
        // What was tried before a kill may have been done, so the next is another.
        let next = seen.max(tried) + 1;
        told.slots.lock().unwrap().insert(number, (seen, next));
        let path = format!("mutable/{}/read-test-write", index_of(1_000_000 + number));
        let secrets = [LEASES[0], LEASES[1], ENABLER];
        let answer = expect(200, client.ask("POST", &path, &secrets, write_all(next)).await?)?;
        if !answer.starts_with(&hex("a26773756363657373f5")) {
            return Err(format!("a slot was not written: {answer:?}"));
        }
        told.slots.lock().unwrap().insert(number, (next, next));
    }
    Ok(())
}

/// A read-test-write that gives all shares of a slot this version.
fn write_all(version: u64) -> Vec<u8> {
    let mut body = hex("a272746573742d77726974652d766563746f7273");
    body.push(0xa0 + SHARES);
    for share in 0..SHARES {
        body.push(share);
        body.extend(hex("a3647465737480657772697465 81a2666f6666736574006464617461 48"));
        body.extend(version.to_be_bytes());
        body.extend(hex("6a6e65772d6c656e677468f6"));
    }
    body.extend(hex("6b726561642d766563746f7280"));
    body
}

impl Client {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let method = method.parse::<reqwest::Method>().map_err(|error| error.to_string())?;
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.base))
            .header("authorization", &self.authorization)
            .header("accept", "application/cbor")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.map_err(|error| format!("{path}: {error}"))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| format!("{path}: {error}"))?;
        Ok((status, body.to_vec()))
    }
}

fn expect(status: u16, (found, body): (u16, Vec<u8>)) -> Result<Vec<u8>, String> {
    match found == status {
        true => Ok(body),
        false => Err(format!("{found} instead of {status}: {}", String::from_utf8_lossy(&body))),
    }
}

/// Starts the server of a folder, and waits until it says where it is.
fn start(folder: &Path) -> (Server, Client) {
    let nurl_at = folder.join("nurl");
    let _ = std::fs::remove_file(&nurl_at);
    let child = Command::new(env!("CARGO_BIN_EXE_cloudbank"))
        .args(["serve", "tahoe", "--quiet", "--port", "0", "--dir"])
        .arg(folder)
        .current_dir(folder)
        .env_remove("CLOUDBANK_CONFIG")
        .env("XDG_CONFIG_HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let since = Instant::now();
    let nurl = loop {
        if let Ok(nurl) = std::fs::read_to_string(&nurl_at) {
            break nurl;
        }
        assert!(server.0.try_wait().unwrap().is_none(), "the server has ended");
        assert!(since.elapsed() < PATIENCE, "the server does not say where it is");
        std::thread::sleep(Duration::from_millis(10));
    };
    let (place, swissnum) =
        nurl.split_once('@').and_then(|(_, rest)| rest.split_once('/')).unwrap();
    let swissnum = swissnum.strip_suffix("#v=1").unwrap();
    // Another may have been first: then it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap();
    let client = Client {
        http,
        base: format!("https://{place}/storage/v1"),
        authorization: format!("Tahoe-LAFS {}", STANDARD.encode(swissnum)),
    };
    (server, client)
}

/// A storage index: 26 characters, of which the last has two bits only.
fn index_of(number: u64) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
    let letters: String =
        (0..12).map(|at| LETTERS[(number >> (5 * at)) as usize % 32] as char).collect();
    format!("{letters}aaaaaaaaaaaaaa")
}

/// What is in a share: the name of its file, again and again.
fn content(index: &str, size: usize) -> Vec<u8> {
    index.bytes().cycle().take(size).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

const LEASES: [(&str, &str); 2] = [
    (SECRET, "lease-renew-secret BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="),
    (SECRET, "lease-cancel-secret CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="),
];
const UPLOAD: (&str, &str) = (SECRET, "upload-secret wEqD3lx6EtM22q6/lZGygN82Acw=");
const ENABLER: (&str, &str) =
    (SECRET, "write-enabler CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=");
const SECRET: &str = "x-tahoe-authorization";

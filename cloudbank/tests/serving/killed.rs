//! Two servers on one provider, one of which is killed again and again.
//!
//! Clients of the other must notice nothing: every request of theirs is answered as if nothing had happened. And every
//! object whose put was acknowledged, by either, must be there, whole.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::client::Client;
use crate::running::Running;
use crate::support::Bench;

/// How many seconds each place is soaked.
pub(crate) const SECONDS: &str = "CLOUDBANK_SOAK_SECONDS";
/// Unless the environment says otherwise.
const SECONDS_OF_A_TEST: u64 = 8;
const CLIENTS: u64 = 4;
/// The longest that a server lives before it is killed.
const LIFE_MILLIS_MAX: u64 = 1500;
/// Some objects are larger than what goes into the log.
const LARGE_BYTES: usize = 5 << 20;
pub(crate) const ACCESS_KEY: &str = "soak";
pub(crate) const SECRET_KEY: &str = "soak-has-a-secret";

pub(crate) fn run(name: &str, endpoint: Option<&str>) {
    let seconds = std::env::var(SECONDS).map_or(SECONDS_OF_A_TEST, |text| text.parse().unwrap());
    let bench = Bench::with_config(&config(name, endpoint));
    if endpoint.is_some() {
        bench.ok("provider create");
    }
    let seed: u64 = rand::random();
    println!("{name}: two servers for {seconds} s, seed {seed}");
    let steady = Running::start(&bench, "");
    let client = steady.client_as(ACCESS_KEY, SECRET_KEY);
    assert_eq!(client.put("/bucket", b"").unwrap().status, 200);

    let told = Told::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    let kills = std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (client, told) = (&client, &told);
            // Whatever goes wrong here is a failure of the test.
            scope.spawn(move || {
                put_until(client, &format!("steady-{number}"), told, || Instant::now() >= until)
                    .unwrap_or_else(|problem| panic!("a client of the other server: {problem}"));
            });
        }
        kill_until(&bench, until, seed, &told)
    });
    let puts = told.puts.lock().unwrap();
    check(&client, &puts, "through the server that lived");
    let fresh = Running::start(&bench, "");
    check(&fresh.client_as(ACCESS_KEY, SECRET_KEY), &puts, "through a new server");
    println!(
        "{name}: {} puts acknowledged, {} of them by servers that were killed {kills} times, {} never told",
        puts.len(),
        puts.iter().filter(|put| !put.0.contains("steady")).count(),
        told.untold.load(Ordering::Relaxed),
    );
    assert!(kills > 0 && !puts.is_empty());
    for server in [steady, fresh] {
        let ended = server.stop();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
    }
    let verified = bench.session("store verify");
    assert!(!verified.contains("not sound"), "{verified}");
    if endpoint.is_some() {
        bench.ok("provider rm --prefix= --yes");
        bench.ok("provider destroy --yes");
    }
}

/// What clients were told.
#[derive(Default)]
pub(crate) struct Told {
    /// Objects that are stored, each with its size.
    pub(crate) puts: Mutex<Vec<(String, usize)>>,
    /// Puts that nobody answered.
    pub(crate) untold: AtomicU64,
}

/// Starts a server with clients of its own, kills it, and so on.
fn kill_until(bench: &Bench, until: Instant, seed: u64, told: &Told) -> u32 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut kills = 0;
    while Instant::now() < until {
        let server = Running::start(bench, "");
        let client = server.client_as(ACCESS_KEY, SECRET_KEY);
        let dead = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (client, dead) = (&client, &dead);
                let name = format!("killed-{kills}-{number}");
                scope.spawn(move || {
                    let done = put_until(client, &name, told, || dead.load(Ordering::SeqCst));
                    // Before the server was killed nothing may go wrong.
                    if let Err(problem) = done {
                        assert!(dead.load(Ordering::SeqCst), "before it was killed: {problem}");
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(100..LIFE_MILLIS_MAX)));
            // Said first: an error may be seen at once.
            dead.store(true, Ordering::SeqCst);
            server.kill();
        });
        kills += 1;
    }
    kills
}

/// Puts objects, reads each back, until it is to stop or something goes wrong.
pub(crate) fn put_until(
    client: &Client,
    name: &str,
    told: &Told,
    stop: impl Fn() -> bool,
) -> Result<(), String> {
    let mut number = 0;
    while !stop() {
        let target = format!("/bucket/{name}/{number}");
        let size = if number % 16 == 7 { LARGE_BYTES } else { 100 + number };
        let answer = client.put(&target, &content(&target, size)).map_err(|error| {
            told.untold.fetch_add(1, Ordering::Relaxed);
            format!("put {target}: {error}")
        })?;
        if answer.status != 200 {
            return Err(format!("put {target}: {answer:?}"));
        }
        told.puts.lock().unwrap().push((target.clone(), size));
        let back = client.get(&target).map_err(|error| format!("get {target}: {error}"))?;
        if back.status != 200 || back.body != content(&target, size) {
            return Err(format!("get {target}: {}, {} bytes", back.status, back.body.len()));
        }
        number += 1;
    }
    Ok(())
}

/// All that was acknowledged is there, whole.
pub(crate) fn check(client: &Client, puts: &[(String, usize)], how: &str) {
    for (target, size) in puts {
        let answer = client.get(target).unwrap();
        assert_eq!(answer.status, 200, "{target} {how}: {}", answer.head);
        assert!(answer.body == content(target, *size), "{target} {how} is another");
    }
}

/// What is in an object: its own name, again and again.
pub(crate) fn content(target: &str, size: usize) -> Vec<u8> {
    target.bytes().cycle().take(size).collect()
}

pub(crate) fn config(name: &str, endpoint: Option<&str>) -> String {
    let bucket = format!("serving-{}", std::process::id());
    let provider = match endpoint {
        None => {
            "type = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\"\n".into()
        }
        // What has to be verified of the service is, by the suite; here servers are started by the dozen.
        Some(endpoint) => format!(
            "type = \"s3\"\nendpoint = \"{endpoint}\"\nallow_http = true\nbucket = \"{bucket}\"\n\
             access_key_id = \"cloudbank\"\nsecret_access_key = \"cloudbank-secret\"\nprobe = \"off\"\n\
             request_timeout = \"2m\"\n"
        ),
    };
    format!(
        "[providers.{name}]\n{provider}[[s3.keys]]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n"
    )
}

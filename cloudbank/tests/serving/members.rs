//! A server whose objects are on three others, of which one after the other is killed, or loses its disk.
//!
//! Clients must notice nothing but that they wait: no request of theirs may fail, nothing that was acknowledged may be
//! lost, and after each loss the array must come back to its full redundancy.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::client::Client;
use crate::killed::{ACCESS_KEY, SECONDS, SECRET_KEY, content};
use crate::running::Running;
use crate::support::Bench;

/// Unless the environment says otherwise.
const SECONDS_OF_A_TEST: u64 = 6;
const MEMBERS: usize = 3;
const CLIENTS: usize = 3;
/// What goes into the log, and what does not.
const SIZES: [usize; 4] = [100, 40_000, 300_000, 2 << 20];
/// How long a repair may be tried again. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) fn run() {
    let seconds = std::env::var(SECONDS).map_or(SECONDS_OF_A_TEST, |text| text.parse().unwrap());
    let seed: u64 = rand::random();
    println!("three members for {seconds} s, seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut members: Vec<_> = (0..MEMBERS).map(|_| Member::new()).collect();
    let bench = Bench::with_config(&config(&members));
    let top = Running::start(&bench, "");
    let client = top.client_as(ACCESS_KEY, SECRET_KEY);
    assert_eq!(client.put("/bucket", b"").unwrap().status, 200);

    let puts = Mutex::new(Vec::new());
    let over = AtomicBool::new(false);
    let until = Instant::now() + Duration::from_secs(seconds);
    let rounds = std::thread::scope(|scope| {
        let working: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, puts, over) = (&client, &puts, &over);
                scope.spawn(move || work(client, number, puts, over))
            })
            .collect();
        // Clients end when this does, also when it fails: else nobody would hear of it.
        let _over = Over(&over);
        let mut rounds = 0;
        // At least one of each, however slow the machine.
        while rounds == 0 || Instant::now() < until {
            let at = rng.random_range(0..MEMBERS);
            members[at].kill();
            wait_for(&puts, 6, &working);
            members[at].start();
            repair(&bench);
            let at = (at + rng.random_range(1..MEMBERS)) % MEMBERS;
            members[at].kill();
            fs::remove_dir_all(members[at].bench.path("data")).unwrap();
            wait_for(&puts, 3, &working);
            members[at].start();
            members[at].make_bucket();
            wait_for(&puts, 3, &working);
            repair(&bench);
            rounds += 1;
        }
        over.store(true, Ordering::SeqCst);
        for client in working {
            client.join().unwrap();
        }
        rounds
    });
    let puts = puts.into_inner().unwrap();
    check(&client, &puts, "with all of them");
    println!("{} puts acknowledged, {rounds} members killed and {rounds} wiped", puts.len());
    repair(&bench);
    bench.ok("array status -p safe");
    // Any one of them is not needed.
    members[rng.random_range(0..MEMBERS)].kill();
    check(&client, &puts, "without one of them");
    let ended = top.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
    let verified = bench.session("store verify");
    assert!(verified.contains("sound: ") && !verified.contains("not sound"), "{verified}");
}

/// Tells the clients that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A server that keeps pieces.
struct Member {
    bench: Bench,
    port: u16,
    running: Option<Running>,
}

impl Member {
    fn new() -> Self {
        let bench = Bench::with_config(&format!(
            "[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\n\
             durability = \"process-crash\"\n{}",
            keys()
        ));
        let running = Running::start(&bench, "");
        let port = running.host().rsplit_once(':').unwrap().1.parse().unwrap();
        let member = Self { bench, port, running: Some(running) };
        member.make_bucket();
        member
    }

    fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Starts it where it was.
    fn start(&mut self) {
        let arguments = format!("--listen 127.0.0.1:{}", self.port);
        self.running = Some(Running::start(&self.bench, &arguments));
    }

    fn make_bucket(&self) {
        let client = Client {
            host: format!("127.0.0.1:{}", self.port),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
        };
        assert_eq!(client.put("/pieces", b"").unwrap().status, 200);
    }
}

fn keys() -> String {
    format!("[[s3.keys]]\naccess_key = \"{ACCESS_KEY}\"\nsecret_key = \"{SECRET_KEY}\"\n")
}

fn config(members: &[Member]) -> String {
    let member = |(at, member): (usize, &Member)| {
        format!(
            "[providers.s{at}]\ntype = \"s3\"\nendpoint = \"http://127.0.0.1:{}\"\nallow_http = true\n\
             bucket = \"pieces\"\naccess_key_id = \"{ACCESS_KEY}\"\n\
             secret_access_key = \"{SECRET_KEY}\"\nprobe = \"off\"\nretries_max = 1\n",
            member.port
        )
    };
    let members: String = members.iter().enumerate().map(member).collect();
    format!(
        "{members}[providers.log]\ntype = \"fs\"\npath = \"log\"\ncreate = true\n\
         durability = \"process-crash\"\n[providers.safe]\ntype = \"erasure\"\ndata = 2\n\
         parity = 1\nmembers = [\"s0\", \"s1\", \"s2\"]\n[store]\nlog = \"log\"\n\
         objects = \"safe\"\n{}",
        keys()
    )
}

/// Puts objects and reads them, and earlier ones, until it is over. Nothing may fail.
fn work(client: &Client, name: usize, puts: &Mutex<Vec<(String, usize)>>, over: &AtomicBool) {
    let mut mine: Vec<(String, usize)> = Vec::new();
    for number in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let target = format!("/bucket/{name}/{number}");
        let size = SIZES[(number + name) % SIZES.len()];
        let answer = client
            .put(&target, &content(&target, size))
            .unwrap_or_else(|error| panic!("put {target} of {size} bytes: {error}"));
        assert_eq!(answer.status, 200, "put {target}: {answer:?}");
        mine.push((target.clone(), size));
        puts.lock().unwrap().push((target, size));
        for (target, size) in [&mine[number], &mine[number * 7 % mine.len()]] {
            let back = client.get(target).unwrap();
            assert_eq!(back.status, 200, "get {target}: {}", back.head);
            assert!(back.body == content(target, *size), "{target} is another");
        }
    }
}

/// Waits until so many more puts are acknowledged, or a client has failed.
fn wait_for<T>(
    puts: &Mutex<Vec<(String, usize)>>,
    more: usize,
    working: &[std::thread::ScopedJoinHandle<'_, T>],
) {
    let wanted = puts.lock().unwrap().len() + more;
    while puts.lock().unwrap().len() < wanted {
        assert!(
            !working.iter().any(std::thread::ScopedJoinHandle::is_finished),
            "a client has failed"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Brings the array back to its full redundancy.
fn repair(bench: &Bench) {
    let since = Instant::now();
    loop {
        let said = bench.session("array repair -p safe");
        if !said.contains("[1]") {
            assert!(said.contains("whole: "), "{said}");
            return;
        }
        // What is put at this moment may be on some members and not on others yet.
        assert!(since.elapsed() < PATIENCE, "{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn check(client: &Client, puts: &[(String, usize)], how: &str) {
    for (target, size) in puts {
        let answer = client.get(target).unwrap();
        assert_eq!(answer.status, 200, "{target} {how}: {}", answer.head);
        assert!(answer.body == content(target, *size), "{target} {how} is another");
    }
}

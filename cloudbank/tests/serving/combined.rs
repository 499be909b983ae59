//! Three servers on one provider that combine commits, and the combiner is killed.
//!
//! While it lives, all entries of the log are its own. When it is killed, clients of the others must notice nothing: every
//! request of theirs is answered, and what was acknowledged, by any of the three, is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::killed::{ACCESS_KEY, SECRET_KEY, Told, check, config, put_until};
use crate::running::Running;
use crate::support::Bench;

/// Of each server.
const CLIENTS: usize = 4;
/// How many objects are put while all live, before the combiner is killed, and after it.
const PUTS: usize = 120;
/// How long anything may take. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody is given up on a slow machine: only a connection that breaks is the end of a combiner here.
const SETTINGS: &str = "secret = \"all three of them know this\"\nwait_max = \"2m\"";

pub(crate) fn run() {
    let store = config("fs", None);
    let bench = Bench::with_config(&store);
    let listen = format!("{store}\n[combiner]\nlisten = \"127.0.0.1:0\"\n{SETTINGS}\n");
    bench.write("combiner.toml", listen);
    let combiner = Running::start(&bench, "--config combiner.toml");
    let address = combiner.said["combiner"].as_str().unwrap().to_owned();
    let handing = format!("{store}\n[combiner]\naddress = \"http://{address}\"\n{SETTINGS}\n");
    bench.write("handing.toml", handing);
    let others = [0, 1].map(|_| Running::start(&bench, "--config handing.toml"));
    let clients =
        [&combiner, &others[0], &others[1]].map(|it| it.client_as(ACCESS_KEY, SECRET_KEY));
    assert_eq!(clients[0].put("/bucket", b"").unwrap().status, 200);
    for (other, client) in others.iter().zip(&clients[1..]) {
        until("the servers find each other", || {
            assert_eq!(client.put("/bucket/meeting", b"").unwrap().status, 200);
            other.metric("cloudbank_store_combining") == 1.0
        });
    }

    let told = Told::default();
    let puts = || told.puts.lock().unwrap().len();
    let entries = |server: &Running| server.metric("cloudbank_store_entries_total") as u64;
    let of_others = || others.iter().map(entries).sum::<u64>();
    let in_log = || std::fs::read_dir(bench.path("data/objects/log")).unwrap().count() as u64;
    let before = (of_others(), entries(&combiner), in_log());
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..3 * CLIENTS {
            let (client, enough, told) = (&clients[number % 3], &enough, &told);
            scope.spawn(move || put_until_told(client, &format!("all-{number}"), told, enough));
        }
        until("all have put something", || puts() >= PUTS);
        enough.store(true, Ordering::SeqCst);
    });
    let made = entries(&combiner) - before.1;
    println!("{} puts of three servers took {made} entries, all of the combiner", puts());
    assert_eq!(of_others(), before.0, "a server has put entries of its own");
    assert_eq!(in_log() - before.2, made);

    // And now it is killed in the middle of that.
    let (dead, enough) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (told, dead, enough) = (&told, &dead, &enough);
        for number in 0..2 * CLIENTS {
            let client = &clients[1 + number % 2];
            scope.spawn(move || put_until_told(client, &format!("on-{number}"), told, enough));
        }
        for number in 0..CLIENTS {
            let client = &clients[0];
            scope.spawn(move || {
                let stop = || dead.load(Ordering::SeqCst);
                // Before it was killed nothing may go wrong.
                if let Err(problem) = put_until(client, &format!("killed-{number}"), told, stop) {
                    assert!(stop(), "before it was killed: {problem}");
                }
            });
        }
        let together = puts();
        until("all have put something", || puts() >= together + PUTS);
        dead.store(true, Ordering::SeqCst);
        combiner.kill();
        let alone = puts();
        until("the others go on", || puts() >= alone + PUTS);
        enough.store(true, Ordering::SeqCst);
    });
    assert!(of_others() > before.0, "nobody has put an entry since the combiner is dead");
    let puts = told.puts.lock().unwrap();
    for client in &clients[1..] {
        check(client, &puts, "through a server that lived");
    }
    let fresh = Running::start(&bench, "");
    check(&fresh.client_as(ACCESS_KEY, SECRET_KEY), &puts, "through a new server");
    println!(
        "{} puts acknowledged in all, {} never told",
        puts.len(),
        told.untold.load(Ordering::Relaxed)
    );
    let [one, two] = others;
    for server in [one, two, fresh] {
        let ended = server.stop();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
    }
    let verified = bench.session("store verify");
    assert!(!verified.contains("not sound"), "{verified}");
}

/// Puts objects until there are enough. Whatever goes wrong is a failure of the test.
fn put_until_told(client: &Client, name: &str, told: &Told, enough: &AtomicBool) {
    put_until(client, name, told, || enough.load(Ordering::SeqCst))
        .unwrap_or_else(|problem| panic!("{name}: {problem}"));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let late = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < late, "it is not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

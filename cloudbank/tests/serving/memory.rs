//! Memory: 64 clients that stream 64 MiB each, at the same time, in and out.

use crate::client::Client;
use crate::running::Running;
use crate::support::Bench;

const CLIENTS: u64 = 64;
const OBJECT_BYTES: u64 = 64 << 20;
/// What the server may have at most, at any time.
const MEMORY_BYTES_MAX: u64 = 300 << 20;

pub(crate) fn run() {
    let bench = Bench::with_config(
        "[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\"\n\
         [server]\nwaiting_time_max = \"10m\"\n",
    );
    let server = Running::start(&bench, "");
    let client = server.client();
    assert_eq!(client.put("/bucket", b"").unwrap().status, 200);
    let began = std::time::Instant::now();
    all(&client, |client, number| {
        let answer = client.put_zeros(&format!("/bucket/{number}"), OBJECT_BYTES).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    });
    let (written, putting) = (server.memory_max(), began.elapsed());
    let began = std::time::Instant::now();
    all(&client, |client, number| {
        let got = client.get_and_forget(&format!("/bucket/{number}")).unwrap();
        assert_eq!(got, (200, OBJECT_BYTES));
    });
    let (most, getting) = (server.memory_max(), began.elapsed());
    let (mib, rate) = (
        |bytes| bytes >> 20,
        |time: std::time::Duration| ((CLIENTS * OBJECT_BYTES) >> 20) as f64 / time.as_secs_f64(),
    );
    println!(
        "{CLIENTS} clients with {} MiB each: {:.0} MiB/s in, {:.0} MiB/s out; memory of the server at most {} MiB \
         when all was in, {} MiB in all",
        mib(OBJECT_BYTES),
        rate(putting),
        rate(getting),
        mib(written),
        mib(most)
    );
    assert!(most < MEMORY_BYTES_MAX, "{} MiB", mib(most));
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.logs);
}

fn all(client: &Client, work: impl Fn(&Client, u64) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let work = &work;
            scope.spawn(move || work(client, number));
        }
    });
}

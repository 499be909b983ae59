//! How many seeds a CPU-minute takes: of a scenario with little in it, and of one with much.
//!
//! `cargo bench -p simulation --bench seeds`

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use simulation::{Plan, Sim, Simulator};
use storage_core::{ErrorKind, Get, Key, PutIf, StorageProvider};

const SEEDS: u64 = 20_000;

fn main() {
    println!("{:<34}{:>16}{:>14}{:>12}", "", "seeds/CPU-minute", "requests", "ns/step");
    for (name, writers, values) in
        [("2 nodes, 1 value each", 2, 1), ("6 nodes, 30 values each", 6, 30)]
    {
        for (roughness, plan) in [("calm", Plan::calm()), ("rough", Plan::rough())] {
            let simulator = Simulator::new(|sim: &mut Sim| append(sim, writers, values));
            let seeds = SEEDS / (writers * values / 2).min(20);
            let before = cpu_time();
            let report = simulator.soak(0..seeds, &plan);
            let took = cpu_time() - before;
            report.assert_clean();
            let tally = report.tally;
            println!(
                "{:<34}{:>16}{:>14}{:>12}",
                format!("{name}, {roughness}"),
                per_minute(tally.runs, took),
                format!("{}/seed", tally.operations / tally.runs),
                took.as_nanos() / u128::from(tally.steps),
            );
        }
    }
}

/// What this process has had of the processors: other work on them does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn per_minute(runs: u64, took: Duration) -> u64 {
    (runs as f64 * 60.0 / took.as_secs_f64()) as u64
}

/// Each writer puts its values at the first slots that are free, whatever it costs.
fn append(sim: &mut Sim, writers: u64, values: u64) -> Result<(), String> {
    let place = sim.place("bucket");
    for writer in 0..writers {
        sim.node("writer", move |node| async move {
            let (env, provider) = (node.env(), node.provider(place));
            let mut slot = 0;
            for value in 0..values {
                let body = format!("{writer}_{value}");
                loop {
                    let key = Key::new(format!("slot/{slot:04}")).expect("a key");
                    match provider.put(&key, body.clone().into(), PutIf::Absent).await {
                        Ok(_) => break,
                        Err(error) if error.kind() == ErrorKind::Conflict => {
                            match provider.get(&key, Get::whole()).await {
                                Ok(object) if object.body == body => break,
                                Ok(_) => slot += 1,
                                Err(_) => env.sleep(Duration::from_secs(1)).await,
                            }
                        }
                        Err(_) => env.sleep(Duration::from_secs(1)).await,
                    }
                }
            }
        });
    }
    sim.run()?;
    let found = sim.contents(place).len() as u64;
    if found >= writers * values { Ok(()) } else { Err(format!("{found} values are there")) }
}

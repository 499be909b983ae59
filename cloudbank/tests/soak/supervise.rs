//! Starts processes, kills them, starts others, and has what they were told judged.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use storage_txn::Store;
use storage_wrappers::TokioEnv;

use crate::support::Bench;
use crate::work::REAPED;
use crate::{WORK, judge, options, provider};

/// How many processes there are at a time.
const PROCESSES: usize = 4;
/// One of them is killed after at most so long.
const PAUSE_MILLIS_MAX: u64 = 800;

/// Keeps killing for so long, then judges. What is wrong, if anything is.
pub(crate) async fn run(bench: &Bench, name: &str, time: Duration) -> Result<(), String> {
    let config = bench.path("cloudbank.toml");
    let journals = bench.path("journals");
    std::fs::create_dir(&journals).unwrap();
    let place = provider(config.to_str().unwrap()).await;
    let env = Arc::new(TokioEnv::new());
    drop(Store::init(place.clone(), env, options()).await.unwrap());

    let seed: u64 = rand::random();
    println!("{name}: {PROCESSES} processes at a time for {time:?}, seed {seed}");
    let mut herd =
        Herd { config: &config, journals: &journals, seed, started: 0, children: Vec::new() };
    let (mut kills, mut reaped) = (0, 0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let began = Instant::now();
    while began.elapsed() < time {
        while herd.children.len() < PROCESSES {
            herd.start();
        }
        let pause = Duration::from_millis(rng.random_range(0..PAUSE_MILLIS_MAX));
        tokio::time::sleep(pause).await;
        reaped += herd.bury()?;
        if !herd.children.is_empty() {
            let victim = rng.random_range(0..herd.children.len());
            kill(herd.children.swap_remove(victim));
            kills += 1;
        }
    }
    herd.children.drain(..).for_each(kill);
    let verdict = judge::judge(&journals, place).await?;
    println!(
        "{name}: {verdict}; {} processes, {kills} killed, {reaped} taken for dead",
        herd.started
    );
    Ok(())
}

struct Herd<'a> {
    config: &'a Path,
    journals: &'a Path,
    seed: u64,
    started: u32,
    children: Vec<Child>,
}

impl Herd<'_> {
    fn start(&mut self) {
        let journal = self.journals.join(format!("{:06}", self.started));
        let child = Command::new(std::env::current_exe().unwrap())
            .current_dir(self.config.parent().unwrap())
            .args([WORK.as_ref(), self.config.as_os_str(), journal.as_os_str()])
            .args([self.started.to_string(), self.seed.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.started += 1;
        self.children.push(child);
    }

    /// Lets go of those that ended by themselves because they were taken for dead, and counts them. Nothing else may
    /// end one.
    fn bury(&mut self) -> Result<usize, String> {
        let before = self.children.len();
        let mut wrong = None;
        self.children.retain_mut(|child| match child.try_wait().unwrap() {
            None => true,
            Some(status) if status.code() == Some(REAPED.into()) => false,
            Some(status) => {
                wrong =
                    Some(format!("a process ended by itself, with {status}: it says why above"));
                false
            }
        });
        match wrong {
            Some(wrong) => Err(wrong),
            None => Ok(before - self.children.len()),
        }
    }
}

impl Drop for Herd<'_> {
    fn drop(&mut self) {
        self.children.drain(..).for_each(kill);
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

//! A tiny protocol to find mistakes in: writers append values to numbered slots, each put if absent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulation::{Node, Place, Sim, SimProvider};
use storage_core::{
    Effect, Env, Error, ErrorKind, Get, Key, PutIf, Result, StorageProvider, Version,
};

/// What is wrong with the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Nothing.
    None,
    /// It looks whether the slot is free, and then writes whatever is there by then.
    CheckThenAct,
    /// When no answer comes, it tries the next slot with the same value.
    RepeatsEffect,
    /// When no answer comes, it says that the value was not written.
    LostReplyIsFailure,
}

/// What became of the values, as far as their writers know.
#[derive(Default)]
struct Ledger {
    begun: Vec<usize>,
    acknowledged: Vec<String>,
    failed: Vec<String>,
}

/// So many writers append so many values each.
pub(crate) fn journal(
    mistake: Mistake,
    writers: usize,
    values: usize,
) -> impl Fn(&mut Sim) -> Result<(), String> {
    move |sim| {
        let place = sim.place("bucket");
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        ledger.lock().unwrap().begun = vec![0; writers];
        for writer in 0..writers {
            let ledger = ledger.clone();
            sim.node(["ann", "bob", "cat"][writer], move |node| {
                write(node, place, mistake, writer, values, ledger.clone())
            });
        }
        sim.run()?;
        sim.heal();
        sim.settle()?;
        check(sim, place, &ledger.lock().unwrap())
    }
}

/// Each value is begun once: what a crash cut short is known to nobody, and not tried again.
async fn write(
    node: Node,
    place: Place,
    mistake: Mistake,
    writer: usize,
    values: usize,
    ledger: Arc<Mutex<Ledger>>,
) {
    let appender = Appender { env: node.env(), provider: node.provider(place), mistake };
    let mut slot = 0;
    loop {
        let begun = {
            let begun = &mut ledger.lock().unwrap().begun[writer];
            *begun += 1;
            *begun
        };
        if begun > values {
            return;
        }
        let value = format!("{writer}_{begun}");
        let written = appender.append(&value, &mut slot).await;
        let mut ledger = ledger.lock().unwrap();
        if written { ledger.acknowledged.push(value) } else { ledger.failed.push(value) }
    }
}

struct Appender {
    env: Arc<dyn Env>,
    provider: SimProvider,
    mistake: Mistake,
}

impl Appender {
    /// Whether the value is in the journal.
    async fn append(&self, value: &str, slot: &mut u32) -> bool {
        let mut pause = Duration::from_millis(100);
        loop {
            let key = Key::new(format!("slot/{slot:04}")).unwrap();
            match self.put(&key, value).await {
                Ok(_) => return true,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    // It may be ours, from an attempt whose answer was lost.
                    match self.provider.get(&key, Get::whole()).await {
                        Ok(object) if object.body == value => return true,
                        Ok(_) => {
                            *slot += 1;
                            continue;
                        }
                        Err(_) => {}
                    }
                }
                Err(error) if error.effect() == Effect::Unknown => match self.mistake {
                    Mistake::LostReplyIsFailure => return false,
                    Mistake::RepeatsEffect => *slot += 1,
                    Mistake::None | Mistake::CheckThenAct => {}
                },
                Err(_) => {}
            }
            self.env.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    async fn put(&self, key: &Key, value: &str) -> Result<Version> {
        let body = value.to_owned().into();
        if self.mistake != Mistake::CheckThenAct {
            return self.provider.put(key, body, PutIf::Absent).await;
        }
        match self.provider.get(key, Get::whole()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.provider.put(key, body, PutIf::Always).await
            }
            Ok(_) => Err(Error::not_applied(ErrorKind::Conflict, "the slot is taken")),
            Err(error) => Err(error),
        }
    }
}

fn check(sim: &Sim, place: Place, ledger: &Ledger) -> Result<(), String> {
    let contents = sim.contents(place);
    let times = |value: &str| contents.iter().filter(|(_, body)| body == value).count();
    for value in &ledger.acknowledged {
        if times(value) == 0 {
            return Err(format!("value {value} was acknowledged and is not there"));
        }
    }
    for value in &ledger.failed {
        if times(value) > 0 {
            return Err(format!("value {value} was said to have failed and is there"));
        }
    }
    for (_, body) in &contents {
        let value = String::from_utf8_lossy(body);
        if times(&value) > 1 {
            return Err(format!("value {value} is there more than once"));
        }
    }
    Ok(())
}

//! A deterministic simulator of whole systems, for code that sees the world only through
//! [`Env`](storage_core::Env) and [`StorageProvider`](storage_core::StorageProvider).
//!
//! Every decision of a run, from which task is polled to which request is lost, is drawn from one
//! [`Tape`]. So a run can be had again from a seed, all crash points and single faults of a run can be
//! tried one by one, all runs of a small scenario can be searched, and what goes wrong can be made
//! simpler until a person can follow it.
//!
//! A request, once sent, is an event of the world: dropping its sender, or a crash of the sender's whole
//! node, does not call it back, and it may be applied long after the sender gave up. That is where most
//! mistakes are found.
//!
//! Read in this order:
//!
//! 1. [`Simulator`]: what runs a scenario in many ways; [`Report`], [`Found`].
//! 2. [`Sim`], [`Node`]: the world as a scenario sees it, and as its nodes do.
//! 3. [`Plan`], [`Faults`], [`Fault`], [`Crashes`]: how rough it is.
//! 4. [`SimProvider`], [`SimEnv`]: what the code under test is given.
//! 5. [`Tape`], [`Run`], [`Tally`], [`Replay`]: what is known of a run, and how to have it again.
//!
//! # Examples
//!
//! Two nodes count in one object, and one of them may overwrite what the other wrote:
//!
//! ```
//! use simulation::{Plan, Sim, Simulator};
//! use storage_core::{Get, Key, PutIf, StorageProvider};
//!
//! fn count(sim: &mut Sim) -> Result<(), String> {
//!     let bucket = sim.place("bucket");
//!     let counter = Key::new("counter").expect("a key");
//!     for name in ["ann", "bob"] {
//!         let counter = counter.clone();
//!         sim.node(name, move |node| {
//!             let (provider, counter) = (node.provider(bucket), counter.clone());
//!             async move {
//!                 let seen = match provider.get(&counter, Get::whole()).await {
//!                     Ok(object) => object.body[0],
//!                     Err(_) => 0,
//!                 };
//!                 let body = vec![seen + 1].into();
//!                 provider.put(&counter, body, PutIf::Always).await.expect("no faults here");
//!             }
//!         });
//!     }
//!     sim.run()?;
//!     match sim.contents(bucket)[0].1[0] {
//!         2 => Ok(()),
//!         counted => Err(format!("two counted to {counted}")),
//!     }
//! }
//!
//! let report = Simulator::new(count).soak(0..100, &Plan::calm());
//! let found = report.found.expect("sooner or later both see zero");
//! assert_eq!(found.failure.message, "two counted to 1");
//! println!("{found}");  // the seed, what happens line by line, and what replays it
//! ```

mod env;
mod executor;
mod fault;
mod objects;
mod panics;
mod plan;
mod provider;
mod replay;
mod request;
mod run;
mod sim;
mod simulator;
mod steps;
mod story;
mod tape;
mod trace;
mod world;

pub use env::SimEnv;
pub use fault::{Fault, FaultCounts, Faults};
pub use objects::Change;
pub use plan::{CrashPoint, Crashes, Order, Plan};
pub use provider::SimProvider;
pub use replay::Replay;
pub use run::{Failure, FailureKind, Run, Tally};
pub use sim::{Mark, Node, NodeId, Place, Sim, Stopped};
pub use simulator::{Found, Report, Simulator};
pub use tape::{Choice, Tape};
pub use trace::{About, TraceLine};

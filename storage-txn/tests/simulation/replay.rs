//! Runs from their texts: what a failure ends with, entered again.

use std::env;

use simulation::{Replay, Run, Sim, Simulator};

/// The run of this text, with a trace.
fn replay(scenario: &str, text: &str) -> Result<Run, String> {
    let Replay { plan, tape } = text.parse()?;
    Ok(match scenario {
        "processes" => Simulator::new(|sim: &mut Sim| crate::processes(sim, 3)).replay(&plan, tape),
        "pinning" => {
            Simulator::new(|sim: &mut Sim| crate::pinning_processes(sim, 3)).replay(&plan, tape)
        }
        "combining" => {
            Simulator::new(|sim: &mut Sim| crate::combining_processes(sim, 3)).replay(&plan, tape)
        }
        "keeping" => {
            Simulator::new(|sim: &mut Sim| crate::keeping_processes(sim, 2)).replay(&plan, tape)
        }
        "script" => crate::script::simulator().replay(&plan, tape),
        "duel" => crate::duel::simulator(1).replay(&plan, tape),
        _ => return Err(format!("there is no scenario {scenario:?}")),
    })
}

/// `SIMULATION_REPLAY` and `SIMULATION_SCENARIO` say which; `cargo xtask simulate --replay` sets both. Otherwise an
/// uneventful run of each.
#[test]
fn a_run_is_had_again_from_its_text() {
    let text = env::var("SIMULATION_REPLAY").unwrap_or_else(|_| "tape=".to_owned());
    let scenarios = match env::var("SIMULATION_SCENARIO") {
        Ok(scenario) => vec![scenario],
        Err(_) => ["processes", "pinning", "combining", "keeping", "script", "duel"]
            .map(str::to_owned)
            .to_vec(),
    };
    for scenario in scenarios {
        let run = replay(&scenario, &text).unwrap();
        for line in &run.trace {
            println!("{line}");
        }
        assert!(!run.trace.is_empty(), "nothing happens in {scenario}");
        if let Some(failure) = run.failure {
            panic!("{scenario}: {failure}");
        }
    }
}

#[test]
fn what_is_no_run_of_a_scenario_is_refused() {
    let table = [
        ("processes", "speed=1", "\"speed\" is no field of a run"),
        ("nothing", "tape=1", "there is no scenario \"nothing\""),
    ];
    for (scenario, text, expected) in table {
        assert_eq!(replay(scenario, text).err().as_deref(), Some(expected));
    }
}

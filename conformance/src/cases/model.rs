//! Random sequences of operations against a sorted map, shrunk when they fail.

mod machine;
mod paste;
mod step;

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::Rng as _;

use self::step::Step;
use crate::{Case, CaseResult, Context, Failure, Level};

/// How many sequences there are in a round.
const SEQUENCES: usize = 20;
/// How many steps a sequence has at most.
const STEPS_MAX: usize = 40;
/// How many shorter sequences are tried before the shortest failing one is printed.
const SHRINKS_MAX: usize = 200;

pub(crate) const CASES: &[Case] = &[
    Case {
        id: "model.state-machine",
        level: Level::Core,
        requires: "random sequences of puts, gets, lists and deletes through two handles answer as a sorted map does",
        needs: &[],
        requests_max: ((SEQUENCES + 1) * STEPS_MAX * 6) as u64,
        run: |context| Box::pin(state_machine(context, &step::APART)),
    },
    Case {
        id: "model.nested-keys",
        level: Level::Core,
        requires: "so do random sequences on keys that lie beneath each other, such as `a` and `a/b`",
        needs: &[],
        requests_max: ((SEQUENCES + 1) * STEPS_MAX * 6) as u64,
        run: |context| Box::pin(state_machine(context, &step::NESTED)),
    },
];

async fn state_machine(context: &Context, keys: &'static step::Keys) -> CaseResult {
    // Chance may leave out what is plainest: every key with every other there.
    if let Err(broken) = machine::run(context, keys, "all", &step::all_keys()).await {
        let code = paste::test(&broken);
        return Err(Failure::new(format!("{}\nas a test to paste:\n\n{code}", broken.what)));
    }
    let mut rng = context.rng();
    for sequence in context.rounds(SEQUENCES) {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut tree = grow(&seed)?;
        let steps = tree.current();
        let place = format!("{sequence:04}");
        if let Err(broken) = machine::run(context, keys, &place, &steps).await {
            let (broken, shrinks) = shrink(context, keys, &place, &mut *tree, broken).await;
            return Err(Failure::new(format!(
                "{}\nshrunk in {shrinks} tries, as a test to paste:\n\n{}",
                broken.what,
                paste::test(&broken)
            )));
        }
    }
    Ok(())
}

type Tree = Box<dyn ValueTree<Value = Vec<Step>> + Send>;

fn grow(seed: &[u8; 32]) -> Result<Tree, Failure> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed);
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = proptest::collection::vec(step::step(), 1..=STEPS_MAX);
    let tree = strategy.new_tree(&mut runner);
    Ok(Box::new(tree.map_err(|reason| Failure::new(format!("no sequence: {reason}")))?))
}

/// Looks for a shorter sequence that fails. Each try has keys of its own.
async fn shrink(
    context: &Context,
    keys: &'static step::Keys,
    place: &str,
    tree: &mut (dyn ValueTree<Value = Vec<Step>> + Send),
    mut broken: machine::Broken,
) -> (machine::Broken, usize) {
    let mut tries = 0;
    let mut goes_on = tree.simplify();
    while goes_on && tries < SHRINKS_MAX {
        tries += 1;
        let place = format!("{place}/{tries:03}");
        goes_on = match machine::run(context, keys, &place, &tree.current()).await {
            Err(simpler) => {
                broken = simpler;
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
    }
    (broken, tries)
}

#[cfg(test)]
mod tests;

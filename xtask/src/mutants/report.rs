//! What is told, and remembered until the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::list::Mutant;
use super::measure::Outcome;

/// What was found the last times, a line each in `outcomes` in the target folder; of a mutant the last one counts.
#[derive(Debug)]
pub(super) struct Known {
    path: PathBuf,
    missed: BTreeSet<String>,
}

impl Known {
    /// Reads it, if there is any.
    pub(super) fn read(folder: &Path) -> Self {
        let path = folder.join("outcomes");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut missed = BTreeSet::new();
        for (outcome, name) in text.lines().filter_map(|line| line.split_once('\t')) {
            if is_missed(outcome) {
                missed.insert(name.to_owned());
            } else {
                missed.remove(name);
            }
        }
        Self { path, missed }
    }

    /// Whether it went unnoticed.
    pub(super) fn is_missed(&self, mutant: &Mutant) -> bool {
        self.missed.contains(&nameless_place(mutant))
    }

    /// Remembers what became of it.
    pub(super) fn write(&self, mutant: &Mutant, outcome: Outcome) {
        let line = format!("{outcome:?}\t{}\n", nameless_place(mutant));
        let file = fs::OpenOptions::new().append(true).create(true).open(&self.path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("mutants: {}: {error}", self.path.display());
        }
    }
}

/// Prints a line for each file and one for all; how many of a hundred were noticed.
pub(super) fn print(
    tried: &[&Mutant],
    left_out: &[&Mutant],
    outcomes: &BTreeMap<u32, Outcome>,
) -> f64 {
    let mut files = BTreeMap::<&str, Counts>::new();
    for mutant in tried {
        files.entry(&mutant.file).or_default().add(outcomes[&mutant.number]);
    }
    for mutant in left_out {
        files.entry(&mutant.file).or_default().left_out += 1;
    }
    println!("| file | mutants | caught | hung | missed | unreached | not compiled | score |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut all = Counts::default();
    for (file, counts) in &files {
        counts.print(file);
        all.merge(counts);
    }
    all.print("all");
    let (low, high) = interval(all.noticed(), all.tried());
    println!("\nAs a sample of more: {low:.1} to {high:.1} percent, 95 times of 100.");
    all.score()
}

/// Between which percentages the share of noticed mutants is, 95 times of 100, when these were drawn at random from very
/// many: the score interval (Wilson, 1927).
fn interval(noticed: usize, tried: usize) -> (f64, f64) {
    if tried == 0 {
        return (0.0, 100.0);
    }
    let (noticed, tried, z) = (noticed as f64, tried as f64, 1.96);
    let share = noticed / tried;
    let middle = share + z * z / (2.0 * tried);
    let half = z * (share * (1.0 - share) / tried + z * z / (4.0 * tried * tried)).sqrt();
    let all = 1.0 + z * z / tried;
    (100.0 * (middle - half) / all, 100.0 * (middle + half) / all)
}

#[derive(Debug, Default)]
struct Counts {
    of: BTreeMap<Outcome, usize>,
    left_out: usize,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        *self.of.entry(outcome).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (&outcome, count) in &other.of {
            *self.of.entry(outcome).or_default() += count;
        }
        self.left_out += other.left_out;
    }

    fn get(&self, outcome: Outcome) -> usize {
        self.of.get(&outcome).copied().unwrap_or(0)
    }

    fn noticed(&self) -> usize {
        self.get(Outcome::Caught) + self.get(Outcome::Hung)
    }

    fn tried(&self) -> usize {
        self.of.values().sum()
    }

    fn score(&self) -> f64 {
        let tried = self.tried();
        if tried == 0 { 100.0 } else { 100.0 * self.noticed() as f64 / tried as f64 }
    }

    fn print(&self, name: &str) {
        let [caught, hung, missed, unreached] =
            [Outcome::Caught, Outcome::Hung, Outcome::Missed, Outcome::Unreached]
                .map(|outcome| self.get(outcome));
        let (all, score) = (caught + hung + missed + unreached, self.score());
        let left_out = self.left_out;
        println!(
            "| {name} | {all} | {caught} | {hung} | {missed} | {unreached} | {left_out} | {score:.1} |"
        );
    }
}

/// The name without its line and column, which change with every line above.
fn nameless_place(mutant: &Mutant) -> String {
    let change = mutant.name.split_once(": ").map_or(&*mutant.name, |(_, change)| change);
    format!("{}: {change}", mutant.file)
}

fn is_missed(outcome: &str) -> bool {
    [Outcome::Missed, Outcome::Unreached].iter().any(|it| format!("{it:?}") == outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_books() {
        let rounded = |(low, high): (f64, f64)| ((low * 10.0).round(), (high * 10.0).round());
        assert_eq!(rounded(interval(285, 368)), (729.0, 814.0));
        assert_eq!(rounded(interval(0, 10)), (0.0, 278.0));
        assert_eq!(rounded(interval(10, 10)), (722.0, 1000.0));
        assert_eq!(rounded(interval(0, 0)), (0.0, 1000.0));
    }
}

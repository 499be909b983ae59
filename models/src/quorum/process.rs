//! What a process does with what it knows of the voters: it takes over, recovers, proposes, and helps.

use super::voter::{Cell, Epoch, Put, Upto, View};
use super::{Guard, Mistake, Quorum, State};

/// A process that writes, or one that asks where the log ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) phase: Phase,
    /// How often it has taken over.
    pub(super) turns: u8,
    /// What it wants accepted, with all before.
    pub(super) proposal: Option<Upto>,
    /// What it says is decided.
    pub(super) decided: Upto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    Promising(Epoch),
    Leading(Epoch),
    /// It asks for the end of the log; this much was said to be decided when it began.
    Asking(Upto),
    /// It was told this, after what was said to be decided when it began.
    Told(Upto, Upto),
}

impl Process {
    /// It leads no more if it was overtaken.
    pub(super) fn give_up_before(&mut self, promised: Epoch) {
        if matches!(self.phase, Phase::Leading(epoch) if epoch < promised) {
            self.phase = Phase::Idle;
            self.proposal = None;
        }
    }
}

impl Quorum {
    /// The process begins to lead, after whoever it knows to have led.
    pub(super) fn take_over(&self, state: &mut State, me: usize) {
        let epoch = self.next_epoch(state, me);
        let process = &mut state.processes[me];
        process.turns += 1;
        process.proposal = None;
        process.phase = Phase::Promising(epoch);
    }

    pub(super) fn next_epoch(&self, state: &State, me: usize) -> Epoch {
        let known = state.voters.iter().map(|voter| voter.views[me].promised.round);
        let own = match state.processes[me].phase {
            Phase::Promising(epoch) | Phase::Leading(epoch) => epoch.round,
            Phase::Idle | Phase::Asking(_) | Phase::Told(..) => 0,
        };
        Epoch { round: known.max().unwrap_or(0).max(own) + 1, by: me as u8 }
    }

    /// Everything that a process does by itself once it has learned something. To do it at once leaves nothing out, as what it
    /// sends may land as late as it likes.
    pub(super) fn go_on(&self, state: &mut State, me: usize) {
        while self.step(state, me) {}
        let process = &state.processes[me];
        for voter in &mut state.voters {
            let view = voter.views[me];
            if view.lost {
                continue;
            }
            if let Some(cell) = self.lacks(process, &view, me) {
                voter.sent.insert(Put { position: view.next, from: me as u8, cell });
            }
        }
        if matches!(process.phase, Phase::Asking(_)) {
            self.help(state, me);
        }
    }

    /// One step of a process; whether there was one.
    fn step(&self, state: &mut State, me: usize) -> bool {
        let views: Vec<View> = state.voters.iter().map(|voter| voter.views[me]).collect();
        let process = &mut state.processes[me];
        self.conclude(process, &views);
        let decided = process.decided;
        if process.proposal.is_some_and(|proposal| proposal.slot() <= decided.slot()) {
            process.proposal = None;
        }
        let is_fenced = |epoch| {
            self.mistake != Some(Mistake::IgnoresFencing)
                && views.iter().any(|view| !view.lost && view.promised > epoch)
        };
        match process.phase {
            Phase::Promising(epoch) | Phase::Leading(epoch) if is_fenced(epoch) => {
                process.phase = Phase::Idle;
                process.proposal = None;
            }
            Phase::Promising(epoch) => {
                let asked = self.mistake != Some(Mistake::AsksNoPromises);
                let promised = views
                    .iter()
                    .filter(|view| self.counts(view) && (!asked || view.promised == epoch));
                let promised: Vec<_> = promised.collect();
                if promised.len() < self.quorum {
                    return false;
                }
                let accepted = promised.iter().map(|view| view.accepted);
                let open = accepted.filter(|(_, log)| log.slot() > decided.slot());
                let latest = match self.mistake {
                    Some(Mistake::RecoversTheEarliest) => open.min_by_key(|(epoch, _)| *epoch),
                    Some(Mistake::RecoversNothing) => None,
                    _ => open.max_by_key(|(epoch, log)| (log.slot(), *epoch)),
                };
                process.proposal = latest.map(|(_, log)| log);
                process.phase = Phase::Leading(epoch);
            }
            Phase::Leading(_) if process.proposal.is_none() && decided.slot() < self.slots => {
                process.proposal = Some(decided.then(me as u8));
            }
            Phase::Asking(floor) => match self.judge(&views, decided) {
                Some(log) => process.phase = Phase::Told(floor, log),
                None => return false,
            },
            Phase::Idle | Phase::Leading(_) | Phase::Told(..) => return false,
        }
        true
    }

    /// Whether what is known of a voter counts.
    fn counts(&self, view: &View) -> bool {
        view.looked && view.proved && !view.lost
    }

    /// A value is put only where all before it is decided, so one voter's last value tells that of all before; and what a quorum
    /// has accepted in one epoch is decided itself.
    fn conclude(&self, process: &mut Process, views: &[View]) {
        let quorum = if self.mistake == Some(Mistake::DecidesByOne) { 1 } else { self.quorum };
        for view in views.iter().filter(|view| !view.lost && view.accepted.1.slot() > 0) {
            let (epoch, log) = view.accepted;
            if log.slot() > process.decided.slot() + 1 {
                process.decided = log.before();
            }
            if log.slot() <= process.decided.slot() {
                continue;
            }
            let any = self.mistake == Some(Mistake::CountsAllEpochs);
            let same = views.iter().filter(|other| {
                self.counts(other) && other.accepted.1 == log && (any || other.accepted.0 == epoch)
            });
            if same.count() >= quorum {
                process.decided = log;
            }
        }
    }

    /// What a voter is to be sent next by whoever leads, or takes over.
    fn lacks(&self, process: &Process, view: &View, me: usize) -> Option<Cell> {
        let epoch = match process.phase {
            Phase::Promising(epoch) => {
                return (view.promised < epoch).then_some(Cell::Promise(epoch));
            }
            Phase::Leading(epoch) => epoch,
            Phase::Idle | Phase::Asking(_) | Phase::Told(..) => return None,
        };
        let accept = |log| Some(Cell::Accept(epoch, log));
        let ((accepted_in, has), decided) = (view.accepted, process.decided);
        if let Some(proposal) = process.proposal {
            if has.slot() == proposal.slot() {
                if (has, accepted_in) != (proposal, epoch) {
                    return accept(proposal);
                }
                let early = self.mistake == Some(Mistake::ProposesTooEarly);
                return (early && has.slot() < self.slots)
                    .then(|| Cell::Accept(epoch, has.then(me as u8)));
            }
            let skips = self.mistake == Some(Mistake::SkipsWhatIsMissing);
            if has == proposal.before() || skips && has.slot() < proposal.slot() {
                return accept(proposal);
            }
        }
        if has.slot() > decided.slot() || has == decided {
            return None;
        }
        // The next if it follows what the voter has, and the right one in the place of what it has otherwise.
        let next = decided.cut(has.slot() + 1);
        accept(if next.slot() > has.slot() && has.begins(next) {
            next
        } else {
            decided.cut(has.slot())
        })
    }

    /// What is decided, for who asks: if nothing can have been decided beyond when it began.
    fn judge(&self, views: &[View], decided: Upto) -> Option<Upto> {
        let (counted, silent): (Vec<&View>, Vec<&View>) =
            views.iter().partition(|view| self.counts(view));
        let beyond: Vec<_> = counted
            .iter()
            .map(|view| view.accepted.1)
            .filter(|log| log.slot() > decided.slot())
            .collect();
        // At least one that answered would have to be in any quorum.
        let enough = match self.mistake {
            Some(Mistake::AskerAsksOne) => !counted.is_empty(),
            _ => silent.len() < self.quorum,
        };
        let in_doubt = beyond.iter().any(|log| {
            let holders = beyond.iter().filter(|other| *other == log).count();
            holders + silent.len() >= self.quorum
        });
        let in_doubt = in_doubt && self.mistake != Some(Mistake::AskerIgnoresDoubt);
        (enough && !in_doubt).then_some(decided)
    }

    /// Who asks puts what is in doubt onto the others, in the name of who led.
    fn help(&self, state: &mut State, me: usize) {
        let decided = state.processes[me].decided;
        let views = state.voters.iter().map(|voter| voter.views[me]);
        let known = views.filter(|view| view.looked && !view.lost).map(|view| view.accepted);
        let next = known.filter(|(_, log)| log.slot() == decided.slot() + 1);
        let Some((epoch, log)) = next.max_by_key(|(epoch, _)| *epoch) else { return };
        for voter in &mut state.voters {
            let view = voter.views[me];
            let (accepted_in, has) = view.accepted;
            let is_next = has == log.before() || has.slot() == log.slot();
            let fenced = view.promised > epoch && self.mistake != Some(Mistake::HelpsTheFenced);
            if view.looked
                && !view.lost
                && !fenced
                && is_next
                && (has != log || accepted_in < epoch)
            {
                let cell = Cell::Accept(epoch, log);
                voter.sent.insert(Put { position: view.next, from: me as u8, cell });
            }
        }
    }

    /// Whether an answer that taught something has to be followed by a look at the marker before it counts.
    pub(super) fn must_prove(&self, told: Option<Cell>) -> bool {
        match (self.guard, told) {
            (Guard::AfterPromises, Some(Cell::Accept(..))) => false,
            (Guard::AfterPromises | Guard::AfterAll, _) => true,
            (Guard::Never | Guard::OnReads | Guard::Head | Guard::Within, _) => false,
        }
    }
}

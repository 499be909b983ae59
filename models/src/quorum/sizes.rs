//! In which sizes the log on a quorum is checked, and with which mistakes.

use super::*;

impl Quorum {
    fn emptied(self, harm: Harm, guard: Guard) -> Self {
        Self { harm: Some(harm), guard, loses: false, ..self }
    }
}

impl Protocol for Quorum {
    type Mistake = QuorumMistake;

    const NAME: &'static str = "quorum";

    const MISTAKES: &'static [Mistaken<QuorumMistake>] = &[
        Mistaken {
            mistake: Mistake::AsksNoPromises,
            what: "who takes over leads without promises",
            breaks: HELD,
        },
        Mistaken {
            mistake: Mistake::PromisesElsewhere,
            what: "a promise and a value are put under different names",
            breaks: ORDER,
        },
        Mistaken {
            mistake: Mistake::IgnoresFencing,
            what: "who finds a promise of a later epoch puts its own after it",
            breaks: ORDER,
        },
        Mistaken {
            mistake: Mistake::RecoversTheEarliest,
            what: "who takes over proposes the value of the lowest epoch",
            breaks: HELD,
        },
        Mistaken {
            mistake: Mistake::RecoversNothing,
            what: "who takes over proposes its own value whatever was accepted",
            breaks: HELD,
        },
        Mistaken { mistake: Mistake::DecidesByOne, what: "one voter decides", breaks: HELD },
        Mistaken {
            mistake: Mistake::CountsAllEpochs,
            what: "a value that a quorum has accepted counts, in whichever epochs",
            breaks: HELD,
        },
        Mistaken {
            mistake: Mistake::ProposesTooEarly,
            what: "a value is put before the one before it is decided",
            breaks: HELD,
        },
        Mistaken {
            mistake: Mistake::SkipsWhatIsMissing,
            what: "a voter gets a value without those before it",
            breaks: WHOLE,
        },
        Mistaken {
            mistake: Mistake::AskerAsksOne,
            what: "who asks for the end is content with one answer",
            breaks: FRESH,
        },
        Mistaken {
            mistake: Mistake::AskerIgnoresDoubt,
            what: "who asks for the end does not mind a value that may be decided",
            breaks: FRESH,
        },
        Mistaken {
            mistake: Mistake::HelpsTheFenced,
            what: "who asks for the end puts a value after a promise of a later epoch",
            breaks: ORDER,
        },
        Mistaken {
            mistake: Mistake::NeverLooksAtMarkers,
            what: "two of three decide, and one was emptied unnoticed",
            breaks: AGREE,
        },
        Mistaken {
            mistake: Mistake::LooksAtMarkersOnReads,
            what: "a marker is read with a chain, and not after a put",
            breaks: AGREE,
        },
        Mistaken {
            mistake: Mistake::LooksAtMarkersAfterPromises,
            what: "a marker is read after promises, and not after values",
            breaks: AGREE,
        },
        Mistaken {
            mistake: Mistake::TakesOverAtOnce,
            what: "a marker that was read a while ago will do, and a process takes over right after a voter was emptied",
            breaks: AGREE,
        },
        Mistaken {
            mistake: Mistake::LeadsOnAfterALongTime,
            what: "a marker that was read a while ago will do for who has led long ago",
            breaks: AGREE,
        },
        Mistaken {
            mistake: Mistake::TrustsWhatCameBack,
            what: "a voter came back with older data and its marker",
            breaks: AGREE,
        },
    ];

    fn right(size: Size) -> Vec<Self> {
        let wiped = |slots, guard| Self::of(slots).emptied(Harm::Wiped, guard);
        match size {
            Size::Quick => vec![
                Self::of(1),
                Self { asks: true, writers: 1, ..Self::of(1) },
                wiped(1, Guard::Head),
                wiped(1, Guard::Within),
            ],
            Size::Large => vec![
                Self::of(2),
                Self { voters: 4, quorum: 3, ..Self::of(1) },
                Self { voters: 5, quorum: 3, ..Self::of(1) },
                Self { asks: true, loses: false, ..Self::of(1) },
                wiped(1, Guard::AfterAll),
                Self { voters: 4, quorum: 3, ..wiped(1, Guard::Never) },
                Self {
                    voters: 4,
                    quorum: 3,
                    ..Self::of(1).emptied(Harm::RolledBack, Guard::Never)
                },
            ],
        }
    }

    fn wrong(mistake: QuorumMistake) -> Self {
        let mistaken = Self { mistake: Some(mistake), ..Self::of(1) };
        match mistake {
            Mistake::ProposesTooEarly | Mistake::SkipsWhatIsMissing => {
                Self { slots: 2, ..mistaken }
            }
            Mistake::AsksNoPromises
            | Mistake::PromisesElsewhere
            | Mistake::IgnoresFencing
            | Mistake::RecoversNothing
            | Mistake::DecidesByOne => mistaken,
            Mistake::RecoversTheEarliest | Mistake::CountsAllEpochs => {
                Self { turns: 2, loses: false, ..mistaken }
            }
            Mistake::AskerAsksOne | Mistake::AskerIgnoresDoubt | Mistake::HelpsTheFenced => {
                Self { asks: true, ..mistaken }
            }
            Mistake::NeverLooksAtMarkers => mistaken.emptied(Harm::Wiped, Guard::Never),
            Mistake::LooksAtMarkersOnReads => mistaken.emptied(Harm::Wiped, Guard::OnReads),
            Mistake::LooksAtMarkersAfterPromises => {
                mistaken.emptied(Harm::Wiped, Guard::AfterPromises)
            }
            Mistake::TakesOverAtOnce | Mistake::LeadsOnAfterALongTime => {
                mistaken.emptied(Harm::Wiped, Guard::Within)
            }
            Mistake::TrustsWhatCameBack => mistaken.emptied(Harm::RolledBack, Guard::OnReads),
        }
    }

    fn describe(&self) -> String {
        let Self { voters, quorum, writers, turns, slots, .. } = self;
        let mut text = format!(
            "{quorum} of {voters} voters, {writers} writers that take over {turns} times, {slots} slots"
        );
        if self.asks {
            text += ", one who asks";
        }
        if let Some(harm) = self.harm {
            text += &format!(", one is {harm:?} ({:?})", self.guard);
        }
        text
    }
}

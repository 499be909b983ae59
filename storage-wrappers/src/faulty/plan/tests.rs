//! The draws come as often as planned and do not disturb each other.

use super::*;

const DRAWS: u64 = 20_000;

type Happened<'a> = &'a dyn Fn(&Draw) -> bool;

#[test]
fn every_fault_comes_as_often_as_planned() {
    let plan = FaultPlan {
        latency: Duration::from_millis(10)..Duration::from_millis(20),
        paused: 0.2,
        throttled: 0.1,
        unavailable: 0.05,
        lost_before: 0.15,
        lost_after: 0.2,
        late: 0.25,
        late_operations_max: 4,
        stale_list: 0.3,
        truncated: 0.4,
        ..FaultPlan::none(11)
    };
    let draws: Vec<Draw> = (0..DRAWS).map(|number| plan.draw(number)).collect();
    let late = |distance| Fate::Late { operations: distance };
    let cases: &[(&str, f64, Happened<'_>)] = &[
        ("throttled", 0.1, &|draw| draw.fate == Fate::Throttled),
        ("unavailable", 0.05, &|draw| draw.fate == Fate::Unavailable),
        ("lost before", 0.15, &|draw| draw.fate == Fate::LostBefore),
        ("lost after", 0.2, &|draw| draw.fate == Fate::LostAfter),
        ("late by one", 0.0625, &|draw| draw.fate == late(1)),
        ("late by four", 0.0625, &|draw| draw.fate == late(4)),
        ("late by five", 0.0, &|draw| draw.fate == late(5)),
        ("late by none", 0.0, &|draw| draw.fate == late(0)),
        ("passing", 0.25, &|draw| draw.fate == Fate::Pass),
        ("paused before", 0.1, &|draw| draw.pauses_before),
        ("paused after", 0.1, &|draw| draw.pauses_after),
        ("stale", 0.3, &|draw| draw.lists_stale),
        ("truncated", 0.4, &|draw| draw.truncates),
        ("stale and truncated", 0.12, &|draw| draw.lists_stale && draw.truncates),
        ("slower than the middle", 0.5, &|draw| draw.latency >= Duration::from_millis(15)),
        ("out of the latencies", 0.0, &|draw| !plan.latency.contains(&draw.latency)),
    ];
    for (name, probability, happened) in cases {
        let share = draws.iter().filter(|draw| happened(draw)).count() as f64 / DRAWS as f64;
        // Five standard deviations; and the seed is fixed.
        let margin = 5.0 * (probability * (1.0 - probability) / DRAWS as f64).sqrt();
        assert!((share - probability).abs() <= margin, "{name}: {share}, not {probability}");
    }
}

#[test]
fn a_draw_depends_on_seed_and_number_only() {
    let plan = FaultPlan::rough(5);
    assert_eq!(plan.draw(7), plan.draw(7));
    assert_ne!(plan.draw(7).part, plan.draw(8).part);
    assert_ne!(plan.draw(7).part, FaultPlan::rough(6).draw(7).part);
    let stiller = FaultPlan { paused: 0.0, truncated: 0.9, ..plan.clone() };
    assert_eq!(plan.draw(7).fate, stiller.draw(7).fate);
    assert_eq!(plan.draw(7).part, stiller.draw(7).part);
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_by_name() {
    let none = FaultPlan::none(0);
    let cases = [
        (FaultPlan { throttled: 1.5, ..none.clone() }, "throttled is 1.5"),
        (FaultPlan { late: -0.1, ..none.clone() }, "late is -0.1"),
        (FaultPlan { truncated: f64::NAN, ..none.clone() }, "truncated is NaN"),
        (FaultPlan { lost_after: 0.6, late: 0.6, ..none.clone() }, "sum to 1.2"),
        (FaultPlan { late: 0.1, late_operations_max: 0, ..none.clone() }, "late_operations_max"),
        (
            FaultPlan { stale_list: 1.0, stale_operations_max: 0, ..none.clone() },
            "stale_operations_max",
        ),
    ];
    for (plan, expected) in cases {
        let error = plan.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.message().contains(expected), "{error}");
    }
    assert!(none.check().is_ok() && FaultPlan::rough(0).check().is_ok());
}

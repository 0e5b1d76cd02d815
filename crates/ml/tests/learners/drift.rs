//! Detectors of drift against river's: the same drifts, at the same records.

use crate::support::{close, golden, numbers};
use serde_json::Value;
use thalweg_ml::drift::page_hinkley::Direction;
use thalweg_ml::drift::{Adwin, Ddm, DriftDetector, Kswin, PageHinkley};

fn found(detector: impl Into<DriftDetector>, values: &Value) -> Vec<u64> {
    let mut detector = detector.into();
    let updates = numbers(values).into_iter().enumerate();
    updates.filter_map(|(n, x)| detector.update(x).then_some(n as u64)).collect()
}

fn theirs(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

#[test]
fn drifts_are_found_where_river_finds_them() {
    let golden = golden("drift");
    let (bits, values) = (&golden["bits"], &golden["values"]);
    assert_eq!(found(Adwin::new(0.002), bits), theirs(&golden["adwin/bits"]));
    assert_eq!(found(Adwin::new(0.01), values), theirs(&golden["adwin/values"]));
    assert_eq!(found(Ddm::default(), bits), theirs(&golden["ddm/bits"]));
    assert_eq!(found(PageHinkley::default(), values), theirs(&golden["page_hinkley/values"]));
    let up = PageHinkley::new(0.005, 20.0).direction(Direction::Up);
    assert_eq!(found(up, values), theirs(&golden["page_hinkley_up/values"]));
    let mut adwin = Adwin::default();
    let mut estimates = golden["adwin_estimates"].as_array().unwrap().iter();
    for (n, x) in numbers(values).into_iter().enumerate() {
        adwin.update(x);
        if n % 100 == 0 {
            let theirs = numbers(estimates.next().unwrap());
            close(adwin.width() as f64, theirs[0], "width");
            close(adwin.estimation(), theirs[1], "estimation");
        }
    }
}

#[test]
fn kswin_finds_the_drifts_and_little_else_as_rivers() {
    let golden = golden("drift");
    let near = |at: u64| (1500..1560).contains(&at) || (3000..3060).contains(&at);
    let strays = |found: &[u64]| found.iter().filter(|at| !near(**at)).count();
    let most = golden["kswin/values"].as_array().unwrap().iter().map(|of| strays(&theirs(of))).max().unwrap();
    for seed in 0..5 {
        let ours = found(Kswin::new(0.0001, 100, 30, seed), &golden["values"]);
        assert!(ours.iter().any(|at| (1500..1560).contains(at)), "{ours:?}");
        assert!(ours.iter().any(|at| (3000..3060).contains(at)), "{ours:?}");
        assert!(strays(&ours) <= most + 3, "{ours:?}");
    }
}

//! `detect_drift`: says when the distribution of a number has changed, for each key.
//!
//! - **Records** are told to the detector of their key. One at which it finds a drift brings about a [`Drift`], with the record's event
//!   time; after it the detector begins anew. What is not finite is left out, but counted.
//! - **Watermarks** and **barriers** pass.
//! - **State**: keyed, `detectors`: of each key the detector, and how many records it was told.
//!
//! ```
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_ml::drift::PageHinkley;
//! use thalweg_ml::operators::DetectDrift;
//!
//! let mut harness = Harness::new(DetectDrift::new(PageHinkley::new(0.005, 5.0).into()));
//! for n in 0..200 {
//!     harness.push(Keyed::new("pump".to_owned(), f64::from(u8::from(n >= 100))), n);
//! }
//! let drifts = harness.values();
//! assert_eq!((drifts[0].key.as_str(), drifts.len()), ("pump", 1));
//! assert!((101..115).contains(&drifts[0].scored), "{drifts:?}");
//! ```

use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::{Batch, Keyed, Record};
use thalweg_dataflow::state::{Key, KeyedTable, States};

use super::Drift;
use crate::drift::DriftDetector;

/// The operator. See the [module](self).
#[derive(Clone)]
pub struct DetectDrift<K> {
    detector: DriftDetector,
    detectors: KeyedTable<K, (DriftDetector, u64)>,
}

impl<K: Key> DetectDrift<K> {
    /// With a copy of `detector` for each key.
    pub fn new(detector: DriftDetector) -> Self {
        Self { detector, detectors: KeyedTable::default() }
    }
}

impl<K: Key> Operator for DetectDrift<K> {
    type In = Keyed<K, f64>;
    type Out = Drift<K>;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("detectors", &mut self.detectors);
    }

    fn process(
        &mut self,
        batch: &mut Batch<Self::In>,
        output: &mut Output<Self::Out>,
    ) -> Result<(), BoxError> {
        let Self { detector, detectors } = self;
        for Record { value: Keyed { hash, key, value }, timestamp } in batch.records.drain(..) {
            let entry = detectors.entry(hash, key.clone());
            let (detector, told) = entry.or_insert_with(|| (detector.clone(), 0));
            *told += 1;
            if detector.update(value) {
                output.push(Drift { key, scored: *told, replaced: false }, timestamp);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use thalweg_dataflow::harness::Harness;

    use super::*;
    use crate::drift::Adwin;

    /// The values of two keys, of which one changes.
    fn found(restore: Option<usize>) -> Vec<Drift<u8>> {
        let operator = || DetectDrift::new(Adwin::default().into());
        let mut harness = Harness::new(operator());
        let mut found = Vec::new();
        for n in 0..3000_u32 {
            if n == 1000
                && let Some(parallelism) = restore
            {
                found.append(&mut harness.values());
                harness = harness.restore(operator(), parallelism);
            }
            let noise = f64::from(n % 7) / 10.0;
            harness.push(Keyed::new(1_u8, noise), 0);
            harness.push(Keyed::new(2, noise + f64::from(u8::from(n > 1200))), 0);
        }
        found.append(&mut harness.values());
        found
    }

    #[test]
    fn each_key_has_its_own_detector_and_keeps_it() {
        let drifts = found(None);
        assert_eq!(drifts.len(), 1, "{drifts:?}");
        assert!(drifts[0].key == 2 && (1201..1400).contains(&drifts[0].scored), "{drifts:?}");
        assert_eq!(found(Some(3)), drifts, "also over a restore");
    }
}

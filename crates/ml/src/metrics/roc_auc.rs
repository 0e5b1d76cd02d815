//! The area under the ROC curve: how probable it is that a positive scores higher than a negative.

/// The exact area, ties counting half, out of labels and scores; 0 where there are not both.
///
/// ```
/// use thalweg_ml::metrics::roc_auc;
///
/// assert_eq!(roc_auc([(false, 0.1), (true, 0.8), (false, 0.8), (true, 0.9)]), 0.875);
/// ```
pub fn roc_auc(scored: impl IntoIterator<Item = (bool, f64)>) -> f64 {
    let mut scored: Vec<(bool, f64)> = scored.into_iter().collect();
    scored.sort_by(|a, b| a.1.total_cmp(&b.1));
    of_steps(scored.chunk_by(|a, b| a.1 == b.1).map(|equal| {
        let positive = equal.iter().filter(|(label, _)| *label).count();
        ((equal.len() - positive) as f64, positive as f64)
    }))
}

/// The area out of the weights of negatives and positives at each score, scores rising.
pub(crate) fn of_steps(steps: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut negatives, mut positives, mut area) = (0.0, 0.0, 0.0);
    for (negative, positive) in steps {
        area += positive * (negatives + negative / 2.0);
        negatives += negative;
        positives += positive;
    }
    if negatives > 0.0 && positives > 0.0 { area / (negatives * positives) } else { 0.0 }
}

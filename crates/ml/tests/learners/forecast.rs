//! Forecasters against river's numbers.

use crate::support::{close, data, golden, numbers};
use thalweg_ml::forecast::{Forecaster, HoltWinters, Snarimax};

fn check(key: &str, mut series: impl Forecaster) {
    let golden = golden("forecast");
    let mut theirs = golden[key].as_array().unwrap().iter();
    for (n, (_, y)) in data("airline_passengers").into_iter().enumerate() {
        series.learn(y).unwrap();
        if n % 10 == 9 && n > 40 {
            let theirs = numbers(theirs.next().unwrap());
            let ours = series.forecast(theirs.len());
            assert_eq!(ours.len(), 6);
            ours.into_iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, key));
        }
    }
}

#[test]
fn forecasts_are_rivers() {
    check("holt_winters_multiplicative", HoltWinters::multiplicative(0.3, 0.1, 0.6, 12));
    check("holt_winters_season", HoltWinters::additive(0.3, 0.1, 0.2, 12).begin_with_ratios());
    check("holt_winters_additive", HoltWinters::trend(0.3, 0.1));
    check("exponential", HoltWinters::level(0.3));
    let seasonal = Snarimax::new(12, 1, 12).seasonal(12, 0, 1, 0);
    check("snarimax", seasonal.learning_rate(0.01, 0.3).intercept(110.0));
    check("snarimax_seasonal", Snarimax::new(2, 1, 1).seasonal(12, 1, 0, 1).learning_rate(0.005, 0.01));
}

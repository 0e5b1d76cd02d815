//! Transformers against river's numbers.

use std::collections::BTreeMap;

use crate::support::{close, data, golden, number, numbers};
use thalweg_ml::Transformer;
use thalweg_ml::preprocessing::{
    Imputer, MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler, Statistic, TfIdf,
    UnknownCategory, VarianceThreshold,
};

#[test]
fn scales_are_rivers() {
    let golden = golden("preprocessing");
    let (mut standard, mut min_max) = (StandardScaler::new(), MinMaxScaler::default());
    for (n, (x, _)) in data("breast_cancer").into_iter().enumerate() {
        standard.learn(&x).unwrap();
        min_max.learn(&x).unwrap();
        if n % 40 == 0 {
            for (key, ours) in [("standard", standard.transform(&x)), ("min_max", min_max.transform(&x))] {
                let theirs = numbers(&golden[key][n / 40]);
                ours.unwrap().into_iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, key));
            }
        }
    }
}

#[test]
fn what_varies_is_rivers() {
    let (golden, mut threshold) = (golden("preprocessing"), VarianceThreshold::new(0.05));
    for (n, (x, _)) in data("phishing").into_iter().enumerate() {
        threshold.learn(&x).unwrap();
        if n % 100 == 0 {
            let ours: Vec<f64> =
                (0..x.len()).filter(|feature| threshold.passes(*feature)).map(|f| f as f64).collect();
            assert_eq!(ours, numbers(&golden["variance_threshold"][n / 100]));
        }
    }
}

#[test]
fn words_weigh_what_rivers_do() {
    let golden = golden("preprocessing");
    let mut tf_idf = TfIdf::new(1000);
    let texts = golden["tf_idf"]["texts"].as_array().unwrap();
    for (text, theirs) in texts.iter().zip(golden["tf_idf"]["rows"].as_array().unwrap()) {
        let text = text.as_str().unwrap().to_owned();
        tf_idf.learn(&text).unwrap();
        let ours = tf_idf.transform(&text).unwrap();
        assert_eq!(ours.iter().count(), theirs.as_object().unwrap().len());
        for (word, theirs) in theirs.as_object().unwrap() {
            close(ours.get(tf_idf.place(word).unwrap()), number(theirs), word);
        }
    }
}

#[test]
fn what_is_filled_in_is_rivers() {
    let golden = golden("preprocessing");
    let imputers = [
        ("mean", Statistic::Mean),
        ("previous", Statistic::Previous),
        ("constant", Statistic::Constant(-1.5)),
    ];
    for (name, statistic) in imputers {
        let (mut imputer, key) = (Imputer::new(statistic), format!("imputer_{name}"));
        let mut theirs = golden[&key].as_array().unwrap().iter();
        for (n, (mut x, _)) in data("iris").into_iter().enumerate() {
            (0..4).filter(|i| (n + i) % 4 == 0).for_each(|i| x[i] = f64::NAN);
            imputer.learn(&x).unwrap();
            if n >= 4 && n % 5 == 0 {
                let (ours, theirs) = (imputer.transform(&x).unwrap(), numbers(theirs.next().unwrap()));
                ours.into_iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, &key));
            }
        }
    }
}

#[test]
fn products_are_rivers() {
    let golden = golden("preprocessing");
    let rows = golden["polynomial"].as_array().unwrap();
    for ((x, _), theirs) in data("iris").iter().step_by(30).zip(rows) {
        let (ours, theirs) = (PolynomialFeatures::new(3).transform(x).unwrap(), numbers(theirs));
        assert_eq!(ours.len(), theirs.len());
        ours.into_iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, "a product"));
    }
}

#[test]
fn categories_are_rivers() {
    let golden = golden("preprocessing");
    let mut encoder = OneHotEncoder::new(100, UnknownCategory::Ignore);
    // Theirs are named by field and category; which place that is, a record that has nothing else tells.
    let place = |encoder: &OneHotEncoder, name: &str| {
        let (field, category) = name.split_once('_').unwrap();
        let mut alone = vec!["?".to_owned(); 3];
        alone[field.parse::<usize>().unwrap()] = category.to_owned();
        let encoded = encoder.transform(&alone).unwrap();
        assert_eq!(encoded.iter().count(), 1, "{name}");
        encoded.iter().next().unwrap()
    };
    let mut names = BTreeMap::new();
    for (n, (x, _)) in data("solar_flare").into_iter().take(300).enumerate() {
        let fields: Vec<String> = x[..3].iter().map(|v| format!("{v:.1}")).collect();
        encoder.learn(&fields).unwrap();
        if n % 20 == 0 {
            let theirs: Vec<&str> = golden["one_hot"][n / 20]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            let mut theirs: Vec<(u32, f64)> = theirs
                .into_iter()
                .map(|name| {
                    let at = place(&encoder, name);
                    assert_eq!(
                        *names.entry(at.0).or_insert(name.to_owned()),
                        name,
                        "one place, one category"
                    );
                    at
                })
                .collect();
            theirs.sort_by_key(|(place, _)| *place);
            assert_eq!(encoder.transform(&fields).unwrap().iter().collect::<Vec<_>>(), theirs);
        }
    }
    assert!(names.len() > 8, "{names:?}");
}

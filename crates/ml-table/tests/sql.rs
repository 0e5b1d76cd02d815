//! Models in SQL say what the learners say that they name, learn what they are told, and come back after a crash as they were.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod made;

use thalweg_ml::linear::{LogisticRegression, Optimizer};
use thalweg_ml::preprocessing::StandardScaler;
use thalweg_ml::{Learner, Pipeline, to_json};
use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_table::error::SqlError;

use self::made::{ROWS, features, pipeline};

const MODEL: &str = "CREATE MODEL m INPUT (a DOUBLE, b INT) OUTPUT (says BOOLEAN, p DOUBLE) WITH (
    'provider' = 'thalweg', 'algorithm' = 'logistic-regression', 'optimizer' = 'ada-grad', 'learning-rate' = '0.1', 'scaler' = 'standard')";

const LEARN: &str = "SELECT k, n, says, p, model_version
    FROM ML_LEARN(TABLE made PARTITION BY k, MODEL m, DESCRIPTOR(a, b), DESCRIPTOR(y))";

fn learner() -> Pipeline<StandardScaler, LogisticRegression> {
    Pipeline::new(StandardScaler::new(), LogisticRegression::with(Optimizer::ada_grad(0.1)))
}

#[test]
fn learning_is_the_same_however_it_is_run() {
    pipeline("learn", MODEL, LEARN).check();
    let nearest = "CREATE MODEL m INPUT (a DOUBLE, b INT) OUTPUT (v DOUBLE) WITH (
        'provider' = 'thalweg', 'algorithm' = 'hoeffding-tree-regressor', 'grace-period' = '50', 'delta' = '0.01', 'drift-detector' = 'adwin', 'on-drift' = 'reset')";
    let learn = "SELECT k, n, v, model_version FROM ML_LEARN(TABLE made PARTITION BY k, MODEL m, DESCRIPTOR(a, b), DESCRIPTOR(n))";
    pipeline("trees", nearest, learn).check();
}

#[test]
fn what_is_said_is_what_the_learner_says() {
    let mut expected = Vec::new();
    for key in 0..4 {
        let mut model = learner();
        for (version, n) in (key..ROWS).step_by(4).enumerate() {
            let (a, b, y) = features(n);
            let said = model.predict_one(&vec![a, b as f64]).unwrap();
            let class = said.class().unwrap();
            expected.push((n, class == 1, said.probability(class), version as i64));
            model.learn_one(&vec![a, b as f64], &u32::from(y)).unwrap();
        }
    }
    expected.sort_by_key(|row| row.0);
    let mut said: Vec<(i64, bool, f64, i64)> = pipeline("oracle", MODEL, LEARN)
        .output()
        .iter()
        .map(|line| {
            let parts: Vec<&str> = line.split(", ").collect();
            let number = |at: usize| parts[at].parse::<f64>().unwrap();
            (number(1) as i64, parts[2].eq_ignore_ascii_case("true"), number(3), number(4) as i64)
        })
        .collect();
    said.sort_by_key(|row| row.0);
    assert_eq!(said, expected);
}

/// The rows of a query in a session in which a script was run, sorted.
fn rows(script: &str, query: &str) -> Vec<String> {
    let mut lines = pipeline("rows", script, query).output();
    lines.sort();
    lines
}

#[test]
fn a_model_of_a_file_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = learner();
    for n in 0..2000 {
        let (a, b, y) = features(n);
        model.learn_one(&vec![a, b as f64], &u32::from(y)).unwrap();
    }
    let path = folder.path().join("m.json");
    std::fs::write(&path, to_json("of 2000", &model).unwrap()).unwrap();
    let create = |more: &str| {
        format!(
            "CREATE VIEW few AS SELECT * FROM (VALUES (0.5, 3), (-2.0, 1)) AS t(a, b);
             CREATE MODEL m INPUT (a DOUBLE, b INT) OUTPUT (a INT, p ARRAY<DOUBLE>) WITH (
                'provider' = 'thalweg', 'algorithm' = 'logistic-regression', 'path' = '{}'{more})",
            path.display()
        )
    };
    let query =
        "SELECT b, a0, p[2] FROM ML_PREDICT(INPUT => TABLE few, MODEL => MODEL m, ARGS => DESCRIPTOR(a, b))";
    let expect = |a: f64, b: f64| {
        let said = model.predict_one(&vec![a, b]).unwrap();
        (said.class().unwrap(), said.probability(1))
    };
    let said = rows(&create(", 'name' = 'of 2000'"), query);
    for (line, (a, b)) in said.iter().zip([(-2.0, 1.0), (0.5, 3.0)]) {
        let (class, p) = expect(a, b);
        let parts: Vec<f64> = line.split(", ").map(|part| part.parse().unwrap()).collect();
        assert_eq!(parts, [b, f64::from(class), p], "a name that is there already gets a number");
    }
    let told = |more: &str| run(&create(more)).unwrap_err().to_string();
    assert!(told(", 'name' = 'other'").contains("the model `of 2000`, not `other`"));
    assert!(told(", 'learning-rate' = '1'").contains("no option `learning-rate`"), "the file has its own");
    let tree = create("").replace("logistic-regression", "hoeffding-tree");
    assert!(run(&tree).unwrap_err().to_string().contains("the file is of another model"));
    std::fs::write(&path, "{").unwrap();
    assert!(told("").contains("another model"));
    std::fs::remove_file(&path).unwrap();
    assert!(told("").contains("cannot be read"));
}

/// Runs a script of which nothing is a job.
fn run(script: &str) -> Result<Vec<String>, SqlError> {
    let mut environment = TableEnvironment::new();
    thalweg_ml_table::register(&mut environment);
    let mut texts = Vec::new();
    environment.execute_script(script, |_, _, outcome| {
        if let Outcome::Text(text) = outcome {
            texts.push(text);
        }
        Ok(())
    })?;
    Ok(texts)
}

const FEW: &str = "CREATE VIEW few AS SELECT * FROM (VALUES
    (1, 0.0, 'no'), (2, 9.0, 'yes'), (3, 0.5, CAST(NULL AS STRING)), (4, CAST(NULL AS DOUBLE), 'yes'), (5, 8.5, 'yes'), (6, 0.2, 'no'), (7, 9.5, 'perhaps'), (8, 9.5, 'no')
    ) AS t(n, a, y);";

fn of_few(options: &str) -> String {
    format!(
        "{FEW} CREATE MODEL m INPUT (a DOUBLE) OUTPUT (says STRING) WITH (
            'provider' = 'thalweg', 'algorithm' = 'k-nearest-neighbors', 'k' = '1'{options})"
    )
}

const ALL_OF_FEW: &str =
    "SELECT n, says, model_version FROM ML_LEARN(TABLE few, MODEL m, DESCRIPTOR(a), DESCRIPTOR(y))";

#[test]
fn rows_without_a_label_are_predicted_alone_and_bad_ones_teach_nothing() {
    let said = rows(&of_few(", 'bad-records' = 'null'"), ALL_OF_FEW);
    let expected = [
        "1, null, 0",
        "2, no, 1",
        "3, no, 2",
        "4, null, 2",
        "5, yes, 2",
        "6, no, 3",
        "7, yes, 4",
        "8, perhaps, 5",
    ];
    assert_eq!(said, expected);
    let fixed = rows(&of_few(", 'bad-records' = 'null', 'classes' = 'no, yes'"), ALL_OF_FEW);
    assert_eq!(fixed[6..], ["7, yes, 4", "8, yes, 4"], "'perhaps' is no class, and was not learnt");
    let filled = rows(&of_few(", 'missing' = 'zero'"), ALL_OF_FEW);
    assert_eq!((filled[3].as_str(), filled[4].as_str()), ("4, no, 2", "5, yes, 3"));
}

#[test]
fn clusters_and_anomalies_are_learnt_without_labels() {
    let script = format!(
        "{FEW} CREATE VIEW full_ones AS SELECT n, a FROM few WHERE a IS NOT NULL;
         CREATE MODEL c INPUT (a DOUBLE) OUTPUT (cluster INT, apart DOUBLE) WITH ('provider' = 'thalweg', 'algorithm' = 'mini-batch-k-means', 'k' = '2', 'start' = '3');
         CREATE MODEL s INPUT (a DOUBLE) OUTPUT (score DOUBLE) WITH ('provider' = 'thalweg', 'algorithm' = 'half-space-trees', 'scaler' = 'min-max');"
    );
    let clusters =
        rows(&script, "SELECT n, cluster IS NULL FROM ML_LEARN(TABLE full_ones, MODEL c, DESCRIPTOR(a))");
    assert_eq!(clusters.len(), 7);
    assert!(
        clusters[2].to_lowercase().contains("true") && clusters[3].to_lowercase().contains("false"),
        "{clusters:?}"
    );
    let scores = rows(&script, "SELECT n, score FROM ML_LEARN(TABLE full_ones, MODEL s, DESCRIPTOR(a))");
    assert!(scores.iter().all(|line| line.split(", ").nth(1).unwrap().parse::<f64>().is_ok()), "{scores:?}");
}

#[test]
fn scores_are_an_aggregate_over_what_was_said() {
    let query = "SELECT k, COUNT(*), AVG(CASE WHEN says = y THEN 1.0 ELSE 0.0 END) > 0.9 FROM ML_LEARN(
        TABLE made PARTITION BY k, MODEL m, DESCRIPTOR(a, b), DESCRIPTOR(y)) GROUP BY k";
    let mut environment = TableEnvironment::new();
    thalweg_ml_table::register(&mut environment);
    let script = format!("{};{MODEL}", made::table());
    environment.register_connector("made", made::connector());
    environment.execute_script(&script, |_, _, _| Ok(())).unwrap();
    let job = thalweg_dataflow::runtime::Job::new(thalweg_dataflow::runtime::JobConfig::new("scores"));
    let plan = environment.stream(query, &job);
    assert!(plan.is_ok(), "{:?}", plan.err());
}

#[test]
fn models_are_shown_changed_and_dropped() {
    let texts = run(&format!(
        "{MODEL}; CREATE MODEL IF NOT EXISTS m INPUT (a INT) OUTPUT (b INT) WITH ('provider' = 'none');
         SHOW MODELS; DESCRIBE MODEL m; SHOW CREATE MODEL m;
         ALTER MODEL m SET ('learning-rate' = '0.5'); ALTER MODEL m RENAME TO other; ALTER MODEL IF EXISTS m RESET ('scaler');
         SHOW CREATE MODEL other; DROP MODEL other; DROP MODEL IF EXISTS other; SHOW MODELS"
    ))
    .unwrap();
    assert!(texts[0].contains(" m |"), "{}", texts[0]);
    let says = texts[1].lines().find(|line| line.contains("says")).unwrap();
    assert!(says.contains("BOOLEAN") && says.contains("OUTPUT"), "{}", texts[1]);
    assert!(texts[2].contains("'algorithm' = 'logistic-regression'"), "{}", texts[2]);
    let made_again = run(&format!("{}; SHOW CREATE MODEL m", texts[2])).unwrap();
    assert_eq!(made_again[0], texts[2], "what is shown makes the same model");
    assert!(texts[3].contains("`other`") && texts[3].contains("'learning-rate' = '0.5'"), "{}", texts[3]);
    assert!(!texts[4].contains("other"), "{}", texts[4]);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_way_out() {
    let wrong = |script: &str| {
        let error = run(script).unwrap_err();
        error.render(script)
    };
    let with = |from: &str, to: &str| wrong(&MODEL.replace(from, to));
    assert!(with("'thalweg'", "'thalwg'").contains("did you mean `thalweg`?"));
    assert!(with("'logistic-regression'", "'logistics'").contains("there is no algorithm `logistics`"));
    assert!(with("'optimizer'", "'optimiser'").contains("did you mean `optimizer`?"));
    assert!(with("'0.1'", "'fast'").contains("`learning-rate` is a number, and not `fast`"));
    assert!(with("a DOUBLE", "a STRING").contains("the input `a STRING` is no number"));
    assert!(with("p DOUBLE", "p DATE").contains("the output `p DATE` is not what this model says"));
    let place = with("'optimizer'", "'optimiser'");
    assert!(place.contains("line 2"), "{place}");
    let of = |call: &str| wrong(&format!("{FEW} {MODEL}; EXPLAIN SELECT * FROM {call}"));
    assert!(of("ML_PREDICT(TABLE few, MODEL n, DESCRIPTOR(n, a))").contains("no model `n`"));
    assert!(of("ML_PREDICT(TABLE few, MODEL m, DESCRIPTOR(a))").contains("predicts from 2 columns"));
    assert!(of("ML_PREDICT(TABLE few, MODEL m, DESCRIPTOR(a, n))").contains("has learnt nothing"));
    assert!(of("ML_LEARN(TABLE few, MODEL m, DESCRIPTOR(a, n))").contains("DESCRIPTOR(label) says which"));
    let label = of("ML_LEARN(TABLE few, MODEL m, DESCRIPTOR(a, n), DESCRIPTOR(y))");
    assert!(label.contains("another type than the model's output"), "{label}");
    assert!(of("ML_LEARN(TABLE few, MODEL m, DESCRIPTOR(y, n), DESCRIPTOR(n))").contains("of another type"));
    let config = of("ML_LEARN(TABLE few, MODEL m, DESCRIPTOR(a, n), DESCRIPTOR(n), MAP['async', 'true'])");
    assert!(config.contains("async") || config.contains("another type"), "{config}");
    let counted = wrong(&format!(
        "{FEW} {MODEL}; CREATE VIEW counts AS SELECT a, COUNT(*) AS n, MAX(y = 'yes') AS y FROM few GROUP BY a;
         EXPLAIN SELECT * FROM ML_LEARN(TABLE counts, MODEL m, DESCRIPTOR(a, n), DESCRIPTOR(y))"
    ));
    assert!(counted.contains("only added") || counted.contains("MAX"), "{counted}");
    // Without a provider it says how to get one.
    let bare = TableEnvironment::new().execute_script(MODEL, |_, _, _| Ok(())).unwrap_err();
    assert!(bare.to_string().contains("feature `ml`"), "{bare}");
}

#[test]
#[should_panic(expected = "feature 0 is missing, infinite or beyond 1e100")]
fn a_bad_row_fails_the_job_unless_it_is_let_go_on() {
    rows(&of_few(""), ALL_OF_FEW);
}

#[cfg(feature = "onnx")]
#[test]
fn a_model_of_an_onnx_file_predicts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ml/tests/golden/onnx/logistic.onnx");
    let features: Vec<String> = (0..30).map(|n| format!("CAST({n} AS DOUBLE)")).collect();
    let script = format!(
        "CREATE VIEW one AS SELECT ARRAY[{}] AS x;
         CREATE MODEL m INPUT (x ARRAY<DOUBLE>) OUTPUT (says STRING, p DOUBLE) WITH (
            'provider' = 'thalweg', 'path' = '{path}', 'classes' = 'malignant,benign')",
        features.join(", ")
    );
    let said = rows(&script, "SELECT says, p > 0.5 FROM ML_PREDICT(TABLE one, MODEL m, DESCRIPTOR(x))");
    assert!(said[0].starts_with("malignant") || said[0].starts_with("benign"), "{said:?}");
}

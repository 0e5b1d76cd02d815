//! Fraud: transactions are judged as they come, and their labels, which come later, are learnt; alerts go to Kafka, exactly once.
//!
//! ```text
//! cargo run --release -p thalweg --features ml --example fraud -- --bootstrap HOST:PORT --topic transactions --labels labels --output alerts
//! ```
//!
//! - `transactions` holds lines `id,amount,distance_km,seconds_since_last`; `labels` lines `id,1` (fraud) or `id,0`, which may come up to a day later, or first.
//! - Each transaction is predicted at once; one that is probably fraud is an alert: key `id`, value `probability,version of the model`.
//! - When its label comes, the prediction *that was made* is scored, and the transaction is learnt. When the errors drift, a second model that has learnt since they began to
//!   takes over. Scores and drifts go to `--scores`, if it is given.
//! - Model, waiting predictions, positions and output are one checkpoint: after a crash all four go on from the same place.

use std::path::PathBuf;

use clap::Parser;
use thalweg::ml::datastream::PredictExt;
use thalweg::ml::drift::{Adwin, Ddm};
use thalweg::ml::linear::{LogisticRegression, Optimizer};
use thalweg::ml::metrics::ClassificationMetric;
use thalweg::ml::operators::{BadRecordPolicy, Learn, Observation, OnDrift, Outcome};
use thalweg::ml::preprocessing::StandardScaler;
use thalweg::ml::{Class, Pipeline};
use thalweg::prelude::*;

/// Judges transactions, learns from their labels, and writes alerts to another topic, exactly once.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic of transactions: lines of id,amount,distance,seconds.
    #[arg(long)]
    topic: String,
    /// The topic of labels: lines of id,0 or id,1.
    #[arg(long)]
    labels: String,
    /// The topic to write alerts to.
    #[arg(long)]
    output: String,
    /// A topic to write scores and drifts to.
    #[arg(long)]
    scores: Option<String>,
    /// Above which probability a transaction is an alert.
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "fraud.checkpoints")]
    checkpoints: PathBuf,
}

type Observed = Observation<String, Vec<f64>, Class>;

fn transaction(line: &str) -> Result<Observed, BoxError> {
    let wrong = || format!("'{line}' is not of the form id,amount,distance,seconds");
    let (id, rest) = line.split_once(',').ok_or_else(wrong)?;
    let numbers: Vec<f64> =
        rest.split(',').map(|n| n.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
    // Amounts and distances span several magnitudes.
    let features = numbers.iter().map(|n| n.max(0.0).ln_1p()).collect();
    if numbers.len() == 3 { Ok(Observation::Features(id.to_owned(), features)) } else { Err(wrong().into()) }
}

fn label(line: &str) -> Result<Observed, BoxError> {
    match line.split_once(',') {
        Some((id, "0")) => Ok(Observation::Label(id.to_owned(), 0)),
        Some((id, "1")) => Ok(Observation::Label(id.to_owned(), 1)),
        _ => Err(format!("'{line}' is not of the form id,0 or id,1").into()),
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(1), &args.checkpoints)?;
    let lines = |topic: &str, name: &str| -> anyhow::Result<DataStream<String>> {
        let mut source = KafkaSource::builder(&args.bootstrap)
            .set_topics([topic])
            .set_starting_offsets(OffsetsInitializer::earliest());
        if args.until_end {
            source = source.set_bounded(OffsetsInitializer::latest());
        }
        let source = source.set_deserializer(values::<String>()).build()?;
        let strategy = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(60));
        Ok(env.from_source(source, strategy.with_idleness(Duration::from_secs(10)), name))
    };
    let transactions = lines(&args.topic, "transactions")?.try_map(|line| transaction(&line));
    let labels = lines(&args.labels, "labels")?.try_map(|line| label(&line));

    let model = Pipeline::new(StandardScaler::new(), LogisticRegression::with(Optimizer::ada_grad(0.3)));
    let learn = Learn::<_, _, _, _, ClassificationMetric>::new(model)
        .label_timeout(24 * 3600 * 1000)
        .detect_drift(Adwin::new(0.002).into(), OnDrift::Swap(Ddm::default().into()))
        .on_bad_record(BadRecordPolicy::Skip)
        .scores_every(1000);
    let learnt = transactions.union(&labels).learn_all(|observed| observed, learn).uid("fraud-model");

    let sink = |topic: &str| {
        KafkaSink::builder(&args.bootstrap)
            .set_topic(topic)
            .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
            .set_serializer(key_values::<String, String>())
            .build()
    };
    let threshold = args.threshold;
    let alerts = learnt.outcomes().flat_map(move |judged, out| {
        let probability = judged.prediction.probability(1);
        // A label that came first is learnt at once: whoever has it needs no alert.
        if judged.outcome == Outcome::Predicted && probability > threshold {
            out.collect((judged.id, format!("{probability:.4},{}", judged.version)));
        }
    });
    alerts.sink_to(sink(&args.output)?);
    if let Some(topic) = &args.scores {
        let scores = learnt.scores().map(|scores| {
            let (all, window) = (scores.report.all, scores.report.window);
            let says =
                format!("auc={:.4} kappa={:.4} recent auc={:.4}", all.roc_auc, all.kappa, window.roc_auc);
            ("scores".to_owned(), format!("{} {says}", scores.scored))
        });
        let drifts = learnt
            .drifts()
            .map(|drift| ("drift".to_owned(), format!("{} replaced={}", drift.scored, drift.replaced)));
        scores.union(&drifts).sink_to(sink(topic)?);
    }

    let job = env.execute_async("fraud")?;
    let controls = job.controls();
    ctrlc::set_handler(move || controls.stop())?;
    let result = job.wait()?;
    eprintln!("stopped; everything up to epoch {} is committed", result.epoch);
    Ok(())
}

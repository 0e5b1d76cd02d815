//! Recommendations: clicks from Kafka, and to Kafka, with each click, what its user may like next, exactly once.
//!
//! ```text
//! cargo run --release -p thalweg --features ml --example recommendations -- --bootstrap HOST:PORT --topic clicks --output recommendations
//! ```
//!
//! - `clicks` holds lines `user,item`, with Kafka's timestamps. Recommendations are written with the user as key, as `item item item`, the best first.
//! - Two models learn from each click: what is clicked together lately (counts that halve in a day), and factors of users and items (Bayesian personalised ranking). The first
//!   speaks for what it knows; the second fills up the list for users of whom little is known.
//! - Both are plain values in the state of a keyed function: learners need no operator of their own.

use std::path::PathBuf;

use clap::Parser;
use thalweg::dataflow::state::{States, ValueState};
use thalweg::ml::Learner;
use thalweg::ml::recommend::{BayesianPersonalizedRanking, Click, ItemCoOccurrence};
use thalweg::prelude::*;

/// Recommends with each click what its user may like next.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic of clicks: lines of user,item.
    #[arg(long)]
    topic: String,
    /// The topic to write recommendations to.
    #[arg(long)]
    output: String,
    /// How many items are recommended.
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "recommendations.checkpoints")]
    checkpoints: PathBuf,
}

type Models = (ItemCoOccurrence<String, String>, BayesianPersonalizedRanking<String, String>);

/// Learns clicks, and recommends.
#[derive(Clone)]
struct Recommend {
    top: usize,
    models: ValueState<(), Models>,
}

impl KeyedProcessFunction for Recommend {
    type Key = ();
    type In = (String, String);
    type Out = (String, String);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("models", &mut self.models);
    }

    fn process_element(
        &mut self,
        (user, item): (String, String),
        context: &mut KeyedProcessContext<'_, (), Self::Out>,
    ) -> Result<(), BoxError> {
        const DAY: f64 = 86_400_000.0;
        let (key, time) = (context.current_key(), context.timestamp());
        if self.models.value(&key).is_none() {
            let models =
                (ItemCoOccurrence::new(DAY, 20, 200, self.top), BayesianPersonalizedRanking::new(16, 42));
            self.models.update(&key, models);
        }
        let Some((together, factors)) = self.models.value_mut(&key) else { return Ok(()) };
        together.learn_one(&Click { user: user.clone(), item: item.clone(), time }, &())?;
        factors.learn_one(&(user.clone(), item), &())?;
        let mut best: Vec<String> =
            together.recommend(&user, time, self.top).into_iter().map(|(item, _)| item).collect();
        let others =
            factors.recommend(&user, self.top, |item| factors.has_chosen(&user, item) || best.contains(item));
        best.extend(others.into_iter().map(|(item, _)| item).take(self.top - best.len()));
        context.collect((user, best.join(" ")));
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(1), args.checkpoints)?;
    let mut source = KafkaSource::builder(&args.bootstrap)
        .set_topics([args.topic])
        .set_starting_offsets(OffsetsInitializer::earliest());
    if args.until_end {
        source = source.set_bounded(OffsetsInitializer::latest());
    }
    let source = source.set_deserializer(values::<String>()).build()?;
    let clicks = env.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "clicks");

    let clicks = clicks.try_map(|line: String| match line.split_once(',') {
        Some((user, item)) => Ok((user.trim().to_owned(), item.trim().to_owned())),
        None => Err(format!("'{line}' is not of the form user,item")),
    });
    // One model of all clicks; a shop with several markets would be keyed by market.
    let recommend = Recommend { top: args.top, models: ValueState::default() };
    let recommended = clicks.key_by(|_| ()).process(recommend).uid("recommendations");

    let sink = KafkaSink::builder(&args.bootstrap)
        .set_topic(args.output)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, String>())
        .build()?;
    recommended.sink_to(sink);

    let job = env.execute_async("recommendations")?;
    let controls = job.controls();
    ctrlc::set_handler(move || controls.stop())?;
    let result = job.wait()?;
    eprintln!("stopped; everything up to epoch {} is committed", result.epoch);
    Ok(())
}

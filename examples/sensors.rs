//! Sensors: readings from Kafka, each sensor with a model of its own; to Kafka go readings that are unlike their season, and forecasts, exactly once.
//!
//! ```text
//! cargo run --release -p thalweg --features ml --example sensors -- --bootstrap HOST:PORT --topic readings --output findings --season 24
//! ```
//!
//! - `readings` holds lines `sensor,value`, those of a sensor in the order of time, in one partition.
//! - Each reading is compared with what level, trend and season of its sensor made expect (Holt–Winters), before it is learnt. One that is off by more deviations than
//!   `--strange` is written with the sensor as key, as `anomaly value score`. A reading that is no number is left out.
//! - Once a season, each sensor's forecast of the next is written, as `forecast value value …`.

use std::path::PathBuf;

use clap::Parser;
use thalweg::ml::anomaly::SeasonalResidual;
use thalweg::ml::datastream::LearnExt;
use thalweg::ml::forecast::{Forecaster, HoltWinters};
use thalweg::ml::metrics::Unscored;
use thalweg::ml::operators::{BadRecordPolicy, Learn, Observation};
use thalweg::prelude::*;

/// Finds readings that are unlike their season, and forecasts the next one.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic of readings: lines of sensor,value.
    #[arg(long)]
    topic: String,
    /// The topic to write findings to.
    #[arg(long)]
    output: String,
    /// The number of readings in a season.
    #[arg(long, default_value_t = 24)]
    season: usize,
    /// Above how many deviations a reading is strange.
    #[arg(long, default_value_t = 6.0)]
    strange: f64,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "sensors.checkpoints")]
    checkpoints: PathBuf,
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
    let lines = env.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "readings");
    let readings = lines.try_map(|line: String| match line.split_once(',') {
        // What is no number is NaN here, and so a bad record there.
        Some((sensor, value)) => Ok((sensor.to_owned(), value.trim().to_owned())),
        None => Err(format!("'{line}' is not of the form sensor,value")),
    });

    let season = args.season;
    let model = SeasonalResidual::new(HoltWinters::additive(0.2, 0.01, 0.3, season), 3 * season as u32);
    let learn = Learn::<_, _, _, _, Unscored<(), f64>>::new(model)
        .on_bad_record(BadRecordPolicy::Skip)
        .models_every(season as u64);
    let observe = |(_, value): (String, String)| {
        let number = value.parse().unwrap_or(f64::NAN);
        Observation::Example(value, number, ())
    };
    let learnt = readings.key_by(|(sensor, _)| sensor.clone()).learn(observe, learn).uid("sensors");

    let strange = args.strange;
    let anomalies = learnt.outcomes().flat_map(move |reading, out| {
        if reading.prediction > strange {
            out.collect((reading.key, format!("anomaly {} {:.1}", reading.id, reading.prediction)));
        }
    });
    let forecasts = learnt.models().map(move |version| {
        let ahead = version.model.forecaster().forecast(season);
        let ahead: Vec<String> = ahead.iter().map(|value| format!("{value:.2}")).collect();
        (version.key, format!("forecast {}", ahead.join(" ")))
    });
    let sink = KafkaSink::builder(&args.bootstrap)
        .set_topic(args.output)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, String>())
        .build()?;
    anomalies.union(&forecasts).sink_to(sink);

    let job = env.execute_async("sensors")?;
    let controls = job.controls();
    ctrlc::set_handler(move || controls.stop())?;
    let result = job.wait()?;
    eprintln!("stopped; everything up to epoch {} is committed", result.epoch);
    Ok(())
}

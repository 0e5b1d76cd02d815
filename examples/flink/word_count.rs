//! How often each word has occurred so far; with `--batch` how often it occurs in all (Flink's `WordCount`, with its execution modes).
//!
//! `cargo run --release -p thalweg --example word_count -- [--batch]`

use thalweg::prelude::*;

const TEXT: [&str; 6] = [
    "To be, or not to be,--that is the question:--",
    "Whether 'tis nobler in the mind to suffer",
    "The slings and arrows of outrageous fortune",
    "Or to take arms against a sea of troubles,",
    "And by opposing end them?--To die,--to sleep,--",
    "No more; and by a sleep to say we end",
];

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    if std::env::args().any(|argument| argument == "--batch") {
        env.set_runtime_mode(RuntimeMode::Batch);
    }
    let text = env.from_collection(TEXT.to_vec());
    let words = text.flat_map(|line: &str, out| {
        let words = line.to_lowercase();
        let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.for_each(|word| out.collect((word.to_owned(), 1)));
    });
    words.key_by(|(word, _)| word.clone()).sum(|(_, n)| *n).print();
    env.execute("WordCount")?;
    Ok(())
}

//! Counts words in windows, and hands those that are too long to a side output (Flink's `SideOutputExample`).
//!
//! `cargo run --release -p thalweg --example side_output`

use thalweg::prelude::*;

const REJECTED: OutputTag<String> = OutputTag::new("rejected");

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let text =
        env.from_timed_collection(vec![("deep and outrageous and deep", 0), ("fortune and deep", 6_000)]);
    let words = text.process(|line: &str, context| {
        for word in line.split(' ') {
            if word.len() > 5 {
                context.output(&REJECTED, word.to_owned());
            } else {
                context.collect((word.to_owned(), 1_u32));
            }
        }
    });
    words.get_side_output(&REJECTED).print_with_prefix("rejected");
    let counts =
        words.key_by(|(word, _)| word.clone()).window(TumblingEventTimeWindows::of(Duration::from_secs(5)));
    counts.sum(|(_, n)| *n).print();
    env.execute("Streaming WordCount SideOutput")?;
    Ok(())
}

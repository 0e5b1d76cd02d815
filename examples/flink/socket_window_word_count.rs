//! Counts the words that a server sends in windows of five seconds (Flink's `SocketWindowWordCount`).
//!
//! In one terminal `nc -lk 9999`, in another
//! `cargo run --release -p thalweg --example socket_window_word_count -- localhost 9999`.

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port]: [String; 2] =
        arguments.try_into().map_err(|_| "usage: socket_window_word_count HOST PORT")?;
    let env = StreamExecutionEnvironment::new();
    let text = env.socket_text_stream_with(&host, port.parse()?, "\n", 0);
    let counts = text
        .flat_map(|line, out| line.split_whitespace().for_each(|word| out.collect((word.to_owned(), 1_u64))))
        .key_by(|(word, _)| word.clone())
        .window(TumblingProcessingTimeWindows::of(Duration::from_secs(5)))
        .reduce(|a, b| (a.0, a.1 + b.1));
    counts.print();
    env.execute("Socket Window WordCount")?;
    Ok(())
}

//! Counts the words that a server sends since the beginning (Spark's `StatefulNetworkWordCount`).
//!
//! In one terminal `nc -lk 9999`, in another
//! `cargo run --release -p thalweg --example stateful_network_word_count -- localhost 9999`.

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [host, port] = arguments()?;
    let ssc = StreamingContext::new("StatefulNetworkWordCount", Duration::from_secs(1));
    let lines = ssc.socket_text_stream(&host, port.parse()?);
    let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());

    let count = StateSpec::function(|word: &String, one: Option<u64>, state: &mut State<'_, u64>| {
        let sum = one.unwrap_or(0) + state.get_option().unwrap_or(0);
        state.update(sum);
        Some((word.clone(), sum))
    });
    // Two words have been counted before.
    let count = count.initial_state(vec![("hello".to_owned(), 1), ("world".to_owned(), 1)]);
    words.map(|word| (word, 1)).map_with_state(count).print();

    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 2], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: stateful_network_word_count HOST PORT".into())
}

//! Mistakes in a program are told when it starts, or where they happen, with what to do about them.

use std::time::Duration;

use thalweg_dstream::{DStream, StreamingContext};

const MS_10: Duration = Duration::from_millis(10);

fn context() -> (StreamingContext, DStream<(i64, i64)>) {
    let ssc = StreamingContext::new("refused", MS_10);
    let stream = ssc.queue_stream(vec![vec![(1, 1)]]);
    (ssc, stream)
}

/// How the program that `build` makes fails.
fn refusal<T>(build: impl FnOnce(&DStream<(i64, i64)>) -> DStream<T>) -> String {
    let (ssc, stream) = context();
    let _ = build(&stream);
    ssc.start().unwrap();
    ssc.await_termination().unwrap_err().to_string()
}

fn says(error: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn windows_are_whole_batches() {
    let error = refusal(|stream| stream.window(Duration::from_millis(25), MS_10));
    says(&error, &["window", "25ms every 10ms", "batches of 10ms", "multiples"]);
    let error = refusal(|stream| stream.window(Duration::from_millis(20), Duration::ZERO));
    says(&error, &["20ms every 0ns"]);
    let slide = Duration::from_micros(10_500);
    let error = refusal(|stream| stream.reduce_by_key_and_window(|a, b| a + b, MS_10, slide));
    says(&error, &["reduce_by_key_and_window", "10.5ms"]);
    let error = refusal(|stream| {
        let slow = stream.window(2 * MS_10, 2 * MS_10);
        slow.reduce_by_key_and_window_with_inverse(|a, b| a + b, |a, b| a - b, 3 * MS_10, 2 * MS_10)
    });
    says(&error, &["with_inverse", "30ms every 20ms", "batches of 20ms"]);
}

#[test]
fn streams_that_meet_have_batches_of_one_length() {
    let slow = |stream: &DStream<(i64, i64)>| stream.window(2 * MS_10, 2 * MS_10);
    says(&refusal(|stream| stream.union(&slow(stream))), &["union", "10 ms and of 20 ms", "window"]);
    says(&refusal(|stream| stream.join(&slow(stream))), &["join", "10 ms and of 20 ms"]);
    says(&refusal(|stream| slow(stream).cogroup(stream)), &["cogroup", "20 ms and of 10 ms"]);
    let error = refusal(|stream| stream.transform_with(&slow(stream), |rdd, _, _| rdd));
    says(&error, &["transform_with", "10 ms and of 20 ms"]);
}

#[test]
fn an_error_or_a_panic_within_a_batch_names_its_operator() {
    let error = refusal(|stream| {
        stream.foreach_rdd(|rdd, _| if rdd.is_empty() { Ok(()) } else { Err("cannot bear records") })
    });
    says(&error, &["foreach-rdd", "cannot bear records"]);
    let error =
        refusal(|stream| stream.foreach_rdd(|rdd, _| assert!(rdd.is_empty(), "nor can I")).name("calls"));
    says(&error, &["calls", "nor can I"]);
    let error = refusal(|stream| stream.map(|(n, _)| n).save_as_text_files("/proc/none", "txt"));
    says(&error, &["save-as-text-files", "/proc/none-"]);
}

#[test]
fn a_context_is_started_once_and_awaited_once() {
    let (ssc, _) = context();
    let error = ssc.await_termination().unwrap_err().to_string();
    says(&error, &["call start() first"]);
    ssc.stop(true);
    ssc.start().unwrap();
    says(&ssc.start().unwrap_err().to_string(), &["make another one"]);
    ssc.await_termination().unwrap();
    says(&ssc.start().unwrap_err().to_string(), &["make another one"]);
    says(&ssc.await_termination().unwrap_err().to_string(), &["already"]);
}

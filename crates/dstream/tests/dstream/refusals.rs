//! Mistakes in a program are told when it starts, or where they happen, with what to do about them.

use std::time::Duration;

use thalweg_dstream::{DStream, StreamingContext};

const MS_10: Duration = Duration::from_millis(10);

type Pairs = DStream<(i64, i64)>;

fn context() -> (StreamingContext, Pairs) {
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
fn half_a_millisecond_is_no_batch() {
    let ssc = StreamingContext::new("halves", Duration::from_micros(10_500));
    assert_eq!(ssc.batch_interval(), Duration::from_micros(10_500));
    ssc.queue_stream(vec![vec![1]]).print();
    ssc.start().unwrap();
    let error = ssc.await_termination().unwrap_err().to_string();
    says(&error, &["a batch interval of 10.5ms", "whole number of milliseconds"]);
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
    let (ssc, stream) = context();
    let _ = stream.foreach_rdd(|_, _| ());
    let error = ssc.await_termination().unwrap_err().to_string();
    says(&error, &["call start() first"]);
    ssc.stop(true);
    ssc.start().unwrap();
    says(&ssc.start().unwrap_err().to_string(), &["make another one"]);
    ssc.await_termination().unwrap();
    says(&ssc.start().unwrap_err().to_string(), &["make another one"]);
    says(&ssc.await_termination().unwrap_err().to_string(), &["already"]);
}

#[test]
fn a_context_without_an_output_is_refused() {
    let (ssc, stream) = context();
    let _ = stream.map(|(_, n)| n).reduce(|a, b| a + b);
    says(&ssc.start().unwrap_err().to_string(), &["no output operations registered", "foreach_rdd"]);
    // It can be mended.
    let _ = stream.count().print();
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
}

#[test]
fn operations_that_differ_are_told_apart_and_twins_are_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let run = |build: &dyn Fn(&Pairs)| {
        let (ssc, stream) = context();
        ssc.checkpoint(folder.path()).unwrap();
        build(&stream);
        ssc.start().unwrap();
        ssc.await_termination().map(|_| ()).map_err(|error| error.to_string())
    };
    run(&|stream| {
        let _ = (stream.count().print(), stream.reduce(|a, _| a).print(), stream.print(), stream.print_n(3));
        let _ = (stream.foreach_rdd(|_, _| ()), stream.transform(|rdd, _| rdd).print());
        let _ = (
            stream.window(2 * MS_10, MS_10).print(),
            stream.group_by_key_and_window(2 * MS_10, MS_10).print(),
        );
        let _ = (
            stream.count_by_window(2 * MS_10, MS_10).print(),
            stream.count_by_window(3 * MS_10, MS_10).print(),
        );
    })
    .unwrap();
    let error = run(&|stream| {
        let _ = (stream.foreach_rdd(|_, _| ()), stream.foreach_rdd(|_, _| ()));
    });
    says(&error.unwrap_err(), &["2 operators that are `foreach-rdd`", "behind `queue`", ".uid("]);
}

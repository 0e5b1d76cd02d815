//! Enhanced fan-out, against the same servers.

use thalweg_connectors::kinesis::ConsumerLifecycle::{JobManaged, SelfManaged};

use super::*;

impl Stream {
    fn fan_out(&self) -> KinesisSource {
        self.source().fan_out("counts", JobManaged)
    }

    /// By the one, or by the other.
    fn source_of_round(&self, round: usize) -> KinesisSource {
        if round.is_multiple_of(2) { self.fan_out() } else { self.source() }
    }

    fn arn(&self) -> Value {
        self.call("DescribeStreamSummary", json!({}))["StreamDescriptionSummary"]["StreamARN"].clone()
    }
}

#[test]
fn what_is_sent_is_gone_on_from_at_any_parallelism_and_by_polling_too() {
    let Some(stream) = Stream::new("sent-goes-on", 3) else { return };
    let checkpoints = tempfile::tempdir().unwrap();
    let mut written = 0;
    for (round, parallelism) in [2, 1, 4, 1, 3].into_iter().enumerate() {
        stream.write(written..written + 300);
        let (job, records) = collect(stream.source_of_round(round), parallelism, Some(checkpoints.path()));
        exactly(&records, written..written + 300);
        stream.write(written + 300..written + 320);
        exactly(&records, written..written + 320);
        written += 320;
        job.suspend();
        job.wait().unwrap();
    }
    // One consumer for all of them.
    let request = json!({ "StreamARN": stream.arn() });
    let consumers = stream.client.call("ListStreamConsumers", &request).unwrap();
    assert_eq!(consumers["Consumers"].as_array().unwrap().len(), 1, "{consumers}");
}

#[test]
fn shards_are_split_and_merged_while_they_are_sent() {
    if std::env::var("THALWEG_KINESIS").is_ok_and(|server| server == "kinesis-local") {
        eprintln!(
            "SKIPPED: shards that are split while they are sent, on kinesis-local, which never ends a subscription to one"
        );
        return;
    }
    let Some(stream) = Stream::new("sent-reshard", 2) else { return };
    over_a_resharding(&stream, || stream.fan_out());
}

#[test]
fn a_consumer_that_somebody_else_registers_has_to_be_there() {
    // Of a stream with `consumer` in its name kinesis-local does not find the consumers.
    let Some(stream) = Stream::new("sent-registered", 1) else { return };
    let source = stream.source().fan_out("theirs", SelfManaged);
    let error = collect(source.clone(), 1, None).0.wait().unwrap_err().to_string();
    assert!(error.contains("cannot find its consumer theirs") && error.contains("SELF_MANAGED"), "{error}");
    assert!(error.contains("trying again cannot help"), "{error}");
    let request = json!({ "StreamARN": stream.arn(), "ConsumerName": "theirs" });
    stream.client.call("RegisterStreamConsumer", &request).unwrap();
    // By its ARN, too, and before the consumer can be used.
    stream.write(0..50);
    let (job, records) = collect(source, 1, None);
    exactly(&records, 0..50);
    stop(job);
    let by_arn = KinesisSource::new(stream.arn().as_str().unwrap()).client(stream.client.clone());
    let (job, records) = collect(by_arn.fan_out("ours", JobManaged), 2, None);
    exactly(&records, 0..50);
    stop(job);
}

#[test]
fn a_job_that_changes_how_it_reads_goes_on_within_a_record_that_has_many_in_it() {
    let Some(stream) = Stream::new("sent-within", 1) else { return };
    within_a_record(&stream, |round| stream.source_of_round(round));
}

#[test]
fn a_job_that_is_killed_and_a_service_that_stops_sending_lose_and_double_nothing() {
    let Some(stream) = Stream::new("sent-kills", 3) else { return };
    let (folder, pid) = (tempfile::tempdir().unwrap(), std::env::var("THALWEG_KINESIS_PID").unwrap());
    let mut written = 0;
    for parallelism in [1, 2, 3] {
        let (job, files) = to_files(&stream.fan_out(), folder.path(), parallelism, 0);
        let before = published(&files).len();
        stream.write(written..written + 600);
        written += 600;
        wait_for(&files, before + 1);
        let stopped = Stopped(pid.clone());
        assert!(Command::new("kill").args(["-STOP", &stopped.0]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(600));
        // It is gone at once, whatever the service does, and without a last checkpoint.
        let since = Instant::now();
        job.cancel();
        let _ = job.wait();
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        drop(stopped);
    }
    let (job, files) = to_files(&stream.fan_out(), folder.path(), 2, 0);
    wait_for(&files, written as usize);
    stop(job);
    assert!(published(&files).into_iter().eq(0..written));
}

//! The page that Prometheus reads: what was counted, and what the state says now.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::metrics::text::{Kind, Page};
use crate::metrics::{BUCKETS_US, Metrics};
use crate::state::State;

/// All metrics of a broker as text.
pub(crate) fn page(state: &State) -> String {
    let mut page = Page::default();
    process(&mut page, state);
    requests(&mut page, &state.metrics);
    topics(&mut page, state);
    cleaner(&mut page, state);
    groups(&mut page, state);
    transactions(&mut page, state);
    page.finish()
}

fn process(page: &mut Page, state: &State) {
    page.family("thalweg_broker_build_info", Kind::Gauge, "The version that runs; always 1.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(
        "thalweg_broker_start_time_seconds",
        Kind::Gauge,
        "When the broker was started, in seconds since 1970.",
    );
    page.sample(&[], state.started_ms as f64 / 1e3);
}

fn requests(page: &mut Page, metrics: &Metrics) {
    page.family("thalweg_broker_connections", Kind::Gauge, "Connections of clients that are open.");
    page.sample(&[], metrics.connections.get());
    page.family(
        "thalweg_broker_connections_refused_total",
        Kind::Counter,
        "Connections closed at once because there were too many.",
    );
    page.sample(&[], metrics.connections_refused.get());
    page.family("thalweg_broker_bytes_received_total", Kind::Counter, "Bytes that clients have sent.");
    page.sample(&[], metrics.bytes_in.get());
    page.family("thalweg_broker_bytes_sent_total", Kind::Counter, "Bytes sent to clients.");
    page.sample(&[], metrics.bytes_out.get());
    page.family(
        "thalweg_broker_requests_in_flight",
        Kind::Gauge,
        "Requests that are being carried out; waiting fetches and joins are among them.",
    );
    page.sample(&[], metrics.requests_in_flight.get());
    page.family(
        "thalweg_broker_request_duration_seconds",
        Kind::Histogram,
        "Time from a request's arrival to its answer, waiting for records or members included.",
    );
    for (api, latency) in metrics.latencies() {
        let api = format!("{api:?}");
        let mut count = 0;
        for (bound_us, bucket) in BUCKETS_US.iter().zip(&latency.buckets) {
            count += bucket.get();
            let bound = (*bound_us as f64 / 1e6).to_string();
            page.sample_of("_bucket", &[("api", &api), ("le", &bound)], count);
        }
        count += latency.buckets[BUCKETS_US.len()].get();
        page.sample_of("_bucket", &[("api", &api), ("le", "+Inf")], count);
        page.sample_of("_sum", &[("api", &api)], latency.sum_us.get() as f64 / 1e6);
        page.sample_of("_count", &[("api", &api)], count);
    }
    page.family(
        "thalweg_broker_errors_total",
        Kind::Counter,
        "Error codes in answers; one answer may have several, by partition.",
    );
    for ((api, code), count) in metrics.errors() {
        let api = ApiKey::try_from(api).map_or_else(|()| api.to_string(), |api| format!("{api:?}"));
        let error = ResponseError::try_from_code(code)
            .map_or_else(|| "None".to_owned(), |error| format!("{error:?}"));
        page.sample(&[("api", &api), ("error", &error)], count);
    }
}

fn topics(page: &mut Page, state: &State) {
    let topics = state.topics.list();
    page.family("thalweg_broker_topics", Kind::Gauge, "Topics there are.");
    page.sample(&[], topics.len());
    page.family("thalweg_broker_topic_partitions", Kind::Gauge, "Partitions of a topic.");
    for topic in &topics {
        page.sample(&[("topic", &topic.name)], topic.partition_count());
    }
    page.family("thalweg_broker_topic_produced_bytes_total", Kind::Counter, "Bytes of batches appended.");
    for topic in &topics {
        page.sample(&[("topic", &topic.name)], topic.traffic.bytes_in.get());
    }
    page.family("thalweg_broker_topic_produced_records_total", Kind::Counter, "Records appended.");
    for topic in &topics {
        page.sample(&[("topic", &topic.name)], topic.traffic.records_in.get());
    }
    page.family("thalweg_broker_topic_fetched_bytes_total", Kind::Counter, "Bytes of batches read.");
    for topic in &topics {
        page.sample(&[("topic", &topic.name)], topic.traffic.bytes_out.get());
    }
    let partitions: Vec<_> = topics
        .iter()
        .flat_map(|topic| {
            let partitions = (0..topic.partition_count()).filter_map(|n| Some((n, topic.partition(n)?)));
            partitions.map(|(n, partition)| (&topic.name, n.to_string(), partition.usage()))
        })
        .collect();
    let mut each = |name, help, value: fn(&crate::log::partition::Usage) -> i64| {
        page.family(name, Kind::Gauge, help);
        for (topic, partition, usage) in &partitions {
            page.sample(&[("topic", topic), ("partition", partition)], value(usage));
        }
    };
    each("thalweg_broker_partition_size_bytes", "Bytes of the log.", |usage| usage.bytes as i64);
    each("thalweg_broker_partition_start_offset", "First offset.", |usage| usage.bounds.start);
    each("thalweg_broker_partition_end_offset", "One past the last offset.", |usage| usage.bounds.end);
    each(
        "thalweg_broker_partition_last_stable_offset",
        "Where an open transaction holds committed readers back, or the end.",
        |usage| usage.bounds.last_stable,
    );
    each("thalweg_broker_partition_producers", "Producers whose sequence numbers are remembered.", |usage| {
        usage.producers as i64
    });
}

fn cleaner(page: &mut Page, state: &State) {
    let totals = &state.metrics.cleaner;
    page.family(
        "thalweg_broker_cleaner_runs_total",
        Kind::Counter,
        "Rounds of compaction through a partition.",
    );
    page.sample(&[], totals.runs.get());
    page.family("thalweg_broker_cleaner_read_bytes_total", Kind::Counter, "Bytes that compaction has read.");
    page.sample(&[], totals.bytes_read.get());
    page.family(
        "thalweg_broker_cleaner_written_bytes_total",
        Kind::Counter,
        "Bytes that compaction has written.",
    );
    page.sample(&[], totals.bytes_written.get());
    let now_ms = state.clock.now_ms();
    let (mut most, mut uncleanable) = (0.0, 0);
    for topic in state.topics.list() {
        let config = topic.config();
        for partition in topic.partitions() {
            most = partition.dirt(&config, now_ms).map_or(most, |dirt| dirt.ratio().max(most));
            uncleanable += u64::from(partition.is_uncleanable());
        }
    }
    page.family(
        "thalweg_broker_cleaner_max_dirty_ratio",
        Kind::Gauge,
        "The dirty part of what can be compacted, where it is greatest.",
    );
    page.sample(&[], most);
    page.family(
        "thalweg_broker_cleaner_uncleanable_partitions",
        Kind::Gauge,
        "Partitions whose compaction has failed; it is tried again after the next start.",
    );
    page.sample(&[], uncleanable);
}

fn groups(page: &mut Page, state: &State) {
    let mut members = Vec::new();
    let mut committed = Vec::new();
    {
        let inner = state.groups.lock();
        for (id, group) in &inner.by_id {
            members.push((id.clone(), group.members.state(), group.members.count()));
            for ((topic, partition), at) in group.offsets.iter() {
                committed.push((id.clone(), topic.clone(), *partition, at.offset));
            }
        }
    }
    page.family("thalweg_broker_group_members", Kind::Gauge, "Members of a group.");
    for (group, state, count) in &members {
        page.sample(&[("group", group), ("state", state)], count);
    }
    page.family("thalweg_broker_group_committed_offset", Kind::Gauge, "Where a group will go on reading.");
    for (group, topic, partition, offset) in &committed {
        page.sample(&[("group", group), ("topic", topic), ("partition", &partition.to_string())], offset);
    }
    page.family("thalweg_broker_group_lag", Kind::Gauge, "Offsets from there to the end.");
    for (group, topic, partition, offset) in &committed {
        let Some((_, found)) = state.topics.partition(topic, *partition) else { continue };
        let lag = (found.bounds().end - offset).max(0);
        page.sample(&[("group", group), ("topic", topic), ("partition", &partition.to_string())], lag);
    }
}

fn transactions(page: &mut Page, state: &State) {
    page.family("thalweg_broker_transactional_ids", Kind::Gauge, "Transactional ids, by their state.");
    for (phase, count) in state.transactions.count_by_phase() {
        page.sample(&[("state", phase)], count);
    }
}

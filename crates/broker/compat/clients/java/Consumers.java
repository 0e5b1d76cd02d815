import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Records that are read, in a group or without one. */
final class Consumers {
    private static final Map<String, Class<?>> ASSIGNORS = Map.of(
        "range", RangeAssignor.class,
        "roundrobin", RoundRobinAssignor.class,
        "sticky", StickyAssignor.class,
        "cooperative-sticky", CooperativeStickyAssignor.class);

    private final Handles handles;

    Consumers(Handles handles) {
        this.handles = handles;
    }

    void register(Map<String, Driver.Operation> operations) {
        operations.put("consumer", this::consumer);
        operations.put("assign", this::assign);
        operations.put("subscribe", this::subscribe);
        operations.put("poll", this::poll);
        operations.put("seek", this::seek);
        operations.put("pause", this::pause);
        operations.put("resume", this::resume);
        operations.put("position", r -> handles.consumer(r).position(Topics.place(r)));
        operations.put("bounds", this::bounds);
        operations.put("offset_for_time", this::offsetForTime);
        operations.put("commit_offset", this::commitOffset);
        operations.put("committed", this::committed);
    }

    private Object consumer(Request request) {
        var config = new HashMap<>(handles.base);
        var protocol = request.text("protocol", "classic");
        config.put("group.protocol", protocol);
        config.put("isolation.level", request.text("isolation", "read_uncommitted"));
        config.put("fetch.max.wait.ms", request.integer("max_wait_ms", 500));
        config.put("auto.offset.reset", request.text("reset", "earliest"));
        config.put("enable.auto.commit", false);
        config.put("metadata.max.age.ms", 1000);
        // A case asks for so many records, and may not get more.
        config.put("max.poll.records", 1);
        if (request.has("fetch_max_bytes")) {
            config.put("fetch.max.bytes", request.integer("fetch_max_bytes", 0));
            config.put("max.partition.fetch.bytes", request.integer("fetch_max_bytes", 0));
        }
        if (request.has("group")) {
            config.put("group.id", request.text("group"));
        }
        if (request.has("instance")) {
            config.put("group.instance.id", request.text("instance"));
        }
        if (protocol.equals("consumer")) {
            handles.inNewProtocol.add(request.text("name"));
        } else {
            config.put("session.timeout.ms", request.integer("session_timeout_ms", 6000));
            config.put("heartbeat.interval.ms", 500);
            var assignor = ASSIGNORS.get(request.text("assignor", "range"));
            config.put("partition.assignment.strategy", assignor.getName());
        }
        handles.consumers.put(
            request.text("name"), new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer()));
        return null;
    }

    private static List<TopicPartition> places(Request request) {
        return request.integers("partitions").stream()
            .map(partition -> new TopicPartition(request.text("topic"), partition))
            .toList();
    }

    private Object assign(Request request) {
        var consumer = handles.consumer(request);
        consumer.assign(places(request));
        places(request).forEach(place -> consumer.seek(place, request.number("offset", 0)));
        return null;
    }

    private Object subscribe(Request request) {
        var consumer = handles.consumer(request);
        var pattern = request.text("pattern");
        if (pattern == null) {
            consumer.subscribe(List.of(request.text("topic")));
        } else if (handles.inNewProtocol.contains(request.text("consumer"))) {
            // The broker looks for topics that match.
            consumer.subscribe(new SubscriptionPattern(pattern));
        } else {
            consumer.subscribe(Pattern.compile(pattern));
        }
        return null;
    }

    private Object poll(Request request) {
        var consumer = handles.consumer(request);
        var records = new ArrayList<Map<String, Object>>();
        long end = System.nanoTime() + request.number("timeout_ms", 0) * 1_000_000;
        for (long left; records.size() < request.integer("count", 0) && (left = end - System.nanoTime()) > 0; ) {
            for (var record : consumer.poll(Duration.ofNanos(left))) {
                records.add(told(record));
            }
        }
        var answer = new HashMap<String, Object>();
        answer.put("records", records);
        answer.put("assignment", Groups.numbers(consumer.assignment()));
        answer.put("topics", consumer.assignment().stream().map(TopicPartition::topic).distinct().sorted().toList());
        return answer;
    }

    private static Map<String, Object> told(ConsumerRecord<byte[], byte[]> record) {
        var headers = new ArrayList<List<String>>();
        record.headers().forEach(header -> headers.add(Arrays.asList(header.key(), decoded(header.value()))));
        var told = new HashMap<String, Object>();
        told.put("partition", record.partition());
        told.put("offset", record.offset());
        told.put("key", decoded(record.key()));
        told.put("value", decoded(record.value()));
        told.put("headers", headers);
        told.put("timestamp", record.timestamp());
        return told;
    }

    private static String decoded(byte[] data) {
        return data == null ? null : new String(data, StandardCharsets.UTF_8);
    }

    private Object seek(Request request) {
        handles.consumer(request).seek(Topics.place(request), request.number("offset", 0));
        return null;
    }

    private Object pause(Request request) {
        handles.consumer(request).pause(places(request));
        return null;
    }

    private Object resume(Request request) {
        handles.consumer(request).resume(places(request));
        return null;
    }

    /** The first offset and the one behind the last, as far as this consumer may read. */
    private Object bounds(Request request) {
        var consumer = handles.consumer(request);
        var place = Set.of(Topics.place(request));
        var first = consumer.beginningOffsets(place).values().iterator().next();
        return List.of(first, consumer.endOffsets(place).values().iterator().next());
    }

    private Object offsetForTime(Request request) {
        var place = Topics.place(request);
        var found = handles.consumer(request).offsetsForTimes(Map.of(place, request.number("at", 0))).get(place);
        return found == null ? -1 : found.offset();
    }

    private Object commitOffset(Request request) {
        var to = new OffsetAndMetadata(request.number("offset", 0), request.text("metadata", ""));
        handles.consumer(request).commitSync(Map.of(Topics.place(request), to));
        return null;
    }

    private Object committed(Request request) {
        var place = Topics.place(request);
        var found = handles.consumer(request).committed(Set.of(place)).get(place);
        return found == null ? null : List.of(found.offset(), found.metadata());
    }
}

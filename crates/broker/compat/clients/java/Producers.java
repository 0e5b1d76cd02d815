import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Records and transactions that are written. */
final class Producers {
    private final Handles handles;

    Producers(Handles handles) {
        this.handles = handles;
    }

    void register(Map<String, Driver.Operation> operations) {
        operations.put("producer", this::producer);
        operations.put("send", this::send);
        operations.put("begin_transaction", r -> done(() -> handles.producer(r).beginTransaction()));
        operations.put("commit", r -> done(() -> handles.producer(r).commitTransaction()));
        operations.put("abort", r -> done(() -> handles.producer(r).abortTransaction()));
        operations.put("send_offset", this::sendOffset);
    }

    private static Object done(Runnable call) {
        call.run();
        return null;
    }

    private Object producer(Request request) {
        var codec = request.text("codec", "none");
        var config = new HashMap<>(handles.base);
        config.put("compression.type", codec);
        if (request.has("level")) {
            config.put("compression." + codec + ".level", request.integer("level", 0));
        }
        config.put("enable.idempotence", request.flag("idempotent"));
        config.put("linger.ms", 5);
        config.put("max.request.size", 10_000_000);
        config.put("delivery.timeout.ms", 60_000);
        config.put("metadata.max.age.ms", request.integer("metadata_max_age_ms", 300_000));
        if (request.has("transactional_id")) {
            config.put("transactional.id", request.text("transactional_id"));
            config.put("transaction.timeout.ms", request.integer("transaction_timeout_ms", 60_000));
            config.put("enable.idempotence", true);
        }
        var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        if (request.has("transactional_id")) {
            try {
                producer.initTransactions();
            } catch (RuntimeException error) {
                producer.close(Duration.ZERO);
                throw error;
            }
        }
        handles.producers.put(request.text("name"), producer);
        return null;
    }

    private Object send(Request request) throws Exception {
        var producer = handles.producer(request);
        var futures = new ArrayList<Future<RecordMetadata>>();
        int pause = request.integer("pause_ms", 0);
        for (var given : request.parts("records")) {
            try {
                futures.add(producer.send(record(request.text("topic"), given)));
            } catch (RuntimeException error) {
                futures.add(CompletableFuture.failedFuture(error));
            }
            if (pause > 0 && futures.size() % 100 == 0) {
                Thread.sleep(pause);
            }
        }
        producer.flush();
        return futures.stream().map(Producers::result).toList();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, Request given) {
        var headers = new ArrayList<Header>();
        for (var header : given.parts("headers")) {
            var value = header.node().get(1);
            headers.add(new RecordHeader(header.node().get(0).asText(), value.isNull() ? null : value.asText().getBytes()));
        }
        Long timestamp = given.has("timestamp") ? given.number("timestamp", 0) : null;
        return new ProducerRecord<>(
            topic, given.integer("partition", 0), timestamp, given.bytes("key"), given.bytes("value"), headers);
    }

    /** What became of a record. */
    private static Map<String, Object> result(Future<RecordMetadata> future) {
        try {
            var told = future.get();
            return Map.of("partition", told.partition(), "offset", told.offset());
        } catch (Exception error) {
            return Map.of("error", Driver.errorOf(error));
        }
    }

    private Object sendOffset(Request request) {
        var to = new OffsetAndMetadata(request.number("offset", 0));
        var group = handles.consumer(request).groupMetadata();
        handles.producer(request).sendOffsetsToTransaction(Map.of(Topics.place(request), to), group);
        return null;
    }
}

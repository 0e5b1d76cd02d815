import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;

/** The producers and consumers that are open, by the names that the case gave them. */
final class Handles {
    /** Settings that every client has. */
    final Map<String, Object> base;
    final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    final Map<String, KafkaConsumer<byte[], byte[]>> consumers = new HashMap<>();
    final Set<String> inNewProtocol = new HashSet<>();

    Handles(Map<String, Object> base) {
        this.base = base;
    }

    KafkaProducer<byte[], byte[]> producer(Request request) {
        return producers.get(request.text("producer"));
    }

    KafkaConsumer<byte[], byte[]> consumer(Request request) {
        return consumers.get(request.text("consumer"));
    }

    Object close(String name) {
        var producer = producers.remove(name);
        if (producer != null) {
            producer.close();
        }
        var consumer = consumers.remove(name);
        if (consumer != null) {
            consumer.close();
        }
        return null;
    }
}

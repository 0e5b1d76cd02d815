import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;

/** Transactions and producers seen from outside. */
final class Transactions {
    private final Admin admin;

    Transactions(Admin admin) {
        this.admin = admin;
    }

    void register(Map<String, Driver.Operation> operations) {
        operations.put("list_transactions", this::listTransactions);
        operations.put("describe_transaction", this::describeTransaction);
        operations.put("describe_producers", this::describeProducers);
        operations.put("abort_transaction", this::abortTransaction);
        operations.put("fence_producer", r -> admin.fenceProducers(List.of(r.text("transactional_id"))).all().get());
    }

    private Object listTransactions(Request request) throws Exception {
        var found = new ArrayList<List<String>>();
        for (var listing : admin.listTransactions().all().get()) {
            found.add(List.of(listing.transactionalId(), listing.state().toString()));
        }
        return found;
    }

    private Object describeTransaction(Request request) throws Exception {
        var found = admin.describeTransactions(List.of(request.text("transactional_id")))
            .description(request.text("transactional_id")).get();
        var partitions = found.topicPartitions().stream()
            .map(place -> List.of(place.topic(), place.partition()))
            .sorted((a, b) -> a.toString().compareTo(b.toString()))
            .toList();
        return Map.of(
            "state", found.state().toString(),
            "timeout_ms", found.transactionTimeoutMs(),
            "started", found.transactionStartTimeMs().isPresent(),
            "partitions", partitions);
    }

    private Object describeProducers(Request request) throws Exception {
        var place = Topics.place(request);
        var found = new ArrayList<Map<String, Object>>();
        for (var producer : admin.describeProducers(List.of(place)).partitionResult(place).get().activeProducers()) {
            found.add(Map.of(
                "epoch", producer.producerEpoch(),
                "last_sequence", producer.lastSequence(),
                "open_from", producer.currentTransactionStartOffset().orElse(-1)));
        }
        return found;
    }

    /** Aborts, from outside, the transaction that is open in a partition, as kafka-transactions does it. */
    private Object abortTransaction(Request request) throws Exception {
        var place = Topics.place(request);
        for (var producer : admin.describeProducers(List.of(place)).partitionResult(place).get().activeProducers()) {
            if (producer.currentTransactionStartOffset().isPresent()) {
                var coordinator = producer.coordinatorEpoch().orElse(0);
                var epoch = (short) producer.producerEpoch();
                admin.abortTransaction(new AbortTransactionSpec(place, producer.producerId(), epoch, coordinator)).all().get();
            }
        }
        return null;
    }
}

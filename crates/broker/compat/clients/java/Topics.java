import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The cluster, topics, their settings and offsets. */
final class Topics {
    private final Admin admin;

    Topics(Admin admin) {
        this.admin = admin;
    }

    void register(Map<String, Driver.Operation> operations) {
        operations.put("cluster", this::cluster);
        operations.put("create_topic", this::createTopic);
        operations.put("delete_topic", r -> admin.deleteTopics(List.of(r.text("topic"))).all().get());
        operations.put("create_partitions", this::createPartitions);
        operations.put("topics", r -> new TreeSet<>(admin.listTopics().names().get()));
        operations.put("describe_topic", this::describeTopic);
        operations.put("describe_config", this::describeConfig);
        operations.put("alter_config", this::alterConfig);
        operations.put("list_offset", this::listOffset);
        operations.put("delete_records", this::deleteRecords);
    }

    static TopicPartition place(Request request) {
        return new TopicPartition(request.text("topic"), request.integer("partition", 0));
    }

    private Object cluster(Request request) throws Exception {
        var found = admin.describeCluster();
        return Map.of(
            "brokers", found.nodes().get().size(),
            "controller", found.controller().get().id(),
            "cluster_id", !found.clusterId().get().isEmpty());
    }

    private Object createTopic(Request request) throws Exception {
        var created = new NewTopic(
            request.text("topic"), request.integer("partitions", 1), (short) request.integer("replication", 1));
        created.configs(request.settings("config"));
        var options = new CreateTopicsOptions().validateOnly(request.flag("validate_only"));
        return admin.createTopics(List.of(created), options).all().get();
    }

    private Object createPartitions(Request request) throws Exception {
        var total = NewPartitions.increaseTo(request.integer("total", 1));
        return admin.createPartitions(Map.of(request.text("topic"), total)).all().get();
    }

    private Object describeTopic(Request request) throws Exception {
        var topic = request.text("topic");
        var found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        var partitions = new ArrayList<Map<String, Object>>();
        for (var partition : found.partitions()) {
            partitions.add(Map.of(
                "partition", partition.partition(),
                "leader", partition.leader().id(),
                "replicas", partition.replicas().stream().map(Node::id).toList(),
                "isr", partition.isr().stream().map(Node::id).toList()));
        }
        return Map.of("id", found.topicId().toString(), "partitions", partitions);
    }

    private static ConfigResource resource(Request request) {
        return new ConfigResource(ConfigResource.Type.TOPIC, request.text("topic"));
    }

    private Object describeConfig(Request request) throws Exception {
        var found = admin.describeConfigs(List.of(resource(request))).all().get().get(resource(request));
        var told = new LinkedHashMap<String, Object>();
        for (var key : request.texts("keys")) {
            told.put(key, Map.of("value", found.get(key).value(), "default", found.get(key).isDefault()));
        }
        return told;
    }

    private Object alterConfig(Request request) throws Exception {
        var changes = new ArrayList<AlterConfigOp>();
        request.settings("set").forEach(
            (key, value) -> changes.add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)));
        request.texts("delete").forEach(
            key -> changes.add(new AlterConfigOp(new ConfigEntry(key, null), AlterConfigOp.OpType.DELETE)));
        return admin.incrementalAlterConfigs(Map.of(resource(request), changes)).all().get();
    }

    private Object listOffset(Request request) throws Exception {
        var spec = request.isNumber("at")
            ? OffsetSpec.forTimestamp(request.number("at", 0))
            : switch (request.text("at")) {
                case "earliest" -> OffsetSpec.earliest();
                case "latest" -> OffsetSpec.latest();
                case "max_timestamp" -> OffsetSpec.maxTimestamp();
                default -> throw new Driver.Missing("no such position");
            };
        var committed = request.text("isolation", "").equals("read_committed");
        var options = new ListOffsetsOptions(committed ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED);
        return admin.listOffsets(Map.of(place(request), spec), options).all().get().get(place(request)).offset();
    }

    private Object deleteRecords(Request request) throws Exception {
        var before = RecordsToDelete.beforeOffset(request.number("before", 0));
        var result = admin.deleteRecords(Map.of(place(request), before));
        return result.lowWatermarks().get(place(request)).get().lowWatermark();
    }
}

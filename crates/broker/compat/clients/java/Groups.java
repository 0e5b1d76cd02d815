import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Groups seen from outside. */
final class Groups {
    private final Admin admin;

    Groups(Admin admin) {
        this.admin = admin;
    }

    void register(Map<String, Driver.Operation> operations) {
        operations.put("groups", this::groups);
        operations.put("describe_group", this::describeGroup);
        operations.put("group_offsets", this::groupOffsets);
        operations.put("alter_group_offset", this::alterGroupOffset);
        operations.put("delete_group_offset", this::deleteGroupOffset);
        operations.put("delete_group", r -> admin.deleteConsumerGroups(List.of(r.text("group"))).all().get());
    }

    private Object groups(Request request) throws Exception {
        var found = new ArrayList<List<String>>();
        for (var group : admin.listGroups().all().get()) {
            found.add(List.of(group.groupId(), group.groupState().map(Enum::name).orElse("")));
        }
        return found;
    }

    private Object describeGroup(Request request) throws Exception {
        var group = request.text("group");
        var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        var members = new ArrayList<Map<String, Object>>();
        for (var member : found.members()) {
            var told = new HashMap<String, Object>();
            told.put("instance", member.groupInstanceId().orElse(null));
            told.put("partitions", numbers(member.assignment().topicPartitions()));
            members.add(told);
        }
        return Map.of("state", found.groupState().name(), "assignor", found.partitionAssignor(), "members", members);
    }

    static List<Integer> numbers(Set<TopicPartition> places) {
        return places.stream().map(TopicPartition::partition).sorted().toList();
    }

    private Object groupOffsets(Request request) throws Exception {
        var found = admin.listConsumerGroupOffsets(request.text("group")).partitionsToOffsetAndMetadata().get();
        var told = new ArrayList<List<Object>>();
        found.entrySet().stream()
            .sorted((a, b) -> a.getKey().toString().compareTo(b.getKey().toString()))
            .forEach(e -> told.add(List.of(e.getKey().topic(), e.getKey().partition(), e.getValue().offset())));
        return told;
    }

    private Object alterGroupOffset(Request request) throws Exception {
        var to = new OffsetAndMetadata(request.number("offset", 0));
        return admin.alterConsumerGroupOffsets(request.text("group"), Map.of(Topics.place(request), to)).all().get();
    }

    private Object deleteGroupOffset(Request request) throws Exception {
        return admin.deleteConsumerGroupOffsets(request.text("group"), Set.of(Topics.place(request))).all().get();
    }
}

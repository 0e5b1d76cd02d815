import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The arguments of an operation, or a part of them. */
record Request(JsonNode node) {
    boolean has(String name) {
        return node.hasNonNull(name);
    }

    /** Null if it is not given. */
    String text(String name) {
        return has(name) ? node.get(name).asText() : null;
    }

    String text(String name, String otherwise) {
        return has(name) ? node.get(name).asText() : otherwise;
    }

    long number(String name, long otherwise) {
        return has(name) ? node.get(name).asLong() : otherwise;
    }

    int integer(String name, int otherwise) {
        return has(name) ? node.get(name).asInt() : otherwise;
    }

    boolean flag(String name) {
        return has(name) && node.get(name).asBoolean();
    }

    /** A text as bytes; null if it is not given. */
    byte[] bytes(String name) {
        return has(name) ? text(name).getBytes(StandardCharsets.UTF_8) : null;
    }

    boolean isNumber(String name) {
        return has(name) && node.get(name).isNumber();
    }

    List<String> texts(String name) {
        var found = new ArrayList<String>();
        node.path(name).forEach(item -> found.add(item.asText()));
        return found;
    }

    List<Integer> integers(String name) {
        var found = new ArrayList<Integer>();
        node.path(name).forEach(item -> found.add(item.asInt()));
        return found;
    }

    List<Request> parts(String name) {
        var found = new ArrayList<Request>();
        node.path(name).forEach(item -> found.add(new Request(item)));
        return found;
    }

    Map<String, String> settings(String name) {
        var found = new LinkedHashMap<String, String>();
        node.path(name).properties().forEach(field -> found.put(field.getKey(), field.getValue().asText()));
        return found;
    }
}

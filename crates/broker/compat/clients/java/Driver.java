import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.protocol.Errors;

/** Kafka's own client in Java: the operations of README.md, "Drivers". Requests in, answers out, a line of JSON each. */
public final class Driver {
    /** What one operation does with its arguments; the result is what goes into the answer. */
    interface Operation {
        Object carryOut(Request request) throws Exception;
    }

    /** Raised for what this client cannot do. */
    static final class Missing extends RuntimeException {
        Missing(String reason) {
            super(reason);
        }
    }

    public static void main(String[] arguments) throws Exception {
        var base = new HashMap<String, Object>(Map.of("bootstrap.servers", arguments[0]));
        if (arguments.length > 1) {
            base.putAll(security(new Request(new ObjectMapper().readTree(arguments[1]))));
        }
        // Clients may print; what they print must not end up among the answers.
        var answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        var operations = new HashMap<String, Operation>();
        try (var admin = Admin.create(base)) {
            var handles = new Handles(base);
            new Topics(admin).register(operations);
            new Groups(admin).register(operations);
            new Transactions(admin).register(operations);
            new Producers(handles).register(operations);
            new Consumers(handles).register(operations);
            operations.put("close", request -> handles.close(request.text("handle")));
            serve(operations, answers);
        }
    }

    /** How this client proves who it is. */
    private static Map<String, String> security(Request proof) {
        var module = proof.text("mechanism").equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        var login = "org.apache.kafka.common.security.%s required username=\"%s\" password=\"%s\";";
        return Map.of(
            "security.protocol", "SASL_SSL",
            "sasl.mechanism", proof.text("mechanism"),
            "sasl.jaas.config", login.formatted(module, proof.text("username"), proof.text("password")),
            "ssl.truststore.type", "PEM",
            "ssl.truststore.location", proof.text("authority"));
    }

    private static void serve(Map<String, Operation> operations, PrintStream answers) throws Exception {
        // Sorted, since outcomes are compared as texts.
        var json = new ObjectMapper().configure(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS, true);
        var requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = requests.readLine()) != null; ) {
            var request = new Request(json.readTree(line));
            var answer = new LinkedHashMap<String, Object>();
            try {
                var operation = operations.get(request.text("op"));
                if (operation == null) {
                    throw new Missing("not in this driver");
                }
                answer.put("ok", operation.carryOut(request));
            } catch (Missing missing) {
                answer.put("missing", missing.getMessage());
            } catch (Exception error) { // every error is an outcome
                error.printStackTrace();
                answer.put("error", errorOf(error));
            }
            answers.println(json.writeValueAsString(answer));
        }
    }

    /** Brokers' errors have Kafka's code; others a name. */
    static Object errorOf(Throwable error) {
        var wrapped = error instanceof ExecutionException || error instanceof CompletionException
            || error.getClass() == KafkaException.class;
        if (wrapped && error.getCause() != null) {
            return errorOf(error.getCause());
        }
        int code = Errors.forException(error).code();
        return code > 0 ? code : error.getClass().getSimpleName();
    }
}

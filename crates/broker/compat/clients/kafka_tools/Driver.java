import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.StreamSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's own tools, one after the other in this process: a start of Java for each would cost more than all that they do.
 * A request names a main class, its arguments and what it reads; the answer is what it printed, and its exit code.
 */
public final class Driver {
    private static final int PATIENCE_SECONDS = 80;

    public static void main(String[] arguments) throws Exception {
        // Tools print; what they log is not compared.
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "off");
        var answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        var json = new ObjectMapper();
        var requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = requests.readLine()) != null; ) {
            answers.println(json.writeValueAsString(answer(json.readTree(line))));
        }
    }

    private static Map<String, Object> answer(JsonNode request) throws Exception {
        if (!request.path("op").asText().equals("tool")) {
            return Map.of("missing", "Kafka's tools are no client");
        }
        var arguments = StreamSupport.stream(request.path("arguments").spliterator(), false).map(JsonNode::asText);
        var main = Class.forName(request.path("main").asText()).getMethod("main", String[].class);
        var out = new ByteArrayOutputStream();
        var err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        System.setIn(new ByteArrayInputStream(request.path("input").asText("").getBytes(StandardCharsets.UTF_8)));
        int code = run(main, arguments.toArray(String[]::new));
        return Map.of("ok", Map.of(
            "code", code,
            "out", out.toString(StandardCharsets.UTF_8),
            "err", err.toString(StandardCharsets.UTF_8)));
    }

    /** Runs until the tool ends or wants the process to end; -1 if it does neither in time. */
    private static int run(Method main, String[] arguments) throws Exception {
        var ended = new CompletableFuture<Integer>();
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        Exit.Procedure exit = (code, message) -> {
            ended.complete(code);
            // Whoever ends the process does not go on.
            new CompletableFuture<Void>().join();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        var thread = new Thread(() -> {
            try {
                main.invoke(null, (Object) arguments);
                ended.complete(0);
            } catch (Throwable thrown) {
                thrown.printStackTrace();
                ended.complete(1);
            }
        });
        thread.setDaemon(true);
        thread.start();
        int code;
        try {
            code = ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException late) {
            code = -1;
        }
        hooks.forEach(Runnable::run);
        return code;
    }
}

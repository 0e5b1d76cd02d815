// The work of benches/checkpoints.rs on a real Apache Flink: a value of 100 bytes for each key, random updates, checkpoints. `scripts/flink-checkpoints`
// runs it, and says what the columns are.

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.legacy.RichParallelSourceFunction;
import org.apache.flink.util.Collector;

public class FlinkCheckpoints {
    static final AtomicLong FILLED = new AtomicLong();
    static final AtomicLong RECORDS = new AtomicLong();
    static final AtomicLong STALL = new AtomicLong();
    static volatile boolean measuring;

    /** All keys once, then random ones: so many a second, or as many as it can. */
    public static class Keys extends RichParallelSourceFunction<Long> {
        private final long keys;
        private final long rate;
        private volatile boolean running = true;

        Keys(long keys, long rate) {
            this.keys = keys;
            this.rate = rate;
        }

        @Override
        public void run(SourceContext<Long> context) throws Exception {
            int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
            int subtasks = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
            for (long key = subtask; key < keys && running; key += subtasks) {
                synchronized (context.getCheckpointLock()) {
                    context.collect(key);
                }
            }
            FILLED.incrementAndGet();
            long state = 5 + subtask | 1, sent = 0, began = System.nanoTime(), each = rate / subtasks;
            while (running) {
                long due = 1024;
                if (each > 0) {
                    due = Math.min(due, (long) ((System.nanoTime() - began) / 1e9 * each) - sent);
                    if (due <= 0) {
                        Thread.sleep(1);
                        continue;
                    }
                }
                synchronized (context.getCheckpointLock()) {
                    for (long n = 0; n < due; n++) {
                        state ^= state << 13;
                        state ^= state >>> 7;
                        state ^= state << 17;
                        context.collect(Long.remainderUnsigned(state, keys));
                    }
                }
                sent += due;
            }
        }

        @Override
        public void cancel() {
            running = false;
        }
    }

    /** Keeps the last value of each key. */
    public static class Keep extends KeyedProcessFunction<Long, Long, Long> {
        private transient ValueState<byte[]> values;
        private transient long last;
        private transient int calls;

        @Override
        public void open(OpenContext context) {
            values = getRuntimeContext().getState(new ValueStateDescriptor<>("values", byte[].class));
        }

        @Override
        public void processElement(Long key, Context context, Collector<Long> out) throws IOException {
            byte[] value = values.value();
            if (value == null) {
                value = new byte[100];
                java.util.Arrays.fill(value, (byte) (long) key);
            } else {
                value[0]++;
            }
            values.update(value);
            if (++calls % 16 == 0) {
                long now = System.nanoTime();
                if (last != 0 && measuring) {
                    STALL.accumulateAndGet((now - last) / 1000, Math::max);
                }
                last = now;
                RECORDS.addAndGet(16);
            }
        }
    }

    static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** The memory that the process has had at the most, from the kernel. */
    static long peak() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmHWM:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).sum();
        }
    }

    /** Bytes that the process has written to files. */
    static long written() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/io"))) {
            return lines.filter(line -> line.startsWith("wchar:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).sum();
        }
    }

    public static void main(String[] arguments) throws Exception {
        String name = arguments[0], backend = arguments[1];
        long keys = Long.parseLong(arguments[2]), rate = Long.parseLong(arguments[3]), interval = Long.parseLong(arguments[4]);
        long seconds = Long.parseLong(arguments[5]);
        Path folder = Files.createTempDirectory("checkpoints");
        Configuration configuration = new Configuration();
        configuration.setString("state.backend.type", backend);
        configuration.setString("execution.checkpointing.incremental", "true");
        configuration.setString("execution.checkpointing.dir", folder.toUri().toString());
        configuration.setString("execution.checkpointing.storage", "filesystem");
        configuration.setString("taskmanager.memory.managed.size", "512m");
        configuration.setString("pipeline.object-reuse", "true");
        configuration.setString("rest.bind-port", "0");
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.createLocalEnvironment(2, configuration);
        if (interval > 0) {
            environment.enableCheckpointing(interval);
        }
        environment.addSource(new Keys(keys, rate)).returns(Long.class).keyBy(key -> key).process(new Keep()).returns(Long.class).sinkTo(new DiscardingSink<>());
        JobClient job = environment.executeAsync(name);
        while (FILLED.get() < 2) {
            Thread.sleep(20);
        }
        // As there: the first checkpoint of all that has just come in is not the case, and the compiler has had its time.
        Thread.sleep(2 * interval + 5000);
        measuring = true;
        long cpu = cpu(), wall = System.nanoTime(), bytes = written(), records = RECORDS.get();
        Thread.sleep(seconds * 1000);
        double took = (System.nanoTime() - wall) / 1e9, busy = (cpu() - cpu) / 1e9;
        records = RECORDS.get() - records;
        System.out.printf(
                "%-22s %9.0f records/s, %6.2f µs CPU/record, longest stall %6.1f ms, %8.1f kB written a second, %5.1f %% of a core, peak memory %d MB%n",
                name, records / took, busy * 1e6 / Math.max(records, 1), STALL.get() / 1e3, (written() - bytes) / 1e3 / took, busy / took * 100, peak() / 1000);
        job.cancel().get();
        try (Stream<Path> paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
        System.exit(0);
    }
}

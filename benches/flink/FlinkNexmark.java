// Runs the queries of Nexmark on Apache Flink, from a generator of the same events as `connectors/nexmark`, into nothing.
// Started by scripts/flink-nexmark.

import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.legacy.table.connector.source.SourceFunctionProvider;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.source.legacy.RichParallelSourceFunction;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.api.TableDescriptor;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.LookupTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsProjectionPushDown;
import org.apache.flink.table.connector.source.lookup.LookupFunctionProvider;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.functions.LookupFunction;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.table.types.DataType;

public final class FlinkNexmark {
    /** The CPU time, and the clock, when the first source of a job began; 0 before. In one process there is one job at a time. */
    private static final AtomicLong BEGUN_CPU = new AtomicLong();

    private static final AtomicLong BEGUN_CLOCK = new AtomicLong();

    /** Arguments: the file of the tables and queries; the parallelism; then the queries to run, all if there is none. */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> blocks = blocks(Path.of(arguments[0]));
        int parallelism = Integer.parseInt(arguments[1]);
        Set<String> wanted = Set.copyOf(Arrays.asList(arguments).subList(2, arguments.length));
        String tables = blocks.remove("tables");
        blocks.forEach((name, query) -> {
            if (!wanted.isEmpty() && !wanted.contains(name)) {
                return;
            }
            try {
                // Once for the compilers, and once for the figures.
                run(tables, query, parallelism);
                double[] took = run(tables, query, parallelism);
                System.out.printf("%s\t%.3f\t%.3f%n", name, took[0], took[1]);
            } catch (Throwable error) {
                Throwable root = error;
                while (root.getCause() != null) {
                    root = root.getCause();
                }
                System.out.printf("%s\tfailed\t%s%n", name, String.valueOf(root.getMessage()).replaceAll("\\s+", " "));
            }
            System.out.flush();
        });
        System.exit(0);
    }

    /** A file of blocks, each behind a line {@code --- name}. Some of its names are words of Flink's. */
    private static Map<String, String> blocks(Path file) throws Exception {
        Map<String, String> blocks = new LinkedHashMap<>();
        for (String block : ("\n" + Files.readString(file)).split("\n--- ")) {
            int end = block.indexOf('\n');
            if (end > 0) {
                String statements = block.substring(end + 1).strip();
                String quoted = statements.replaceAll("\\b(dateTime|final|until|at|now|most|best|one)\\b", "`$1`");
                blocks.put(block.substring(0, end).strip(), quoted);
            }
        }
        return blocks;
    }

    private static long cpuTime() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    /** Runs a query; the CPU seconds of the process, and the seconds, from the first event on. */
    private static double[] run(String setup, String query, int parallelism) throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("parallelism.default", String.valueOf(parallelism));
        configuration.setString("pipeline.object-reuse", "true");
        configuration.setString("state.backend.type", "hashmap");
        configuration.setString("taskmanager.memory.network.min", "128m");
        configuration.setString("taskmanager.memory.network.max", "128m");
        configuration.setString("rest.port", "0");
        StreamTableEnvironment tables =
                StreamTableEnvironment.create(StreamExecutionEnvironment.getExecutionEnvironment(configuration));
        tables.getConfig().set("table.local-time-zone", "UTC");
        tables.getConfig().set("table.exec.mini-batch.enabled", "true");
        tables.getConfig().set("table.exec.mini-batch.allow-latency", "2 s");
        tables.getConfig().set("table.exec.mini-batch.size", "50000");
        tables.getConfig().set("table.optimizer.distinct-agg.split.enabled", "true");
        tables.createTemporarySystemFunction("count_char", new CountChar());
        for (String statement : setup.split(";\\s*\n")) {
            if (!statement.isBlank()) {
                tables.executeSql(statement.strip().replaceAll(";$", ""));
            }
        }
        tables.executeSql("CREATE TABLE side (id BIGINT, name STRING) WITH ('connector' = 'nexmark-side')");
        BEGUN_CPU.set(0);
        BEGUN_CLOCK.set(0);
        tables.sqlQuery(query).insertInto(TableDescriptor.forConnector("blackhole").build()).execute().await();
        return new double[] {(cpuTime() - BEGUN_CPU.get()) / 1e9, (System.nanoTime() - BEGUN_CLOCK.get()) / 1e9};
    }

    /** How often a text has a letter. */
    public static final class CountChar extends ScalarFunction {
        public long eval(@DataTypeHint("STRING") StringData text, @DataTypeHint("STRING") StringData letter) {
            byte[] bytes = text.toBytes();
            byte wanted = letter.toBytes()[0];
            long count = 0;
            for (byte own : bytes) {
                count += own == wanted ? 1 : 0;
            }
            return count;
        }
    }

    /** The table that q13 looks bids up in. */
    public static final class SideFactory implements DynamicTableSourceFactory {
        @Override
        public String factoryIdentifier() {
            return "nexmark-side";
        }

        @Override
        public Set<ConfigOption<?>> requiredOptions() {
            return Set.of();
        }

        @Override
        public Set<ConfigOption<?>> optionalOptions() {
            return Set.of();
        }

        @Override
        public DynamicTableSource createDynamicTableSource(Context context) {
            return new Side();
        }
    }

    private static final class Side implements LookupTableSource {
        @Override
        public LookupRuntimeProvider getLookupRuntimeProvider(LookupContext context) {
            return LookupFunctionProvider.of(new SideLookup());
        }

        @Override
        public DynamicTableSource copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "side";
        }
    }

    public static final class SideLookup extends LookupFunction {
        private transient Map<Long, Collection<RowData>> rows;

        @Override
        public void open(org.apache.flink.table.functions.FunctionContext context) {
            rows = new java.util.HashMap<>();
            for (long id = 0; id < 10_000; id++) {
                rows.put(id, List.of(GenericRowData.of(id, StringData.fromString("name " + id))));
            }
        }

        @Override
        public Collection<RowData> lookup(RowData key) {
            return rows.getOrDefault(key.getLong(0), Collections.emptyList());
        }
    }

    /** The generator as a table. */
    public static final class NexmarkFactory implements DynamicTableSourceFactory {
        private static final ConfigOption<Long> EVENTS = ConfigOptions.key("events.num").longType().noDefaultValue();
        private static final ConfigOption<Long> RATE = ConfigOptions.key("first-event.rate").longType().defaultValue(10_000L);
        private static final ConfigOption<Long> NEXT_RATE = ConfigOptions.key("next-event.rate").longType().defaultValue(10_000L);

        @Override
        public String factoryIdentifier() {
            return "nexmark";
        }

        @Override
        public Set<ConfigOption<?>> requiredOptions() {
            return Set.of(EVENTS);
        }

        @Override
        public Set<ConfigOption<?>> optionalOptions() {
            return Set.of(RATE, NEXT_RATE);
        }

        @Override
        public DynamicTableSource createDynamicTableSource(Context context) {
            Configuration options = Configuration.fromMap(context.getCatalogTable().getOptions());
            int[][] all = {{0}, {1}, {2}, {3}};
            return new NexmarkTable(options.get(EVENTS), options.get(RATE), all);
        }
    }

    /** Only what is read is made: fields of rows are pushed down to it. */
    private static final class NexmarkTable implements ScanTableSource, SupportsProjectionPushDown {
        private final long events;
        private final long rate;
        private int[][] fields;

        NexmarkTable(long events, long rate, int[][] fields) {
            this.events = events;
            this.rate = rate;
            this.fields = fields;
        }

        @Override
        public boolean supportsNestedProjection() {
            return true;
        }

        @Override
        public void applyProjection(int[][] projectedFields, DataType producedDataType) {
            fields = projectedFields;
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return SourceFunctionProvider.of(new Generator(events, rate, fields), true);
        }

        @Override
        public DynamicTableSource copy() {
            return new NexmarkTable(events, rate, fields);
        }

        @Override
        public String asSummaryString() {
            return "nexmark";
        }
    }

    /** Of n subtasks number i makes the events i, i + n, i + 2n, …. */
    public static final class Generator extends RichParallelSourceFunction<RowData> {
        private final long events;
        private final long rate;
        private final int[][] fields;
        private volatile boolean running = true;

        Generator(long events, long rate, int[][] fields) {
            this.events = events;
            this.rate = rate;
            this.fields = fields;
        }

        @Override
        public void open(OpenContext context) {
            Events.CHANNELS[0].getSizeInBytes();
        }

        @Override
        public void run(SourceContext<RowData> context) {
            if (BEGUN_CLOCK.compareAndSet(0, System.nanoTime())) {
                BEGUN_CPU.set(cpuTime());
            }
            int step = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
            long next = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
            Events made = new Events(rate);
            while (running && next < events) {
                synchronized (context.getCheckpointLock()) {
                    for (int i = 0; i < 256 && next < events; i++, next += step) {
                        context.collect(made.row(next, fields));
                    }
                }
            }
        }

        @Override
        public void cancel() {
            running = false;
        }
    }

    /** What an event is, by its number alone: the same as in `connectors/nexmark/events.rs`, which says what is what. */
    static final class Events {
        private static final long FIRST_ID = 1000;
        private static final long HOT = 100;
        private static final long BASE_TIME = 1_436_918_400_000L;
        private static final int POOL = 1 << 16;
        private static final int MOST = 1 << 10;
        private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
        private static final String[] CITIES = {
            "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
        };
        private static final String[] FIRST_NAMES = {
            "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"
        };
        private static final String[] LAST_NAMES = {
            "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"
        };
        private static final byte[] WORDS = pool(' ');
        private static final byte[] LETTERS = pool((char) 0);
        static final BinaryStringData[] CHANNELS = new BinaryStringData[10_004];
        private static final BinaryStringData[] URLS = new BinaryStringData[10_004];

        static {
            String[] hot = {"Google", "Facebook", "Baidu", "Apple"};
            for (int i = 0; i < 4; i++) {
                CHANNELS[i] = text(hot[i]);
                URLS[i] = text(new Random(-1L - i).url());
            }
            for (int i = 0; i < 10_000; i++) {
                Random own = new Random(-5L - i);
                String url = own.url();
                if (own.below(10) > 0) {
                    url += "&channel_id=" + Math.abs((long) Integer.reverse(i));
                }
                CHANNELS[4 + i] = text("channel-" + i);
                URLS[4 + i] = text(url);
            }
        }

        private final long rate;
        private long event;
        private int kind;
        private Object person;
        private Object auction;
        private Object bid;

        Events(long rate) {
            this.rate = rate;
        }

        /** These fields of an event: {@code {0}} is its kind, {@code {3, 1}} the bidder of a bid. */
        RowData row(long number, int[][] fields) {
            event = number;
            person = auction = bid = null;
            long offset = event % 50;
            kind = offset < 1 ? 0 : offset < 4 ? 1 : 2;
            GenericRowData row = new GenericRowData(fields.length);
            for (int i = 0; i < fields.length; i++) {
                row.setField(i, field(fields[i]));
            }
            return row;
        }

        private Object field(int[] path) {
            if (path[0] == 0) {
                return kind;
            }
            if (path[0] != kind + 1) {
                return null;
            }
            if (path.length == 1) {
                int width = kind == 0 ? 8 : kind == 1 ? 10 : 7;
                GenericRowData row = new GenericRowData(width);
                for (int i = 0; i < width; i++) {
                    row.setField(i, one(i));
                }
                return row;
            }
            return one(path[1]);
        }

        private Object one(int field) {
            switch (kind) {
                case 0:
                    if (person == null) {
                        person = new Person();
                    }
                    return ((Person) person).field(field);
                case 1:
                    if (auction == null) {
                        auction = new Auction();
                    }
                    return ((Auction) auction).field(field);
                default:
                    if (bid == null) {
                        bid = new Bid();
                    }
                    return ((Bid) bid).field(field);
            }
        }

        private final class Person {
            private final String[] texts = new String[5];
            private final BinaryStringData extra;

            Person() {
                Random random = new Random(event);
                texts[0] = random.oneOf(FIRST_NAMES) + " " + random.oneOf(LAST_NAMES);
                String name = random.text(7, ' ');
                texts[1] = name + "@" + random.text(5, ' ') + ".com";
                StringBuilder card = new StringBuilder();
                for (int i = 0; i < 4; i++) {
                    String four = String.valueOf(random.below(10_000));
                    card.append(i == 0 ? "" : " ").append("0000", 0, 4 - four.length()).append(four);
                }
                texts[2] = card.toString();
                texts[3] = random.oneOf(CITIES);
                texts[4] = random.oneOf(STATES);
                int size = 8;
                for (String text : texts) {
                    size += text.length();
                }
                extra = random.letters(random.missing(size, 200));
            }

            Object field(int field) {
                return switch (field) {
                    case 0 -> lastPerson() + FIRST_ID;
                    case 6 -> TimestampData.fromEpochMillis(time(event));
                    case 7 -> extra;
                    default -> text(texts[field - 1]);
                };
            }
        }

        private final class Auction {
            private final Random random = new Random(event);
            private final long initialBid = random.price();
            private final long seller;
            private final long category;
            private final long expires;
            private final BinaryStringData name;
            private final BinaryStringData description;
            private final long reserve;

            Auction() {
                seller = random.below(4) > 0 ? lastPerson() / HOT * HOT : somePerson(random);
                category = 10 + random.below(5);
                long ahead = 100 * 50 / 3;
                long horizon = time(event + ahead) - time(event);
                expires = time(event) + 1 + random.below(Math.max(horizon * 2, 1));
                name = random.words(20);
                description = random.words(100);
                reserve = initialBid + random.price();
            }

            Object field(int field) {
                return switch (field) {
                    case 0 -> lastAuction() + FIRST_ID;
                    case 1 -> name;
                    case 2 -> description;
                    case 3 -> initialBid;
                    case 4 -> reserve;
                    case 5 -> TimestampData.fromEpochMillis(time(event));
                    case 6 -> TimestampData.fromEpochMillis(expires);
                    case 7 -> seller + FIRST_ID;
                    case 8 -> category;
                    default -> {
                        Random rest = random.copy();
                        int size = 48 + name.getSizeInBytes() + description.getSizeInBytes();
                        yield rest.letters(rest.missing(size, 500));
                    }
                };
            }
        }

        private final class Bid {
            private final Random random = new Random(event);
            private final long auction;
            private final long bidder;
            private final Random price;
            private final int channel;

            Bid() {
                auction = random.below(2) > 0 ? Math.max(lastAuction(), 0) / HOT * HOT : someAuction(random);
                bidder = random.below(4) > 0 ? lastPerson() / HOT * HOT + 1 : somePerson(random);
                price = random.copy();
                random.next();
                channel = (int) (random.below(2) > 0 ? random.below(4) : 4 + random.below(10_000));
            }

            Object field(int field) {
                return switch (field) {
                    case 0 -> auction + FIRST_ID;
                    case 1 -> bidder + FIRST_ID;
                    case 2 -> price.copy().price();
                    case 3 -> CHANNELS[channel];
                    case 4 -> URLS[channel];
                    case 5 -> TimestampData.fromEpochMillis(time(event));
                    default -> {
                        Random rest = random.copy();
                        yield rest.letters(rest.missing(32, 100));
                    }
                };
            }
        }

        private long time(long of) {
            return BASE_TIME + of * 1000 / rate;
        }

        private long lastPerson() {
            return event / 50;
        }

        private long lastAuction() {
            long round = event / 50;
            long within = event % 50 - 1;
            return within < 0 ? round * 3 - 1 : round * 3 + Math.min(within, 2);
        }

        private long somePerson(Random random) {
            long people = lastPerson() + 1;
            long active = Math.min(people, 1000);
            return people - active + random.below(active + 10);
        }

        private long someAuction(Random random) {
            long last = lastAuction();
            long first = Math.max(last - 100, 0);
            return first + random.below(Math.max(last - first + 1 + 10, 1));
        }

        private static BinaryStringData text(String text) {
            return BinaryStringData.fromBytes(text.getBytes(StandardCharsets.UTF_8));
        }

        private static byte[] pool(char sign) {
            Random random = new Random(Long.MAX_VALUE);
            byte[] pool = new byte[POOL + MOST];
            for (int i = 0; i < pool.length; i++) {
                boolean isSign = sign != 0 && random.below(13) == 0;
                pool[i] = (byte) (isSign ? sign : 'a' + random.below(26));
            }
            return pool;
        }
    }

    /** Random numbers that follow from the number of an event. */
    static final class Random {
        private long state;

        Random(long event) {
            state = event * 0x9e3779b97f4a7c15L ^ 0x5851f42d4c957f2dL;
        }

        Random copy() {
            Random copy = new Random(0);
            copy.state = state;
            return copy;
        }

        long next() {
            state += 0x9e3779b97f4a7c15L;
            long mixed = state;
            mixed = (mixed ^ (mixed >>> 30)) * 0xbf58476d1ce4e5b9L;
            mixed = (mixed ^ (mixed >>> 27)) * 0x94d049bb133111ebL;
            return mixed ^ (mixed >>> 31);
        }

        long below(long limit) {
            long next = next();
            // The upper half of the product of two numbers without a sign.
            return Math.multiplyHigh(next, limit) + ((next >> 63) & limit);
        }

        String oneOf(String[] all) {
            return all[(int) below(all.length)];
        }

        long price() {
            long next = next();
            double unsigned = next >= 0 ? next : ((next >>> 1) | (next & 1)) * 2.0;
            return Math.round(Math.pow(10, unsigned / 0x1p64 * 6.0) * 100.0);
        }

        String text(long limit, char sign) {
            long length = 3 + below(limit - 3);
            StringBuilder text = new StringBuilder();
            for (long i = 0; i < length; i++) {
                text.append(below(13) == 0 ? sign : (char) ('a' + below(26)));
            }
            return text.toString().strip();
        }

        BinaryStringData words(long limit) {
            int length = (int) (3 + below(limit - 3));
            int begin = (int) below(Events.POOL);
            int end = begin + length;
            while (begin < end && Events.WORDS[begin] == ' ') {
                begin++;
            }
            while (begin < end && Events.WORDS[end - 1] == ' ') {
                end--;
            }
            return BinaryStringData.fromBytes(Events.WORDS, begin, end - begin);
        }

        int missing(int size, int wanted) {
            int rest = wanted - size;
            if (rest <= 0) {
                return 0;
            }
            int spread = (int) Math.round(rest * 0.2);
            return rest - spread + (spread == 0 ? 0 : (int) below(2L * spread));
        }

        /** Of so many letters; they are fewer than are in one piece. */
        BinaryStringData letters(int length) {
            return length == 0
                    ? BinaryStringData.EMPTY_UTF8
                    : BinaryStringData.fromBytes(Events.LETTERS, (int) below(Events.POOL), length);
        }

        String url() {
            String a = text(5, '_');
            String b = text(5, '_');
            String c = text(5, '_');
            return "https://www.nexmark.com/" + a + "/" + b + "/" + c + "/item.htm?query=1";
        }
    }
}

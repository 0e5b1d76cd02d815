import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import org.apache.flink.api.common.eventtime.*;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.cep.*;
import org.apache.flink.cep.functions.*;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.*;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.*;

/**
 * Patterns made up, and what a real Flink finds. `java RandomPatterns make SEED COUNT FOLDER` writes `random_patterns.txt` (a pattern a line) and
 * `random_patterns.in` (their events), which follow from the seed; `java RandomPatterns ask FOLDER` answers them: of each pattern a line with its
 * number and `refused`, or with each match. The classes are in the folder that `scripts/flink-sql --jars` prints. The test beside it asks the same
 * of the files here, or of those in the folder that the variable THALWEG_RANDOM_PATTERNS names.
 */
public class RandomPatterns {
    public static class Event {
        public String key;
        public long value;
        public long time;
        public Event() {}
        public Event(String key, long value, long time) { this.key = key; this.value = value; this.time = time; }
    }

    static class Punctuated implements WatermarkGenerator<Event> {
        public void onEvent(Event event, long time, WatermarkOutput output) {
            if (event.key.equals("@")) output.emitWatermark(new Watermark(event.time));
        }
        public void onPeriodicEmit(WatermarkOutput output) {}
    }

    // What is made up.

    static Random random;

    static String oneOf(String... all) { return all[random.nextInt(all.length)]; }

    static String letters() { return oneOf("a", "b", "c", "a", "b", "ab", "bc", "ac", "abc", "d"); }

    static String events(int count) {
        StringBuilder text = new StringBuilder();
        long time = 0;
        for (int id = 1; id <= count; id++) {
            time += random.nextInt(3);
            long at = random.nextInt(5) == 0 ? Math.max(0, time - random.nextInt(4)) : time;
            text.append(oneOf("x", "y", "z")).append(oneOf("a", "a", "b", "b", "c", "d")).append(' ').append(id).append(' ').append(at).append('\n');
            if (random.nextInt(4) == 0) text.append("@ ").append(Math.max(0, time - 3)).append('\n');
        }
        return text.toString();
    }

    /** Steps from `begin` on, with names from `next` on. */
    static String steps(int count, int[] next, int[] wide, boolean inGroup) {
        StringBuilder text = new StringBuilder();
        boolean afterOptional = false, afterNot = false;
        for (int i = 0; i < count; i++) {
            boolean last = i == count - 1;
            String how = i == 0 ? "begin" : oneOf("next", "followedBy", "followedBy", wide[0] > 2 ? "next" : "followedByAny");
            boolean not = i > 0 && !afterOptional && !afterNot && random.nextInt(6) == 0;
            if (not) how = last ? "notFollowedBy" : oneOf("notNext", "notFollowedBy");
            if (not && last && inGroup) { not = false; how = "followedBy"; }
            if (how.equals("followedByAny")) wide[0]++;
            text.append(' ').append(how).append(' ');
            afterNot = not;
            boolean group = !inGroup && !not && random.nextInt(7) == 0;
            if (group) text.append("(").append(steps(1 + random.nextInt(2) + random.nextInt(2), next, wide, true)).append(" )");
            else text.append(name(next[0]++)).append(' ').append(letters());
            afterOptional = false;
            if (not) continue;
            // Not too much of what finds many matches.
            int quantifier = wide[0] > 3 ? 7 : inGroup || group ? 3 + random.nextInt(5) : random.nextInt(8);
            boolean many = quantifier < 5, endless = false;
            if (many) wide[0]++;
            switch (quantifier) {
                case 0, 1 -> { text.append(" oneOrMore"); endless = true; }
                case 2 -> text.append(" times:").append(2 + random.nextInt(2)).append('-').append(3 + random.nextInt(2));
                case 3 -> text.append(" times:").append(2);
                case 4 -> { text.append(" timesOrMore:").append(1 + random.nextInt(2)); endless = true; }
                default -> {}
            }
            if (many) {
                int inner = random.nextInt(5);
                if (inner == 0 && wide[0] < 3) { text.append(" allowCombinations"); wide[0] += 2; }
                else if (inner == 1) text.append(" consecutive");
                if (!group && random.nextInt(3) == 0) text.append(" greedy");
                if (endless && random.nextInt(3) == 0) text.append(" until:").append(letters());
            }
            if (random.nextInt(4) == 0) { text.append(" optional"); afterOptional = true; }
        }
        return text.toString();
    }

    static String name(int number) { return String.valueOf((char) ('p' + number)); }

    static String pattern() {
        int[] next = {0};
        int[] wide = {0};
        String steps = steps(1 + random.nextInt(4), next, wide, false);
        String of = name(random.nextInt(next[0]));
        String skip = oneOf("noSkip", "noSkip", "noSkip", "skipPastLastEvent", "skipPastLastEvent", "skipToFirst:" + of, "skipToLast:" + of, "skipToNext");
        String within = random.nextInt(3) == 0 || steps.matches(".* notFollowedBy \\S+ \\S+") ? " within:" + (3 + random.nextInt(8)) : "";
        return skip + within + steps;
    }

    static void make(long seed, int count, Path folder) throws Exception {
        random = new Random(seed);
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("random_patterns.in"), events(36));
        Set<String> patterns = new LinkedHashSet<>();
        while (patterns.size() < count) patterns.add(pattern());
        Files.write(folder.resolve("random_patterns.txt"), patterns);
    }

    // What Flink makes of it.

    static SimpleCondition<Event> is(String letters) { return SimpleCondition.of(e -> letters.indexOf(e.key.charAt(1)) >= 0); }

    static AfterMatchSkipStrategy skip(String word) {
        String[] parts = word.split(":");
        return switch (parts[0]) {
            case "noSkip" -> AfterMatchSkipStrategy.noSkip();
            case "skipToNext" -> AfterMatchSkipStrategy.skipToNext();
            case "skipPastLastEvent" -> AfterMatchSkipStrategy.skipPastLastEvent();
            case "skipToFirst" -> AfterMatchSkipStrategy.skipToFirst(parts[1]);
            default -> AfterMatchSkipStrategy.skipToLast(parts[1]);
        };
    }

    static Pattern<Event, Event> parse(Deque<String> words, AfterMatchSkipStrategy skip) {
        Pattern<Event, Event> pattern = null;
        while (!words.isEmpty() && !words.peek().equals(")")) {
            String how = words.poll();
            if (words.peek().equals("(")) {
                words.poll();
                Pattern<Event, Event> group = parse(words, null);
                words.poll();
                pattern = switch (how) {
                    case "begin" -> skip == null ? Pattern.begin(group) : Pattern.begin(group, skip);
                    case "next" -> pattern.next(group);
                    case "followedBy" -> pattern.followedBy(group);
                    default -> pattern.followedByAny(group);
                };
            } else {
                String name = words.poll();
                Pattern<Event, Event> step = switch (how) {
                    case "begin" -> skip == null ? Pattern.begin(name) : Pattern.begin(name, skip);
                    case "next" -> pattern.next(name);
                    case "followedBy" -> pattern.followedBy(name);
                    case "followedByAny" -> pattern.followedByAny(name);
                    case "notNext" -> pattern.notNext(name);
                    default -> pattern.notFollowedBy(name);
                };
                pattern = step.where(is(words.poll()));
            }
            while (!words.isEmpty() && QUANTIFIERS.contains(words.peek().split(":")[0])) {
                String[] word = words.poll().split("[:-]");
                pattern = switch (word[0]) {
                    case "oneOrMore" -> pattern.oneOrMore();
                    case "timesOrMore" -> pattern.timesOrMore(Integer.parseInt(word[1]));
                    case "times" -> word.length == 2 ? pattern.times(Integer.parseInt(word[1]))
                            : pattern.times(Integer.parseInt(word[1]), Integer.parseInt(word[2]));
                    case "optional" -> pattern.optional();
                    case "greedy" -> pattern.greedy();
                    case "consecutive" -> pattern.consecutive();
                    case "allowCombinations" -> pattern.allowCombinations();
                    default -> pattern.until(is(word[1]));
                };
            }
        }
        return pattern;
    }

    static final Set<String> QUANTIFIERS =
            Set.of("oneOrMore", "timesOrMore", "times", "optional", "greedy", "consecutive", "allowCombinations", "until");

    static Pattern<Event, Event> parse(String line) {
        Deque<String> words = new ArrayDeque<>(List.of(line.split(" ")));
        AfterMatchSkipStrategy skip = skip(words.poll());
        String within = words.peek().startsWith("within:") ? words.poll() : null;
        Pattern<Event, Event> pattern = parse(words, skip);
        return within == null ? pattern : pattern.within(Duration.ofMillis(Long.parseLong(within.substring(7))));
    }

    static class MatchFunction extends PatternProcessFunction<Event, String> implements TimedOutPartialMatchHandler<Event> {
        final OutputTag<String> timedOut;
        final int number;
        MatchFunction(int number, OutputTag<String> timedOut) { this.number = number; this.timedOut = timedOut; }
        static String text(Map<String, List<Event>> match) {
            StringBuilder text = new StringBuilder();
            for (var entry : new TreeMap<>(match).entrySet()) {
                text.append(text.length() == 0 ? "" : "; ").append(entry.getKey()).append(":");
                for (Event event : entry.getValue()) text.append(" ").append(event.key.charAt(1)).append(event.value);
            }
            return text.toString();
        }
        public void processMatch(Map<String, List<Event>> match, Context context, Collector<String> out) { out.collect(number + " " + text(match)); }
        public void processTimedOutMatch(Map<String, List<Event>> match, Context context) { context.output(timedOut, number + " timed out " + text(match)); }
    }

    static String message(Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null && cause.getCause() != cause) cause = cause.getCause();
        return String.valueOf(cause.getMessage()).lines().findFirst().orElse("");
    }

    /** The matches of these patterns, all in one job; if that fails, each in one of its own. */
    static List<String> ask(List<Event> events, Map<Integer, String> patterns) {
        List<String> lines = new ArrayList<>();
        Configuration configuration = new Configuration();
        configuration.setString("taskmanager.memory.network.min", "256m");
        configuration.setString("taskmanager.memory.network.max", "256m");
        var env = StreamExecutionEnvironment.createLocalEnvironment(1, configuration);
        WatermarkStrategy<Event> strategy = WatermarkStrategy.<Event>forGenerator(c -> new Punctuated()).withTimestampAssigner((e, t) -> e.time);
        var keyed = env.fromData(Event.class, events.toArray(new Event[0])).assignTimestampsAndWatermarks(strategy)
                .filter(e -> !e.key.equals("@")).keyBy(e -> e.key.charAt(0));
        DataStream<String> all = null;
        for (var pattern : patterns.entrySet()) {
            OutputTag<String> timedOut = new OutputTag<String>("timed-out-" + pattern.getKey()) {};
            try {
                var found = CEP.pattern(keyed, parse(pattern.getValue())).process(new MatchFunction(pattern.getKey(), timedOut));
                DataStream<String> both = found.union(found.getSideOutput(timedOut));
                all = all == null ? both : all.union(both);
            } catch (Throwable error) {
                lines.add(pattern.getKey() + " refused: " + message(error));
            }
        }
        if (all == null) return lines;
        List<String> results = new ArrayList<>();
        try (var found = all.executeAndCollect()) {
            found.forEachRemaining(results::add);
        } catch (Throwable error) {
            if (patterns.size() == 1) return List.of(patterns.keySet().iterator().next() + " fails: " + message(error));
            List<String> each = new ArrayList<>();
            patterns.forEach((number, pattern) -> each.addAll(ask(events, Map.of(number, pattern))));
            return each;
        }
        lines.addAll(results);
        return lines;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("make")) {
            make(Long.parseLong(arguments[1]), Integer.parseInt(arguments[2]), Path.of(arguments[3]));
            System.exit(0);
        }
        Path folder = Path.of(arguments[1]);
        List<Event> events = new ArrayList<>();
        for (String line : Files.readAllLines(folder.resolve("random_patterns.in"))) {
            String[] words = line.split(" ");
            events.add(words[0].equals("@") ? new Event("@", 0, Long.parseLong(words[1])) : new Event(words[0], Long.parseLong(words[1]), Long.parseLong(words[2])));
        }
        List<String> patterns = Files.readAllLines(folder.resolve("random_patterns.txt"));
        List<String> lines = new ArrayList<>();
        for (int from = 0; from < patterns.size(); from += 40) {
            Map<Integer, String> some = new TreeMap<>();
            for (int i = from; i < Math.min(from + 40, patterns.size()); i++) some.put(i + 1, patterns.get(i));
            lines.addAll(ask(events, some));
        }
        lines.sort(Comparator.comparingInt((String line) -> Integer.parseInt(line.split(" ")[0])).thenComparing(line -> line));
        Files.write(folder.resolve("random_patterns.out"), lines);
        System.exit(0);
    }
}

import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.function.Function;
import org.apache.flink.api.common.eventtime.*;
import org.apache.flink.api.common.functions.*;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeinfo.*;
import org.apache.flink.api.java.tuple.*;
import org.apache.flink.cep.*;
import org.apache.flink.cep.functions.*;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.*;
import org.apache.flink.streaming.api.datastream.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.co.*;
import org.apache.flink.streaming.api.functions.*;
import org.apache.flink.streaming.api.functions.windowing.*;
import org.apache.flink.streaming.api.functions.windowing.delta.DeltaFunction;
import org.apache.flink.streaming.api.windowing.assigners.*;
import org.apache.flink.streaming.api.windowing.evictors.*;
import org.apache.flink.streaming.api.windowing.triggers.*;
import org.apache.flink.streaming.api.windowing.windows.*;
import org.apache.flink.util.*;

/**
 * What a real Flink answers: for each pipeline, its output for the input beside it. `java Conformance FOLDER` reads NAME.in and writes NAME.out, a
 * result a line, sorted. Input: `key value time`, and `@ time`, a watermark that comes right there. Two inputs are told apart by their key's first
 * letter where a pipeline says so.
 */
public class Conformance {
    public static class Event {
        public String key;
        public long value;
        public long time;
        public Event() {}
        public Event(String key, long value, long time) { this.key = key; this.value = value; this.time = time; }
        public boolean isWatermark() { return key.equals("@"); }
        public String toString() { return key + " " + value; }
    }

    static class Punctuated implements WatermarkGenerator<Event> {
        public void onEvent(Event event, long time, WatermarkOutput output) {
            if (event.isWatermark()) output.emitWatermark(new Watermark(event.time));
        }
        public void onPeriodicEmit(WatermarkOutput output) {}
    }

    static List<Event> events;
    static StreamExecutionEnvironment env;

    /** One source for all that read it. */
    static SingleOutputStreamOperator<Event> source;

    static SingleOutputStreamOperator<Event> in() {
        if (source != null) return source;
        WatermarkStrategy<Event> strategy = WatermarkStrategy.<Event>forGenerator(c -> new Punctuated()).withTimestampAssigner((e, t) -> e.time);
        source = env.fromData(Event.class, events.toArray(new Event[0])).assignTimestampsAndWatermarks(strategy).filter(e -> !e.isWatermark());
        return source;
    }
    static SingleOutputStreamOperator<Event> in(char side) { return in().filter(e -> e.key.charAt(0) == side).map(e -> new Event(e.key.substring(1), e.value, e.time)).returns(Event.class); }
    static KeyedStream<Event, String> keyed() { return in().keyBy(e -> e.key); }
    static KeyedStream<Event, String> keyed(char side) { return in(side).keyBy(e -> e.key); }

    static final OutputTag<Event> LATE = new OutputTag<Event>("late", TypeInformation.of(Event.class)) {};

    /** Key, window, what is in it in order, and the watermark when it fires. */
    static class Show<W extends Window> extends ProcessWindowFunction<Event, String, String, W> {
        public void process(String key, Context context, Iterable<Event> elements, Collector<String> out) {
            StringBuilder values = new StringBuilder();
            for (Event event : elements) values.append(values.length() == 0 ? "" : ",").append(event.value);
            String span = context.window() instanceof TimeWindow w ? w.getStart() + ".." + w.getEnd() : "all";
            out.collect(key + " " + span + " [" + values + "]");
        }
    }
    static DataStream<String> windows(WindowAssigner<Object, TimeWindow> assigner, long lateness) {
        SingleOutputStreamOperator<String> shown = keyed().window(assigner).allowedLateness(Duration.ofMillis(lateness)).sideOutputLateData(LATE).process(new Show<>());
        return shown.union(shown.getSideOutput(LATE).map(e -> "late " + e));
    }
    static DataStream<String> global(Trigger<Object, GlobalWindow> trigger, Evictor<Object, GlobalWindow> evictor) {
        var windowed = keyed().window(GlobalWindows.create()).trigger(trigger);
        if (evictor != null) windowed = windowed.evictor(evictor);
        return windowed.process(new Show<>());
    }
    static DataStream<String> shown(DataStream<Event> events) { return events.map(Event::toString); }
    static Duration ms(long n) { return Duration.ofMillis(n); }
    static SimpleCondition<Event> is(char c) { return SimpleCondition.of(e -> e.key.charAt(1) == c); }

    /** Matches of letters, by key (the first letter of `key`); the second letter is what conditions ask for. */
    static DataStream<String> cep(Pattern<Event, ?> pattern) {
        OutputTag<String> timedOut = new OutputTag<String>("timed-out") {};
        var found = CEP.pattern(in().keyBy(e -> e.key.charAt(0)), pattern).process(new MatchFunction(timedOut));
        return found.union(found.getSideOutput(timedOut));
    }
    static class MatchFunction extends PatternProcessFunction<Event, String> implements TimedOutPartialMatchHandler<Event> {
        final OutputTag<String> timedOut;
        MatchFunction(OutputTag<String> timedOut) { this.timedOut = timedOut; }
        static String text(Map<String, List<Event>> match) {
            StringBuilder text = new StringBuilder();
            for (var entry : new TreeMap<>(match).entrySet()) {
                text.append(text.length() == 0 ? "" : "; ").append(entry.getKey()).append(":");
                for (Event event : entry.getValue()) text.append(" ").append(event.key.charAt(1)).append(event.value);
            }
            return text.toString();
        }
        public void processMatch(Map<String, List<Event>> match, Context context, Collector<String> out) { out.collect(text(match)); }
        public void processTimedOutMatch(Map<String, List<Event>> match, Context context) { context.output(timedOut, "timed out " + text(match)); }
    }
    static Pattern<Event, ?> ab(AfterMatchSkipStrategy skip) {
        return Pattern.<Event>begin("a", skip).where(is('a')).oneOrMore().followedBy("b").where(is('b'));
    }

    static final Map<String, java.util.function.Supplier<DataStream<String>>> PIPELINES = new LinkedHashMap<>();
    static {
        var p = PIPELINES;
        p.put("tumbling", () -> windows(TumblingEventTimeWindows.of(ms(10)), 0));
        p.put("tumbling_offset", () -> windows(TumblingEventTimeWindows.of(ms(10), ms(3)), 0));
        p.put("tumbling_negative_offset", () -> windows(TumblingEventTimeWindows.of(ms(10), ms(-3)), 0));
        p.put("tumbling_lateness", () -> windows(TumblingEventTimeWindows.of(ms(10)), 5));
        p.put("sliding", () -> windows(SlidingEventTimeWindows.of(ms(10), ms(5)), 0));
        p.put("sliding_uneven", () -> windows(SlidingEventTimeWindows.of(ms(10), ms(3)), 0));
        p.put("sliding_with_gaps", () -> windows(SlidingEventTimeWindows.of(ms(4), ms(10)), 0));
        p.put("sliding_lateness", () -> windows(SlidingEventTimeWindows.of(ms(10), ms(5)), 7));
        p.put("session", () -> windows(EventTimeSessionWindows.withGap(ms(10)), 0));
        p.put("session_lateness", () -> windows(EventTimeSessionWindows.withGap(ms(10)), 8));
        p.put("session_dynamic", () -> {
            SessionWindowTimeGapExtractor<Event> gap = e -> e.value;
            var shown = keyed().window(EventTimeSessionWindows.withDynamicGap(gap)).process(new Show<>());
            return shown;
        });
        p.put("window_reduce", () -> shown(keyed().window(TumblingEventTimeWindows.of(ms(10))).allowedLateness(ms(5)).reduce((a, b) -> new Event(a.key, a.value + b.value, b.time))));
        p.put("window_all", () -> in().windowAll(TumblingEventTimeWindows.of(ms(10))).process(new ProcessAllWindowFunction<Event, String, TimeWindow>() {
            public void process(Context context, Iterable<Event> elements, Collector<String> out) {
                List<String> all = new ArrayList<>();
                for (Event e : elements) all.add(e.toString());
                out.collect(context.window().getStart() + " " + all);
            }
        }));
        p.put("windows_of_windows", () -> keyed().window(TumblingEventTimeWindows.of(ms(5))).reduce((a, b) -> new Event(a.key, a.value + b.value, b.time))
            .keyBy(e -> e.key).window(TumblingEventTimeWindows.of(ms(10))).process(new Show<>()));
        p.put("count_window", () -> shown(keyed().countWindow(3).reduce((a, b) -> new Event(a.key, a.value + b.value, b.time))));
        p.put("count_window_sliding", () -> shown(keyed().countWindow(3, 2).reduce((a, b) -> new Event(a.key, a.value + b.value, b.time))));
        p.put("trigger_count", () -> global(CountTrigger.of(2), null));
        p.put("trigger_count_purging", () -> global(PurgingTrigger.of(CountTrigger.of(2)), null));
        p.put("trigger_continuous", () -> keyed().window(TumblingEventTimeWindows.of(ms(20))).trigger(ContinuousEventTimeTrigger.of(ms(5))).process(new Show<>()));
        p.put("trigger_delta", () -> keyed().window(GlobalWindows.create()).trigger(DeltaTrigger.of(3.0, (DeltaFunction<Event>) (a, b) -> b.value - a.value, TypeInformation.of(Event.class).createSerializer(env.getConfig().getSerializerConfig()))).process(new Show<>()));
        p.put("evictor_count", () -> global(CountTrigger.of(2), CountEvictor.of(3)));
        p.put("evictor_time", () -> global(CountTrigger.of(2), TimeEvictor.of(ms(6))));
        p.put("evictor_time_window", () -> keyed().window(TumblingEventTimeWindows.of(ms(20))).evictor(TimeEvictor.of(ms(6))).process(new Show<>()));
        p.put("join_tumbling", () -> in('l').join(in('r')).where(e -> e.key).equalTo(e -> e.key).window(TumblingEventTimeWindows.of(ms(10)))
            .apply((JoinFunction<Event, Event, String>) (l, r) -> l.key + " " + l.value + "-" + r.value, Types.STRING));
        p.put("join_sliding", () -> in('l').join(in('r')).where(e -> e.key).equalTo(e -> e.key).window(SlidingEventTimeWindows.of(ms(10), ms(5)))
            .apply((JoinFunction<Event, Event, String>) (l, r) -> l.key + " " + l.value + "-" + r.value, Types.STRING));
        p.put("join_session", () -> in('l').join(in('r')).where(e -> e.key).equalTo(e -> e.key).window(EventTimeSessionWindows.withGap(ms(5)))
            .apply((JoinFunction<Event, Event, String>) (l, r) -> l.key + " " + l.value + "-" + r.value, Types.STRING));
        p.put("co_group_outer", () -> in('l').coGroup(in('r')).where(e -> e.key).equalTo(e -> e.key).window(TumblingEventTimeWindows.of(ms(10)))
            .apply((CoGroupFunction<Event, Event, String>) (l, r, out) -> {
                List<String> left = new ArrayList<>(), right = new ArrayList<>();
                for (Event e : l) left.add(e.toString());
                for (Event e : r) right.add(e.toString());
                out.collect(left + " " + right);
            }, Types.STRING));
        p.put("interval_join", () -> keyed('l').intervalJoin(keyed('r')).between(ms(-2), ms(3)).process(new Pair()));
        p.put("interval_join_exclusive", () -> keyed('l').intervalJoin(keyed('r')).between(ms(-2), ms(3)).lowerBoundExclusive().upperBoundExclusive().process(new Pair()));
        p.put("reduce", () -> shown(keyed().reduce((a, b) -> new Event(a.key, a.value * 2 + b.value, b.time))));
        p.put("max_by", () -> keyed().maxBy("value").map(e -> e + " " + e.time));
        p.put("min_field", () -> keyed().min("value").map(e -> e + " " + e.time));
        p.put("timers", () -> keyed().process(new Timers()));
        p.put("timeout", () -> keyed().process(new Timeout()));
        p.put("co_process", () -> keyed('l').connect(keyed('r')).process(new Enrich()));
        p.put("side_output", () -> {
            OutputTag<String> odd = new OutputTag<String>("odd") {};
            var even = in().process(new ProcessFunction<Event, String>() {
                public void processElement(Event e, Context context, Collector<String> out) {
                    if (e.value % 2 == 0) out.collect("even " + e); else context.output(odd, "odd " + e + " at " + context.timestamp());
                }
            });
            return even.union(even.getSideOutput(odd));
        });
        p.put("cep_next", () -> cep(Pattern.<Event>begin("a").where(is('a')).next("b").where(is('b'))));
        p.put("cep_followed_by", () -> cep(Pattern.<Event>begin("a").where(is('a')).followedBy("b").where(is('b'))));
        p.put("cep_followed_by_any", () -> cep(Pattern.<Event>begin("a").where(is('a')).followedByAny("b").where(is('b'))));
        p.put("cep_times", () -> cep(Pattern.<Event>begin("a").where(is('a')).times(2).followedBy("b").where(is('b'))));
        p.put("cep_times_range", () -> cep(Pattern.<Event>begin("a").where(is('a')).times(1, 2).allowCombinations().next("b").where(is('b'))));
        p.put("cep_one_or_more", () -> cep(ab(AfterMatchSkipStrategy.noSkip())));
        p.put("cep_greedy", () -> cep(Pattern.<Event>begin("a").where(is('a')).oneOrMore().greedy().next("b").where(SimpleCondition.of(e -> e.key.charAt(1) != 'x'))));
        p.put("cep_consecutive", () -> cep(Pattern.<Event>begin("c").where(is('c')).followedBy("a").where(is('a')).oneOrMore().consecutive().followedBy("b").where(is('b'))));
        p.put("cep_optional", () -> cep(Pattern.<Event>begin("c").where(is('c')).next("a").where(is('a')).optional().next("b").where(is('b'))));
        p.put("cep_until", () -> cep(Pattern.<Event>begin("a").where(is('a')).oneOrMore().until(is('c')).followedBy("b").where(is('b'))));
        p.put("cep_not_next", () -> cep(Pattern.<Event>begin("a").where(is('a')).notNext("c").where(is('c')).followedBy("b").where(is('b'))));
        p.put("cep_not_followed_by", () -> cep(Pattern.<Event>begin("a").where(is('a')).notFollowedBy("c").where(is('c')).followedBy("b").where(is('b'))));
        p.put("cep_absence", () -> cep(Pattern.<Event>begin("a").where(is('a')).notFollowedBy("b").where(is('b')).within(ms(5))));
        p.put("cep_within", () -> cep(Pattern.<Event>begin("a").where(is('a')).followedBy("b").where(is('b')).within(ms(5))));
        p.put("cep_skip_past_last", () -> cep(ab(AfterMatchSkipStrategy.skipPastLastEvent())));
        p.put("cep_skip_to_next", () -> cep(ab(AfterMatchSkipStrategy.skipToNext())));
        p.put("cep_skip_to_last", () -> cep(ab(AfterMatchSkipStrategy.skipToLast("a"))));
        p.put("cep_group_or_more", () -> cep(Pattern.<Event>begin("a").where(is('a'))
            .followedBy(Pattern.<Event>begin("b").where(is('b')).optional().followedBy("d").where(is('c'))).oneOrMore().followedBy("x").where(is('x'))));
        p.put("cep_group_optional", () -> cep(Pattern.<Event>begin("a").where(is('a'))
            .next(Pattern.<Event>begin("b").where(is('b')).next("d").where(is('a'))).optional().next("c").where(is('c'))));
        p.put("cep_group", () -> cep(Pattern.begin(Pattern.<Event>begin("a").where(is('a')).followedBy("b").where(is('b'))).times(2).next("c").where(is('c'))));
    }

    static class Pair extends ProcessJoinFunction<Event, Event, String> {
        public void processElement(Event l, Event r, Context context, Collector<String> out) {
            out.collect(l.key + " " + l.value + "-" + r.value + " at " + context.getTimestamp());
        }
    }

    /** Sets a timer for each event, and one more from the timer; deletes it when the value is negative. */
    static class Timers extends KeyedProcessFunction<String, Event, String> {
        public void processElement(Event e, Context context, Collector<String> out) {
            if (e.value < 0) context.timerService().deleteEventTimeTimer(-e.value);
            else context.timerService().registerEventTimeTimer(e.time + e.value);
        }
        public void onTimer(long time, OnTimerContext context, Collector<String> out) {
            out.collect(context.getCurrentKey() + " " + time + " at " + context.timerService().currentWatermark());
            if (time % 2 == 1) context.timerService().registerEventTimeTimer(time + 1);
        }
    }

    /** Says of a key that nothing has come for 10 ms, with the sum until then. */
    static class Timeout extends KeyedProcessFunction<String, Event, String> {
        ValueState<Tuple2<Long, Long>> state;
        public void open(org.apache.flink.api.common.functions.OpenContext c) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("s", Types.TUPLE(Types.LONG, Types.LONG)));
        }
        public void processElement(Event e, Context context, Collector<String> out) throws Exception {
            Tuple2<Long, Long> now = state.value() == null ? Tuple2.of(0L, 0L) : state.value();
            state.update(Tuple2.of(now.f0 + e.value, Math.max(now.f1, e.time)));
            context.timerService().registerEventTimeTimer(e.time + 10);
        }
        public void onTimer(long time, OnTimerContext context, Collector<String> out) throws Exception {
            Tuple2<Long, Long> now = state.value();
            if (now != null && time == now.f1 + 10) {
                out.collect(context.getCurrentKey() + " " + now.f0 + " at " + time);
                state.clear();
            }
        }
    }

    /** Each left one with the last right one before it, by their times; in what order the two inputs come does not matter. */
    static class Enrich extends KeyedCoProcessFunction<String, Event, Event, String> {
        MapState<Long, Long> rights;
        public void open(org.apache.flink.api.common.functions.OpenContext c) { rights = getRuntimeContext().getMapState(new MapStateDescriptor<>("r", Types.LONG, Types.LONG)); }
        public void processElement1(Event e, Context context, Collector<String> out) throws Exception { context.timerService().registerEventTimeTimer(e.time); }
        public void processElement2(Event e, Context context, Collector<String> out) throws Exception { rights.put(e.time, Math.max(e.value, rights.contains(e.time) ? rights.get(e.time) : 0)); }
        public void onTimer(long time, OnTimerContext context, Collector<String> out) throws Exception {
            long last = Long.MIN_VALUE;
            for (Long at : rights.keys()) if (at <= time) last = Math.max(last, at);
            out.collect(context.getCurrentKey() + " " + time + " " + rights.get(last));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        for (var pipeline : PIPELINES.entrySet()) {
            if (arguments.length > 1 && !pipeline.getKey().startsWith(arguments[1])) continue;
            Path input = folder.resolve(pipeline.getKey() + ".in");
            events = new ArrayList<>();
            for (String line : Files.readAllLines(input)) {
                String[] words = line.split(" ");
                events.add(words[0].equals("@") ? new Event("@", 0, Long.parseLong(words[1])) : new Event(words[0], Long.parseLong(words[1]), Long.parseLong(words[2])));
            }
            env = StreamExecutionEnvironment.createLocalEnvironment(1);
            source = null;
            List<String> lines = new ArrayList<>();
            try (var results = pipeline.getValue().get().executeAndCollect()) {
                results.forEachRemaining(lines::add);
            }
            Collections.sort(lines);
            Files.write(folder.resolve(pipeline.getKey() + ".out"), lines);
            System.err.println(pipeline.getKey() + ": " + lines.size());
        }
    }
}

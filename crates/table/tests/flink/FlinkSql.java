// Runs SQL on Apache Flink and prints what comes out, a JSON value a line. Started by scripts/flink-sql.

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.ResultKind;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.api.internal.TableResultInternal;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.utils.print.RowDataToStringConverter;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

public final class FlinkSql {
    private static final Pattern SET = Pattern.compile("(?is)\\s*SET\\s+'([^']*)'\\s*=\\s*'((?:[^']|'')*)'\\s*");

    /** Where answers go. What others print, as the compiler does of code that it refuses, does not go there. */
    private static final PrintStream OUT = System.out;

    public static void main(String[] arguments) throws Exception {
        System.setOut(System.err);
        Path file = Path.of(arguments[1]);
        if (arguments[0].equals("expressions")) {
            expressions(Files.readAllLines(file));
        } else {
            script(Files.readString(file), arguments[0].equals("folded"));
        }
        OUT.flush();
        System.exit(0);
    }

    private static StreamTableEnvironment environment() {
        Configuration configuration = new Configuration();
        // A watermark after each row that moves it, not by the clock: so that what is late is the same in each run.
        configuration.setString("pipeline.auto-watermark-interval", "0");
        configuration.setString("parallelism.default", "1");
        configuration.setString("taskmanager.memory.network.min", "32m");
        configuration.setString("taskmanager.memory.network.max", "32m");
        StreamTableEnvironment tables =
                StreamTableEnvironment.create(StreamExecutionEnvironment.getExecutionEnvironment(configuration));
        tables.getConfig().set("table.dml-sync", "true");
        tables.getConfig().set("table.local-time-zone", "UTC");
        return tables;
    }

    /** Statements one after the other; the rows of each query behind a line with its columns. */
    private static void script(String script, boolean folded) throws Exception {
        StreamTableEnvironment tables = environment();
        for (String statement : statements(script)) {
            try {
                execute(tables, statement, folded);
            } catch (Throwable error) {
                OUT.println("{\"error\":" + json(message(error)) + "}");
            }
        }
    }

    /** Runs a statement. Of a query each change is printed; folded, what they come to in the end. */
    private static void execute(StreamTableEnvironment tables, String statement, boolean folded) throws Exception {
        Matcher set = SET.matcher(statement);
        if (set.matches()) {
            tables.getConfig().set(set.group(1), set.group(2).replace("''", "'"));
            return;
        }
        TableResult result = tables.executeSql(statement);
        if (result.getResultKind() != ResultKind.SUCCESS_WITH_CONTENT || !result.getJobClient().isPresent()) {
            if (result.getResultKind() == ResultKind.SUCCESS_WITH_CONTENT) {
                try (CloseableIterator<org.apache.flink.types.Row> rows = result.collect()) {
                    rows.forEachRemaining(row -> OUT.println(json(row.toString())));
                }
            }
            return;
        }
        if (statement.stripLeading().regionMatches(true, 0, "INSERT", 0, 6)
                || statement.stripLeading().regionMatches(true, 0, "EXECUTE", 0, 7)) {
            result.await();
            return;
        }
        StringBuilder columns = new StringBuilder("{\"columns\":[");
        List<Column> all = result.getResolvedSchema().getColumns();
        for (int i = 0; i < all.size(); i++) {
            String of = all.get(i).getName() + " " + all.get(i).getDataType().getLogicalType().asSerializableString();
            columns.append(i == 0 ? "" : ",").append(json(of));
        }
        columns.append("]}");
        if (!folded) {
            OUT.println(columns);
        }
        RowDataToStringConverter converter = ((TableResultInternal) result).getRowDataToStringConverter();
        Map<String, Integer> counts = new TreeMap<>();
        try (CloseableIterator<RowData> rows = ((TableResultInternal) result).collectInternal()) {
            while (rows.hasNext()) {
                RowData row = rows.next();
                String[] texts = converter.convert(row);
                StringBuilder values = new StringBuilder();
                for (int i = 0; i < texts.length; i++) {
                    values.append(',').append(row.isNullAt(i) ? "null" : json(texts[i]));
                }
                if (folded) {
                    boolean added = row.getRowKind() == RowKind.INSERT || row.getRowKind() == RowKind.UPDATE_AFTER;
                    counts.merge(values.toString(), added ? 1 : -1, Integer::sum);
                } else {
                    OUT.println("[" + json(row.getRowKind().shortString()) + values + "]");
                }
            }
        }
        if (folded) {
            OUT.println(columns);
        }
        counts.forEach((values, count) -> {
            for (int i = 0; i < Math.abs(count); i++) {
                OUT.println("[" + (count > 0 ? "\"+I\"" : "\"-D\"") + values + "]");
            }
        });
    }

    /** What is known of one expression: its type and its value in each row, or why there are none. */
    private static final class Answer {
        final String expression;
        String type;
        String refused;
        String fails;
        final List<String> values = new ArrayList<>();

        Answer(String expression) {
            this.expression = expression;
        }

        void print() {
            StringBuilder line = new StringBuilder("{\"expression\":" + json(expression));
            if (type != null) {
                line.append(",\"type\":").append(json(type));
            }
            if (refused != null) {
                line.append(",\"refused\":").append(json(refused));
            } else if (fails != null) {
                line.append(",\"fails\":").append(json(fails));
            } else {
                line.append(",\"values\":[");
                for (int i = 0; i < values.size(); i++) {
                    line.append(i == 0 ? "" : ",").append(values.get(i) == null ? "null" : json(values.get(i)));
                }
                line.append(']');
            }
            OUT.println(line.append('}'));
        }
    }

    /** Each line an expression, over the rows of the last line that began with FROM. Lines that begin with SET set. */
    private static void expressions(List<String> lines) {
        StreamTableEnvironment tables = environment();
        String from = "";
        List<Answer> waiting = new ArrayList<>();
        for (String line : lines) {
            String text = line.strip();
            if (text.isEmpty() || text.startsWith("--")) {
                continue;
            }
            Matcher set = SET.matcher(text);
            if (set.matches() || text.startsWith("FROM ") || text.equals("FROM")) {
                answer(tables, from, waiting);
                waiting.clear();
                if (text.startsWith("FROM")) {
                    from = text.equals("FROM") ? "" : text;
                } else {
                    tables.getConfig().set(set.group(1), set.group(2));
                }
                continue;
            }
            waiting.add(new Answer(text));
        }
        answer(tables, from, waiting);
    }

    private static void answer(StreamTableEnvironment tables, String from, List<Answer> answers) {
        List<Answer> planned = new ArrayList<>();
        for (Answer answer : answers) {
            try {
                answer.type = tables.sqlQuery("SELECT " + answer.expression + " AS a " + from)
                        .getResolvedSchema().getColumns().get(0).getDataType().getLogicalType().asSerializableString();
                planned.add(answer);
            } catch (Throwable error) {
                answer.refused = message(error);
            }
        }
        // So that no generated method is too long.
        for (int i = 0; i < planned.size(); i += 40) {
            run(tables, from, planned.subList(i, Math.min(i + 40, planned.size())));
        }
        answers.forEach(Answer::print);
    }

    private static void run(StreamTableEnvironment tables, String from, List<Answer> answers) {
        StringBuilder query = new StringBuilder("SELECT ");
        for (int i = 0; i < answers.size(); i++) {
            query.append(i == 0 ? "" : ", ").append(answers.get(i).expression).append(" AS a").append(i);
        }
        try {
            TableResult result = tables.executeSql(query.append(' ').append(from).toString());
            RowDataToStringConverter converter = ((TableResultInternal) result).getRowDataToStringConverter();
            try (CloseableIterator<RowData> rows = ((TableResultInternal) result).collectInternal()) {
                while (rows.hasNext()) {
                    RowData row = rows.next();
                    String[] texts = converter.convert(row);
                    for (int i = 0; i < texts.length; i++) {
                        answers.get(i).values.add(row.isNullAt(i) ? null : texts[i]);
                    }
                }
            }
        } catch (Throwable error) {
            answers.forEach(answer -> answer.values.clear());
            if (answers.size() == 1) {
                answers.get(0).fails = message(error);
                return;
            }
            int half = answers.size() / 2;
            run(tables, from, answers.subList(0, half));
            run(tables, from, answers.subList(half, answers.size()));
        }
    }

    private static String message(Throwable error) {
        String message = String.valueOf(error.getMessage());
        for (Throwable cause = error; cause != null && cause != cause.getCause(); cause = cause.getCause()) {
            message = cause.getMessage() == null ? cause.toString() : cause.getMessage();
        }
        return message.lines().findFirst().orElse("");
    }

    /** Cuts a script at semicolons outside of strings, names and comments. */
    private static List<String> statements(String script) throws IOException {
        List<String> statements = new ArrayList<>();
        StringBuilder statement = new StringBuilder();
        for (int at = 0; at < script.length(); at++) {
            char letter = script.charAt(at);
            if (script.startsWith("--", at)) {
                int end = script.indexOf('\n', at);
                at = end < 0 ? script.length() : end;
                statement.append('\n');
            } else if (letter == '\'' || letter == '`') {
                int end = script.indexOf(letter, at + 1);
                statement.append(script, at, end + 1);
                at = end;
            } else if (letter == ';') {
                statements.add(statement.toString());
                statement.setLength(0);
            } else {
                statement.append(letter);
            }
        }
        statements.add(statement.toString());
        statements.removeIf(String::isBlank);
        return statements;
    }

    private static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                out.append('\\').append(letter);
            } else if (letter < ' ' || letter > '~') {
                out.append(String.format("\\u%04x", (int) letter));
            } else {
                out.append(letter);
            }
        }
        return out.append('"').toString();
    }
}

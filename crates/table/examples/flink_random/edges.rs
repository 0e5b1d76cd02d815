//! Expressions at the edges of types: each type cast to, compared with and counted together with each other; letters beyond the first plane;
//! times with few and many digits; rows in arrays in maps.

use crate::expressions::part;
use crate::random::Random;

/// What makes an expression of a type: as in [`crate::expressions`].
pub(crate) const FORMS: &[(char, &str)] = &[
    ('j', "INTERVAL '1' YEAR"),
    ('j', "INTERVAL '1-2' YEAR TO MONTH"),
    ('j', "INTERVAL -'7' MONTH"),
    ('j', "{#} * INTERVAL '5' MONTH"),
    ('k', "INTERVAL '1' DAY"),
    ('k', "INTERVAL '-1 02:03:04.5' DAY TO SECOND"),
    ('k', "INTERVAL '90' MINUTE"),
    ('k', "INTERVAL '0.25' SECOND"),
    ('k', "INTERVAL '2' HOUR * {#}"),
    ('i', "CAST({I} % 100 AS TINYINT)"),
    ('s', "CAST({I} % 1000 AS SMALLINT)"),
    ('i', "-{i}"),
    ('i', "ABS({i})"),
    ('s', "{s} / {#}"),
    ('I', "{i} + {s}"),
    ('I', "{s} * {i}"),
    ('I', "{i} - {#}"),
    ('I', "CHAR_LENGTH({E})"),
    ('I', "POSITION({E} IN {E})"),
    ('I', "LOCATE('a', {E}, {#})"),
    ('I', "INSTR({E}, 'b')"),
    ('I', "ASCII({E})"),
    ('I', "CARDINALITY({o})"),
    ('I', "{o}[{#}].x"),
    ('I', "{w}.a.b"),
    ('I', "{w}.d[{#}]"),
    ('I', "{n}['a'][{#}]"),
    ('I', "{a}[1][{#}]"),
    ('I', "CARDINALITY({a}[{#}])"),
    ('I', "CAST({x} AS INT)"),
    ('I', "SIGN({i})"),
    ('I', "OCTET_LENGTH({b})"),
    ('I', "OCTET_LENGTH({E})"),
    ('I', "CARDINALITY({n})"),
    ('I', "TIMESTAMPDIFF(SECOND, {6}, {9})"),
    ('I', "TIMESTAMPDIFF(DAY, {Z}, {z})"),
    ('I', "TIMESTAMPDIFF(MONTH, {0}, {A})"),
    ('L', "EXTRACT(MICROSECOND FROM {6})"),
    ('L', "EXTRACT(NANOSECOND FROM {9})"),
    ('L', "EXTRACT(MILLISECOND FROM {9})"),
    ('L', "EXTRACT(SECOND FROM {9})"),
    ('L', "EXTRACT(DAY FROM {0})"),
    ('L', "EXTRACT(MONTH FROM {j})"),
    ('L', "EXTRACT(HOUR FROM {k})"),
    ('L', "EXTRACT(DAY FROM {k})"),
    ('L', "EXTRACT(YEAR FROM {j})"),
    ('L', "{L} * {L}"),
    ('L', "{L} + {L}"),
    ('L', "ABS({L})"),
    ('L', "-{L}"),
    ('L', "UNIX_TIMESTAMP(CAST({0} AS STRING))"),
    ('D', "ROUND({x}, {#})"),
    ('x', "{x} + {q}"),
    ('x', "{x} * {q}"),
    ('x', "{x} / {F}"),
    ('x', "{y} * {q}"),
    ('x', "{y} + {x}"),
    ('x', "{x} - {D}"),
    ('x', "{q} / {F}"),
    ('x', "{x} % {F}"),
    ('x', "{y} % 7"),
    ('x', "-{x}"),
    ('x', "CAST({D} AS DECIMAL(38, 18))"),
    ('x', "CAST({y} AS DECIMAL(38, 18))"),
    ('x', "ROUND({x}, {#})"),
    ('x', "ROUND({x}, -{#})"),
    ('x', "ROUND({q}, {#})"),
    ('x', "TRUNCATE({x}, {#})"),
    ('x', "FLOOR({x})"),
    ('x', "CEIL({q})"),
    ('x', "SIGN({x})"),
    ('x', "ABS({y})"),
    ('x', "MOD({y}, {F})"),
    ('W', "{f} * {W}"),
    ('W', "{f} + {D}"),
    ('W', "{f} / {#}"),
    ('W', "CAST({x} AS DOUBLE)"),
    ('W', "POWER({D}, {#})"),
    ('W', "EXP({#})"),
    ('W', "LN(ABS({D}) + 1)"),
    ('W', "ATAN2({W}, {W})"),
    ('f', "CAST({D} AS FLOAT)"),
    ('f', "CAST({i} AS FLOAT)"),
    ('f', "-{f}"),
    ('E', "{E} || {E}"),
    ('E', "UPPER({E})"),
    ('E', "REVERSE({E})"),
    ('E', "SUBSTRING({E}, {#})"),
    ('E', "SUBSTRING({E} FROM {#} FOR 1)"),
    ('E', "SUBSTRING({E}, -{#})"),
    ('E', "SUBSTRING({E}, 0, {#})"),
    ('E', "LEFT({E}, {#})"),
    ('E', "RIGHT({E}, {#})"),
    ('E', "LEFT({E}, -1)"),
    ('E', "LPAD({E}, {#}, '\u{1f600}')"),
    ('E', "RPAD({E}, {#}, {E})"),
    ('E', "LPAD({S}, -1, 'x')"),
    ('E', "RPAD({S}, 3, '')"),
    ('E', "REPEAT({E}, {#})"),
    ('E', "REPEAT({S}, -1)"),
    ('E', "REPEAT({S}, 0)"),
    ('E', "OVERLAY({E} PLACING 'z' FROM {#})"),
    ('E', "OVERLAY({S} PLACING 'z' FROM -1)"),
    ('E', "OVERLAY({S} PLACING 'zzz' FROM 2 FOR 0)"),
    ('E', "REPLACE({E}, 'a', {E})"),
    ('E', "REPLACE({S}, '', 'x')"),
    ('E', "TRANSLATE({E}, 'ab', {E})"),
    ('E', "TRIM(BOTH 'a' FROM {E})"),
    ('E', "SPLIT_INDEX({E}, 'a', {#})"),
    ('E', "SPLIT_INDEX({S}, 97, 0)"),
    ('E', "CONCAT_WS('-', {S}, CAST(NULL AS STRING), {E})"),
    ('E', "CONCAT({S}, CAST(NULL AS STRING))"),
    ('E', "REGEXP_REPLACE({E}, '.', 'x')"),
    ('E', "REGEXP_REPLACE({S}, '([a-b])', '$1$1')"),
    ('E', "REGEXP_EXTRACT({E}, '(.)(.*)', 2)"),
    ('E', "CAST({E} AS CHAR(2))"),
    ('E', "CAST({E} AS VARCHAR(1))"),
    ('E', "INITCAP({E})"),
    ('E', "CHR({#} * 60)"),
    ('E', "JSON_OBJECT(KEY 'k' VALUE {E})"),
    ('E', "JSON_STRING({E})"),
    ('E', "URL_ENCODE({E})"),
    ('E', "TO_BASE64({E})"),
    ('E', "HEX({E})"),
    ('S', "JSON_VALUE({J}, '$.a' RETURNING STRING)"),
    ('S', "CAST(JSON_VALUE({J}, '$.a' RETURNING INTEGER NULL ON ERROR) AS STRING)"),
    ('S', "JSON_QUERY({J}, '$.b' RETURNING ARRAY<STRING>)[1]"),
    ('S', "JSON_OBJECT('r' VALUE {w}, 'o' VALUE {o})"),
    ('S', "JSON_OBJECT('z' VALUE {x}, 'f' VALUE {f}, 'b' VALUE {b})"),
    ('S', "JSON_ARRAY({9}, {i}, {0} ABSENT ON NULL)"),
    ('S', "JSON_STRING({n})"),
    ('S', "JSON_STRING({w})"),
    ('S', "JSON_STRING({x})"),
    ('S', "JSON_STRING({6})"),
    ('S', "CAST({j} AS STRING)"),
    ('S', "CAST({k} AS STRING)"),
    ('S', "CAST({w} AS STRING)"),
    ('S', "CAST({o} AS STRING)"),
    ('S', "CAST({n} AS STRING)"),
    ('S', "CAST({a} AS STRING)"),
    ('S', "CAST({m} AS STRING)"),
    ('S', "CAST({b} AS STRING)"),
    ('S', "DECODE({b}, 'UTF-8')"),
    ('S', "HEX({b})"),
    ('S', "TO_BASE64({b})"),
    ('S', "MD5({b})"),
    ('S', "{m}[{#}]"),
    ('S', "{o}[{#}].y"),
    ('S', "{w}.a.c"),
    ('S', "DATE_FORMAT({Z}, 'yyyy-MM-dd HH:mm:ss')"),
    ('S', "DATE_FORMAT({9}, 'HH:mm:ss.SSSSSS')"),
    ('S', "DATE_FORMAT({0}, '{G}')"),
    ('S', "DATE_FORMAT(CAST({0} AS STRING), 'yyyy/MM/dd')"),
    ('S', "FROM_UNIXTIME({I}, 'yyyy-MM-dd HH')"),
    ('S', "CONVERT_TZ(CAST({0} AS STRING), 'UTC', 'America/New_York')"),
    ('S', "CAST({h} AS STRING) || '|'"),
    ('S', "{h} || {e}"),
    ('S', "TRIM({h})"),
    ('S', "UPPER({e})"),
    ('S', "BIN({L})"),
    ('S', "HEX({L})"),
    ('S', "CONV({L}, 10, 2)"),
    ('B', "{h} = {e}"),
    ('B', "{h} = {S}"),
    ('B', "{h} LIKE 'ab%'"),
    ('B', "{E} LIKE '_'"),
    ('B', "{E} LIKE '%_a'"),
    ('B', "{E} SIMILAR TO '_+'"),
    ('B', "{S} LIKE 'a\\%' ESCAPE '\\'"),
    ('B', "{S} LIKE '%!_%' ESCAPE '!'"),
    ('B', "{S} NOT LIKE ''"),
    ('B', "{S} LIKE '%%'"),
    ('B', "{S} SIMILAR TO 'x!%y%' ESCAPE '!'"),
    ('B', "{S} SIMILAR TO '(a|A)?b{1,2}c*'"),
    ('B', "{S} SIMILAR TO '[[:ALPHA:]]+'"),
    ('B', "{S} SIMILAR TO 'a{2,}'"),
    ('B', "{E} < {S}"),
    ('B', "{b} = {b}"),
    ('B', "{b} < {b}"),
    ('B', "{R} = {R}"),
    ('B', "{M} = {M}"),
    ('B', "{o} = {o}"),
    ('B', "{w}.a = {w}.a"),
    ('B', "{j} > {j}"),
    ('B', "{k} <= {k}"),
    ('B', "{B} = {B}"),
    ('B', "{B} < {B}"),
    ('B', "{x} IS DISTINCT FROM {D}"),
    ('B', "{Z} IS NOT DISTINCT FROM {z}"),
    ('B', "({T}, {k}) OVERLAPS ({T}, {T})"),
    ('B', "{T} BETWEEN {A} AND {9}"),
    ('B', "{I} BETWEEN SYMMETRIC {x} AND {i}"),
    ('B', "ARRAY_CONTAINS({a}[1], {#})"),
    ('B', "ARRAY_CONTAINS({a}, ARRAY[1, 2])"),
    ('B', "IS_ALPHA({E})"),
    ('B', "STARTSWITH({E}, 'a')"),
    ('B', "({I}, {S}) = ({I}, {S})"),
    ('B', "({I}, {I}) IN ((1, 2), ({I}, 0))"),
    ('A', "CAST({0} AS DATE)"),
    ('A', "CAST({Z} AS DATE)"),
    ('A', "{A} + {j}"),
    ('A', "{A} - {j}"),
    ('A', "CEIL({A} TO QUARTER)"),
    ('A', "FLOOR({A} TO YEAR)"),
    ('C', "CAST({9} AS TIME)"),
    ('C', "CAST({Z} AS TIME)"),
    ('C', "{C} + {k}"),
    ('T', "{T} + {j}"),
    ('T', "{T} - {k}"),
    ('T', "CAST({9} AS TIMESTAMP(3))"),
    ('T', "CAST({z} AS TIMESTAMP(3))"),
    ('T', "TIMESTAMPADD(MINUTE, -{#}, {T})"),
    ('T', "TIMESTAMPADD(YEAR, {#}, {T})"),
    ('T', "TIMESTAMPADD(QUARTER, {#}, {T})"),
    ('0', "CAST({T} AS TIMESTAMP(0))"),
    ('0', "{0} + {k}"),
    ('6', "CAST({9} AS TIMESTAMP(6))"),
    ('6', "{6} - {k}"),
    ('6', "FLOOR({6} TO SECOND)"),
    ('9', "{9} + {j}"),
    ('9', "CAST({S} || '.123456789' AS TIMESTAMP(9))"),
    ('9', "CEIL({9} TO DAY)"),
    ('Z', "{Z} + {k}"),
    ('Z', "{Z} - {j}"),
    ('Z', "FLOOR({Z} TO DAY)"),
    ('Z', "CEIL({Z} TO HOUR)"),
    ('Z', "TIMESTAMPADD(DAY, {#}, {Z})"),
    ('Z', "TIMESTAMPADD(HOUR, {#}, {Z})"),
    ('Z', "CAST({A} AS TIMESTAMP_LTZ(3))"),
    ('Z', "TO_TIMESTAMP_LTZ({I}, 3)"),
    ('z', "CAST({6} AS TIMESTAMP_LTZ(6))"),
    ('z', "CAST({Z} AS TIMESTAMP_LTZ(6))"),
    ('L', "EXTRACT(MINUTE FROM {Z})"),
    ('L', "UNIX_TIMESTAMP(DATE_FORMAT({Z}, 'yyyy-MM-dd HH:mm:ss'))"),
    ('R', "{a}[{#}]"),
    ('R', "{n}['a']"),
    ('R', "{w}.d"),
    ('a', "ARRAY[{R}, {R}]"),
    ('a', "ARRAY_APPEND({a}, {R})"),
    ('a', "ARRAY_DISTINCT({a})"),
    ('n', "MAP['a', {R}]"),
    ('o', "ARRAY[r, r]"),
    ('o', "ARRAY_REVERSE({o})"),
    ('m', "MAP[1, {S}, {#}, {S}]"),
    ('m', "MAP_UNION({m}, {m})"),
];

/// More columns: as in [`crate::expressions`].
pub(crate) const COLUMNS: &[(char, &str, &str, &[&str])] = &[
    ('i', "ti", "TINYINT", &["0", "1", "-1", "127", "-128", "12"]),
    ('s', "sm", "SMALLINT", &["0", "5", "-7", "32767", "-32768", "128"]),
    ('f', "fl", "FLOAT", &["0", "0.5", "-2.25", "1024", "3"]),
    (
        'x',
        "x1",
        "DECIMAL(38, 18)",
        &[
            "'0'",
            "'1.000000000000000001'",
            "'-99999999999999999999.5'",
            "'0.5'",
            "'-2.5'",
            "'12345678901234567890.123456789'",
        ],
    ),
    (
        'y',
        "y1",
        "DECIMAL(20, 0)",
        &["'0'", "'12345678901234567890'", "'-99999999999999999999'", "'7'", "'-1'"],
    ),
    ('q', "q1", "DECIMAL(5, 5)", &["0.12345", "-0.99999", "0.5", "0.00001"]),
    ('h', "h1", "CHAR(5)", &["'ab'", "'  x'", "'abcde'", "''", "'ab   '"]),
    ('e', "e1", "VARCHAR(3)", &["'ab'", "'ab '", "''", "'abc'", "' b'"]),
    ('b', "bb", "BYTES", &["X'00ff'", "X'6162'", "X''", "X'c3a4'"]),
    (
        'E',
        "em",
        "STRING",
        &[
            "'\u{1f600}a'",
            "'a\u{1f600}b'",
            "'\u{1f600}'",
            "'x\u{301}a'",
            "'ab'",
            "'\u{df}'",
            "'\u{10400}b\u{10428}'",
            "'\u{130}'",
        ],
    ),
    ('0', "t0", "TIMESTAMP(0)", &["'2020-02-29 23:59:59'", "'2021-03-28 02:30:00'", "'1999-12-31 00:00:00'"]),
    (
        '6',
        "t6",
        "TIMESTAMP(6)",
        &["'2020-02-29 23:59:59.999999'", "'2021-03-28 02:30:00.000001'", "'2000-01-01 00:00:00'"],
    ),
    (
        '9',
        "t9",
        "TIMESTAMP(9)",
        &["'2020-02-29 23:59:59.999999999'", "'2021-03-28 02:30:00.1'", "'2000-01-01 00:00:00.000000001'"],
    ),
    (
        'Z',
        "z3",
        "TIMESTAMP_LTZ(3)",
        &[
            "'2024-03-10 02:30:00'",
            "'2024-11-03 01:30:00'",
            "'2024-03-31 01:59:59.999'",
            "'2024-10-27 02:30:00'",
            "'2021-01-01 00:00:00.5'",
        ],
    ),
    (
        'z',
        "z6",
        "TIMESTAMP_LTZ(6)",
        &["'2024-03-10 01:59:59.999999'", "'2024-11-03 02:00:00.000001'", "'2021-06-30 12:00:00'"],
    ),
    (
        'a',
        "aa",
        "ARRAY<ARRAY<INT>>",
        &["ARRAY[ARRAY[1, 2], ARRAY[3]]", "ARRAY[ARRAY[4, 5, 6]]", "ARRAY[ARRAY[1, 2], ARRAY[1, 2]]"],
    ),
    (
        'o',
        "ao",
        "ARRAY<ROW<x INT, y STRING>>",
        &["ARRAY[ROW(1, 'a'), ROW(2, 'b')]", "ARRAY[ROW(CAST(NULL AS INT), 'c')]"],
    ),
    ('m', "ma", "MAP<INT, STRING>", &["MAP[1, 'a', 2, 'b']", "MAP[3, CAST(NULL AS STRING)]"]),
    (
        'n',
        "mm",
        "MAP<STRING, ARRAY<INT>>",
        &["MAP['a', ARRAY[1, 2]]", "MAP['b', ARRAY[3], 'a', ARRAY[4, 5]]"],
    ),
    (
        'w',
        "ro",
        "ROW<a ROW<b INT, c STRING>, d ARRAY<INT>>",
        &["ROW(ROW(1, 'x'), ARRAY[1, 2])", "ROW(ROW(CAST(NULL AS INT), 'y'), ARRAY[7])"],
    ),
];

/// The zones that the session may be in.
pub(crate) const ZONES: &[&str] =
    &["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "UTC"];

const NUMBERS: &[char] = &['i', 's', 'I', 'L', 'f', 'W', 'D', 'x', 'y', 'q', 'F'];
const TEXTS: &[char] = &['h', 'e', 'S', 'E', 'h', 'e'];
const TIMES: &[char] = &['0', '6', '9', 'T', 'Z', 'z', 'A', 'T'];
const NUMBER_TYPES: &[&str] = &[
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(10, 2)",
    "DECIMAL(38, 18)",
    "DECIMAL(5, 0)",
    "DECIMAL(38, 0)",
    "DECIMAL(20, 10)",
];
const TEXT_TYPES: &[&str] = &["STRING", "CHAR(3)", "VARCHAR(4)", "CHAR(30)"];
const TIME_TYPES: &[&str] = &[
    "DATE",
    "TIME",
    "TIMESTAMP(0)",
    "TIMESTAMP(3)",
    "TIMESTAMP(6)",
    "TIMESTAMP(9)",
    "TIMESTAMP_LTZ(0)",
    "TIMESTAMP_LTZ(3)",
    "TIMESTAMP_LTZ(6)",
];
const BYTE_TYPES: &[&str] = &["BYTES", "BINARY(2)", "VARBINARY(3)", "BINARY(6)"];
const NESTED: &[(char, &[&str])] = &[
    ('R', &["ARRAY<STRING>", "ARRAY<BIGINT>", "ARRAY<DOUBLE>", "STRING"]),
    ('Y', &["ARRAY<VARCHAR(1)>", "STRING"]),
    ('M', &["MAP<STRING, STRING>", "MAP<STRING, BIGINT>", "MAP<VARCHAR(1), INT>"]),
    ('a', &["ARRAY<ARRAY<STRING>>", "STRING"]),
    ('o', &["ARRAY<ROW<u BIGINT, v STRING>>", "STRING"]),
    ('n', &["MAP<STRING, ARRAY<STRING>>"]),
    ('w', &["ROW<p ROW<q STRING, r STRING>, s ARRAY<BIGINT>>"]),
];

fn one(random: &mut Random, of: &[char]) -> String {
    let letter = of[random.below(of.len())];
    let depth = usize::from(random.below(3) == 0);
    part(random, letter, depth)
}

/// A cast to a type that Flink lets it be cast to.
fn cast(random: &mut Random) -> String {
    let (from, into): (String, &[&str]) = match random.below(11) {
        0 => {
            let (letter, types) = NESTED[random.below(NESTED.len())];
            (part(random, letter, 0), types)
        }
        1 | 2 => (one(random, NUMBERS), NUMBER_TYPES),
        3 => (one(random, NUMBERS), TEXT_TYPES),
        4 | 5 => (one(random, TIMES), TIME_TYPES),
        6 => (one(random, TIMES), TEXT_TYPES),
        7 => (one(random, TEXTS), [TEXT_TYPES, BYTE_TYPES][random.below(2)]),
        8 => (one(random, &['b']), [TEXT_TYPES, BYTE_TYPES][random.below(2)]),
        9 => (one(random, &['B']), [NUMBER_TYPES, TEXT_TYPES][random.below(2)]),
        _ => {
            // Of a text something may be none.
            let of = one(random, TEXTS);
            let into = [NUMBER_TYPES, TIME_TYPES, &["BOOLEAN"]][random.below(3)];
            return format!("TRY_CAST({of} AS {})", random.one_of(into));
        }
    };
    format!("{}({from} AS {})", random.one_of(&["CAST", "TRY_CAST"]), random.one_of(into))
}

/// An expression that a pair of types makes.
pub(crate) fn pair(random: &mut Random) -> String {
    let class = [NUMBERS, NUMBERS, TEXTS, TIMES][random.below(4)];
    match random.below(10) {
        0..=3 => cast(random),
        4 => {
            let operator = random.one_of(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]);
            format!("{} {operator} {}", one(random, class), one(random, class))
        }
        5 => {
            let (first, second) = (one(random, class), one(random, class));
            match random.below(6) {
                0 => format!("CASE WHEN o THEN {first} ELSE {second} END"),
                1 => format!("IF(o, {first}, {second})"),
                2 => format!("NULLIF({first}, {second})"),
                3 => format!("IFNULL({first}, {second})"),
                4 => format!("GREATEST({first}, {second})"),
                _ => format!("COALESCE({first}, {second})"),
            }
        }
        // Flink casts what is in the list to the type of what is looked for, even if it is less.
        6 => format!("{} IN ({}, {})", one(random, &['I']), one(random, &['i', 's', 'I']), random.below(5)),
        7 => {
            let of = class;
            format!(
                "{} {}BETWEEN {} AND {}",
                one(random, of),
                random.one_of(&["", "NOT "]),
                one(random, of),
                one(random, of)
            )
        }
        _ => {
            let operator = |random: &mut Random| random.one_of(&["+", "-", "*", "/", "%"]);
            let (first, second) = (operator(random), operator(random));
            let divisor = |operator: &str, random: &mut Random| match operator {
                "/" | "%" => format!("CAST({}.5 AS DECIMAL(3, 1))", 1 + random.below(8)),
                _ => one(random, NUMBERS),
            };
            let (left, right) = (one(random, NUMBERS), divisor(first, random));
            match random.below(2) {
                0 => format!("{left} {first} {right}"),
                _ => format!("({left} {first} {right}) {second} {}", divisor(second, random)),
            }
        }
    }
}

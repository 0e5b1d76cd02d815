//! The queries of Nexmark, for the tests and the benchmark.

/// Queries are numbered as they are in the benchmark. What they compute is its; the words are ours.
pub(crate) const QUERIES: [(&str, &str); 20] = [
    ("q0", "SELECT auction, bidder, price, dateTime, extra FROM bid"),
    ("q1", "SELECT auction, bidder, 0.908 * price AS euro, dateTime, extra FROM bid"),
    ("q2", "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0"),
    (
        "q3",
        "SELECT p.name, p.city, p.state, a.id FROM auction AS a JOIN person AS p ON a.seller = p.id
         WHERE a.category = 10 AND (p.state = 'OR' OR p.state = 'ID' OR p.state = 'CA')",
    ),
    (
        "q4",
        "SELECT category, AVG(final) FROM (
           SELECT a.id, a.category, MAX(b.price) AS final FROM auction a, bid b
           WHERE a.id = b.auction AND b.dateTime BETWEEN a.dateTime AND a.expires GROUP BY a.id, a.category)
         GROUP BY category",
    ),
    (
        "q5",
        "WITH counts AS (
           SELECT auction, COUNT(*) AS num, window_start AS s, window_end AS e
           FROM TABLE(HOP(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
           GROUP BY auction, window_start, window_end)
         SELECT one.auction, one.num FROM counts AS one
         JOIN (SELECT MAX(num) AS most, s, e FROM counts GROUP BY s, e) AS best
         ON one.s = best.s AND one.e = best.e AND one.num >= best.most",
    ),
    (
        "q7",
        "SELECT b.auction, b.price, b.bidder, b.dateTime FROM bid b JOIN (
           SELECT MAX(price) AS most, window_end AS until
           FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(dateTime), INTERVAL '10' SECOND)) GROUP BY window_start, window_end
         ) w ON b.price = w.most WHERE b.dateTime BETWEEN w.until - INTERVAL '10' SECOND AND w.until",
    ),
    (
        "q8",
        "SELECT p.id, p.name, p.s FROM (
           SELECT id, name, window_start AS s, window_end AS e
           FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(dateTime), INTERVAL '10' SECOND)) GROUP BY id, name, window_start, window_end
         ) p JOIN (
           SELECT seller, window_start AS s, window_end AS e
           FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(dateTime), INTERVAL '10' SECOND)) GROUP BY seller, window_start, window_end
         ) a ON p.id = a.seller AND p.s = a.s AND p.e = a.e",
    ),
    (
        "q9",
        "SELECT id, itemName, seller, bidder, price, bid_time FROM (
           SELECT a.*, b.bidder, b.price, b.dateTime AS bid_time,
             ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.dateTime ASC) AS n
           FROM auction a, bid b WHERE a.id = b.auction AND b.dateTime BETWEEN a.dateTime AND a.expires) WHERE n <= 1",
    ),
    (
        "q11",
        "SELECT bidder, COUNT(*), SESSION_START(dateTime, INTERVAL '10' SECOND), SESSION_END(dateTime, INTERVAL '10' SECOND)
         FROM bid GROUP BY bidder, SESSION(dateTime, INTERVAL '10' SECOND)",
    ),
    (
        "q13",
        "SELECT b.auction, b.bidder, b.price, s.name FROM (SELECT *, PROCTIME() AS now FROM bid) b
         JOIN side FOR SYSTEM_TIME AS OF b.now AS s ON MOD(b.auction, 10000) = s.id",
    ),
    (
        "q14",
        "SELECT auction, bidder, 0.908 * price, CASE WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'day'
           WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'night' ELSE 'other' END, count_char(extra, 'c')
         FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
    ),
    (
        "q15",
        "SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd'), COUNT(*), COUNT(*) FILTER (WHERE price < 10000),
           COUNT(DISTINCT bidder), COUNT(DISTINCT auction) FILTER (WHERE price >= 1000000)
         FROM bid GROUP BY DATE_FORMAT(dateTime, 'yyyy-MM-dd')",
    ),
    (
        "q16",
        "SELECT channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), MAX(DATE_FORMAT(dateTime, 'HH:mm')), COUNT(*),
           COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000), COUNT(DISTINCT bidder)
         FROM bid GROUP BY channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd')",
    ),
    (
        "q17",
        "SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), COUNT(*), MIN(price), MAX(price), AVG(price), SUM(price)
         FROM bid GROUP BY auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd')",
    ),
    (
        "q18",
        "SELECT auction, bidder, price, dateTime FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC) AS n FROM bid) WHERE n <= 1",
    ),
    (
        "q19",
        "SELECT auction, bidder, price, n FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS n FROM bid) WHERE n <= 10",
    ),
    (
        "q20",
        "SELECT b.auction, b.bidder, b.price, a.itemName, a.seller FROM bid b JOIN auction a ON b.auction = a.id
         WHERE a.category = 10",
    ),
    (
        "q21",
        "SELECT auction, channel, CASE WHEN LOWER(channel) = 'apple' THEN '0' WHEN LOWER(channel) = 'google' THEN '1'
           WHEN LOWER(channel) = 'facebook' THEN '2' WHEN LOWER(channel) = 'baidu' THEN '3'
           ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END
         FROM bid WHERE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL
           OR LOWER(channel) IN ('apple', 'google', 'facebook', 'baidu')",
    ),
    (
        "q22",
        "SELECT auction, SPLIT_INDEX(url, '/', 3), SPLIT_INDEX(url, '/', 4), SPLIT_INDEX(url, '/', 5) FROM bid",
    ),
];

/// Those whose rows depend on when, or where, they are written: bids by the minute for a sink with partitions, bids by the clock.
#[allow(dead_code, reason = "what includes this page need not run them")]
pub(crate) const MORE: [(&str, &str); 2] = [
    (
        "q10",
        "SELECT auction, bidder, price, dateTime, extra, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), DATE_FORMAT(dateTime, 'HH:mm') FROM bid",
    ),
    (
        "q12",
        "SELECT bidder, COUNT(*), window_start, window_end
         FROM TABLE(TUMBLE(TABLE clocked, DESCRIPTOR(at), INTERVAL '10' SECOND)) GROUP BY bidder, window_start, window_end",
    ),
];

/// The tables of the benchmark, over the generator with these options.
pub(crate) fn tables(options: &str) -> String {
    format!(
        "CREATE TABLE events (
          event_type INT,
          person ROW<id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR,
            dateTime TIMESTAMP(3), extra VARCHAR>,
          auction ROW<id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT,
            dateTime TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra VARCHAR>,
          bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
            dateTime TIMESTAMP(3), extra VARCHAR>,
          dateTime AS CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END,
          WATERMARK FOR dateTime AS dateTime - INTERVAL '4' SECOND
        ) WITH ('connector' = 'nexmark', {options});
        CREATE VIEW person AS SELECT person.id, person.name, person.city, person.state, dateTime FROM events WHERE event_type = 0;
        CREATE VIEW auction AS SELECT auction.id, auction.itemName, auction.expires, auction.seller, auction.category, dateTime
          FROM events WHERE event_type = 1;
        CREATE VIEW bid AS SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, dateTime, bid.extra
          FROM events WHERE event_type = 2;
        CREATE VIEW clocked AS SELECT *, PROCTIME() AS at FROM bid;"
    )
}

/// The table that q13 looks bids up in: `side.csv` in this folder.
#[allow(dead_code, reason = "not all that run queries run that one")]
pub(crate) fn side(folder: &std::path::Path) -> String {
    format!(
        "CREATE TABLE side (id BIGINT, name STRING) WITH ('connector' = 'filesystem', 'path' = '{}/side.csv', 'format' = 'csv');",
        folder.display()
    )
}

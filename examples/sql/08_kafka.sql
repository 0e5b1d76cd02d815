-- Through a topic and back. A table of Kafka that names no cluster is in the broker inside of the binary; with
-- 'properties.bootstrap.servers' = 'host:port' it is in yours.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');
CREATE TABLE sold (
  id INT, item STRING, price DECIMAL(10, 2), stored BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
  'connector' = 'kafka', 'topic' = 'sold', 'format' = 'json',
  'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset'
);

-- One statement is at its end before the next one begins.
SET 'table.dml-sync' = 'true';
INSERT INTO sold SELECT id, item, price FROM orders WHERE item <> 'ink';

SELECT item, COUNT(*) AS n, SUM(price) AS turnover FROM sold GROUP BY item;

-- A result that changes, kept in a topic by key: whoever reads it later sees how it is, not how it came about.
CREATE TABLE orders (
  id INT,
  customer STRING,
  item STRING,
  price DECIMAL(10, 2),
  ordered TIMESTAMP(3),
  -- Orders come in the order of their time, but for five seconds.
  WATERMARK FOR ordered AS ordered - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = 'data/orders.csv', 'format' = 'csv');
CREATE TABLE spent (customer STRING, total DECIMAL(10, 2), PRIMARY KEY (customer) NOT ENFORCED) WITH (
  'connector' = 'upsert-kafka', 'topic' = 'spent', 'key.format' = 'raw', 'value.format' = 'json', 'value.fields-include' = 'EXCEPT_KEY',
  'scan.bounded.mode' = 'latest-offset'
);

SET 'table.dml-sync' = 'true';
INSERT INTO spent SELECT customer, SUM(price) FROM orders GROUP BY customer;

SELECT customer, total FROM spent;

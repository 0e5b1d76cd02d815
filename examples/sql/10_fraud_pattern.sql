-- A card that is tried with small payments, and then charged with a large one within five minutes.
CREATE TABLE charges (card STRING, amount DECIMAL(10, 2), charged TIMESTAMP(3), WATERMARK FOR charged AS charged - INTERVAL '1' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'data/cards.csv', 'format' = 'csv');

SELECT card, tries, amount, charged FROM charges MATCH_RECOGNIZE (
  PARTITION BY card
  ORDER BY charged
  MEASURES COUNT(SMALL.amount) AS tries, LARGE.amount AS amount, LARGE.charged AS charged
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (SMALL+ LARGE)
  DEFINE
    SMALL AS SMALL.amount < 1,
    LARGE AS LARGE.amount > 500 AND LARGE.charged < FIRST(SMALL.charged) + INTERVAL '5' MINUTE
);

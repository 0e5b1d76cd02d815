-- How often each word comes. The result changes as words come: +I is a first count, -U and +U are how it was and how it is. Of words
-- that are read at once only the last count is told.
CREATE TABLE words (word STRING) WITH ('connector' = 'filesystem', 'path' = 'data/words.txt', 'format' = 'raw');

SELECT word, COUNT(*) AS n FROM words GROUP BY word;

-- Unproven minutes by day: those whose bar is not proven complete, and those without a bar, of all that have passed.
WITH recent AS (
  SELECT * FROM bars WHERE date >= date_format(current_date - interval '30' day, '%Y-%m-%d')
),
-- Days without any object have no rows: each market's days are counted out from its first.
days AS (
  SELECT venue, symbol, date_format(day, '%Y-%m-%d') AS date,
         CASE WHEN day < current_date THEN 1440
              ELSE date_diff('minute', CAST(current_date AS timestamp), CAST(current_timestamp AS timestamp))
         END AS minutes
  FROM (SELECT venue, symbol, min(date) AS first_date FROM recent GROUP BY venue, symbol)
  CROSS JOIN UNNEST(sequence(CAST(first_date AS date), current_date, interval '1' day)) AS calendar (day)
)
SELECT days.venue, days.symbol, days.date, days.minutes,
       days.minutes - count(*) FILTER (WHERE complete) AS unproven,
       days.minutes - count(start) AS absent,
       count(*) FILTER (WHERE source = 'klines') AS klines,
       count(*) FILTER (WHERE NOT complete AND source = 'trades') AS incomplete
FROM days
LEFT JOIN recent ON recent.venue = days.venue AND recent.symbol = days.symbol AND recent.date = days.date
GROUP BY days.venue, days.symbol, days.date, days.minutes
ORDER BY days.date DESC, days.venue, days.symbol

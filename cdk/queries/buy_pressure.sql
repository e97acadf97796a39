-- Buy pressure by hour of the last 7 days: the part of the volume in which the taker bought, 0.5 where both are even.
SELECT venue, symbol, date_trunc('hour', start) AS hour,
       sum(buy_volume) AS bought,
       sum(volume) - sum(buy_volume) AS sold,
       CAST(sum(buy_volume) AS double) / nullif(CAST(sum(volume) AS double), 0) AS buy_pressure
FROM bars
WHERE date >= date_format(current_date - interval '7' day, '%Y-%m-%d')
  -- A kline may not tell who bought.
  AND buy_volume IS NOT NULL
GROUP BY venue, symbol, date_trunc('hour', start)
ORDER BY hour DESC, venue, symbol

-- Volume by venue and day: coins, trades, and the venue's share of that coin's volume on all venues.
SELECT date, split_part(symbol, '-', 1) AS coin, venue,
       sum(volume) AS volume,
       sum(trade_count) AS trades,
       CAST(sum(volume) AS double)
         / nullif(CAST(sum(sum(volume)) OVER (PARTITION BY date, split_part(symbol, '-', 1)) AS double), 0) AS share
FROM bars
WHERE date >= date_format(current_date - interval '30' day, '%Y-%m-%d')
GROUP BY date, split_part(symbol, '-', 1), venue
ORDER BY date DESC, coin, volume DESC

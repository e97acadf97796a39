-- Daily OHLC of the last 30 days, from minutes with trades; proven where all 1,440 minutes are.
SELECT venue, symbol, date,
       min_by(open, start) FILTER (WHERE volume > 0) AS open,
       max(high) FILTER (WHERE volume > 0) AS high,
       min(low) FILTER (WHERE volume > 0) AS low,
       max_by(close, start) FILTER (WHERE volume > 0) AS close,
       sum(volume) AS volume,
       CAST(sum(turnover) AS double)
         / nullif(CAST(sum(volume) FILTER (WHERE turnover IS NOT NULL) AS double), 0) AS vwap,
       sum(trade_count) AS trades,
       count(*) FILTER (WHERE complete) = 1440 AS proven
FROM bars
WHERE date >= date_format(current_date - interval '30' day, '%Y-%m-%d')
GROUP BY venue, symbol, date
ORDER BY date DESC, venue, symbol

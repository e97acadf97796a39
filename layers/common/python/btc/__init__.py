"""Exact bars, features and forecasts of the Bitcoin price; effects live in `btc.aws` and `btc.feeds`."""

"""A simulated exchange: a seeded market behind a WebSocket and REST server that speaks Kraken's protocol."""

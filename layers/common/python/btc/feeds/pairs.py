"""A pair's one canonical spelling, `BTC-USD`, out of the many that venues and people use."""

from collections.abc import Sequence


def symbol_of(text: str, quotes: Sequence[str]) -> str:
    """`BTC-USDT` from `BTC-USDT`, `BTC/USDT`, `btcusdt`; raises ValueError on what names no pair.

    Where nothing divides the two, the first of `quotes` that ends the text is what the price is told in.
    """
    base, dash, quote = text.upper().replace("/", "-").partition("-")
    if not dash:
        quote = next((end for end in quotes if base.endswith(end) and base != end), "")
        base = base.removesuffix(quote)
    if not (base.isascii() and base.isalnum() and quote.isascii() and quote.isalnum()):
        raise ValueError(f"{text!r} names no pair: write it as BTC-USD")
    return f"{base}-{quote}"

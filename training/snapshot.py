"""The lake's bars of one market, as one file that never changes: what a training run learns from and is judged on.

    python -m training.snapshot --bars s3://LAKE/bars/venue=VENUE/symbol=SYMBOL/ --output DIR

writes bars.parquet and manifest.json, which names the data by their digest. Days are rewritten in the lake as late bars
come; the run, its gate and whoever asks later read the same minutes.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import awswrangler as wr
import pyarrow as pa
import pyarrow.parquet as pq
from awswrangler.exceptions import NoFilesFound

from btc.times import MINUTE, iso
from training import dataset
from training.dataset import MANIFEST, OPTIONAL, PRICES, UnreadableBarsError

BARS: Final = "bars.parquet"


def snapshot(lake: str, folder: Path) -> dict[str, Any]:
    """The manifest of what is written; raises UnreadableBarsError where the bars cannot be trained on."""
    try:
        frame = wr.s3.read_parquet(path=lake, path_suffix=".parquet", dtype_backend="pyarrow", use_threads=False)
    except NoFilesFound as error:
        raise UnreadableBarsError(f"no bars at {lake}: has archive_bars written there yet?") from error
    table = pa.Table.from_pandas(frame, preserve_index=False)
    names = [name for name in ("start", *PRICES, "volume", *OPTIONAL) if name in table.column_names]
    table = table.select(names).replace_schema_metadata().sort_by("start")
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / BARS, compression="zstd")
    # Read back as a training reads it: what it could not read ends here.
    minutes, repairs = dataset.read(folder / BARS)
    manifest = {
        "digest": dataset.digest(minutes),
        "source": lake,
        "rows": len(table),
        "minutes": len(minutes),
        "unknown": int((~minutes.known).sum()),
        "from": iso(int(minutes.start[0])),
        "until": iso(int(minutes.start[-1]) + MINUTE),
        "repairs": list(repairs),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Writes the snapshot and tells of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", required=True, help="s3:// prefix of one market's bars")
    parser.add_argument("--output", type=Path, required=True)
    told = parser.parse_args(arguments)
    manifest = snapshot(told.bars, told.output)
    print(json.dumps(manifest), flush=True)
    return manifest


if __name__ == "__main__":
    main()

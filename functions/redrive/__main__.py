"""Delivers again what AWS gave up on: batches and events in the failures bucket go back to their functions, and what
never got as far as its function comes to it out of the queue behind the rule.

For a person, once the cause is mended. Exits 0 when nothing is left there, 1 where something was refused again.
"""

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from btc.aws import clients
from btc.aws.failures import Failures, UnreadableBatchError
from btc.aws.outputs import NoStackError, output
from btc.aws.undelivered import Undelivered

BUCKET, QUEUE = "FailuresBucket", "UndeliveredQueue"
"""The stack's outputs that name them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        left = _bucket(chosen) + _queue(chosen)
    except (BotoCoreError, ClientError, NoStackError) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    return 1 if left and not chosen.list else 0


def _bucket(chosen: argparse.Namespace) -> int:
    if not (chosen.bucket or chosen.stack):
        return 0
    bucket = chosen.bucket or output(clients.cloudformation(), chosen.stack, BUCKET)
    return redrive(Failures(bucket, clients.s3(), clients.functions()), only_list=chosen.list)


def _queue(chosen: argparse.Namespace) -> int:
    if not (chosen.queue or chosen.stack):
        return 0
    url = chosen.queue or output(clients.cloudformation(), chosen.stack, QUEUE)
    with Undelivered(url, clients.sqs(), clients.functions()) as undelivered:
        return redrive(undelivered, only_list=chosen.list)


def redrive(failures: Failures | Undelivered, *, only_list: bool = False) -> int:
    """Deliver everything once, oldest first, and tell of each; how many stay."""
    keys = failures.keys()
    left = 0
    for place, key in enumerate(keys, 1):
        try:
            kept = failures.read(key)
        except UnreadableBatchError as error:
            left += 1
            print(f"{place}/{len(keys)}  {error}")
            continue
        what = f"{place}/{len(keys)}  {kept.at}  {kept.function.split(':')[6]}  {kept.records} records"
        if only_list:
            print(f"{what}  {kept.condition}  {key}")
            left += 1
            continue
        cause = failures.deliver(kept)
        left += cause is not None
        print(f"{what}  {'delivered' if cause is None else f'refused: {cause}'}")
    print(f"{len(keys) - left} delivered, {left} left in {failures.place}")
    return left


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m functions.redrive", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="the deployed stack whose failures bucket and queue are meant")
    where.add_argument("--bucket", help="a bucket itself")
    where.add_argument("--queue", help="a queue's URL itself")
    parser.add_argument("--list", action="store_true", help="tell what lies there, and deliver nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())

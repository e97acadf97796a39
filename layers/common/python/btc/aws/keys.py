"""API keys: made, told and revoked by one command each.

    python -m btc.aws.keys make NAME      the key's value, once: it is shown nowhere else
    python -m btc.aws.keys list           ids, names and when each was made, never a value
    python -m btc.aws.keys revoke ID      from that moment on it opens nothing

all with --stack NAME for another stack than PredictBitcoin.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from btc.aws import clients
from btc.aws.outputs import NoStackError, output

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

PLAN: Final = "UsagePlanId"
"""The stack's output that names the usage plan."""


class UnknownKeyError(LookupError):
    """No key of this usage plan has that id."""


class Key(NamedTuple):
    """A key as it is told of."""

    id: str
    name: str
    created: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one usage plan, whose rate, burst and quota hold for each of them."""

    client: "APIGatewayClient"
    plan: str

    def make(self, name: str) -> str:
        """A new key's value; nothing but a key in the plan opens a route, and one that cannot join it is not kept."""
        made = self.client.create_api_key(name=name, enabled=True)
        try:
            self.client.create_usage_plan_key(usagePlanId=self.plan, keyId=made["id"], keyType="API_KEY")
        except BaseException:  # an interrupt too: `list` would tell of no such key, nor `revoke` end it
            self.client.delete_api_key(apiKey=made["id"])
            raise
        return made["value"]

    def list(self) -> "Iterator[Key]":
        ids = {
            key["id"]
            for page in self.client.get_paginator("get_usage_plan_keys").paginate(usagePlanId=self.plan)
            for key in page["items"]
        }
        for page in self.client.get_paginator("get_api_keys").paginate(includeValues=False):
            for key in page["items"]:
                if key["id"] in ids:
                    yield Key(key["id"], key.get("name", ""), f"{key['createdDate']:%Y-%m-%d}")

    def revoke(self, identity: str) -> None:
        """Delete the key; raises UnknownKeyError where it is none of this plan's."""
        if identity not in {key.id for key in self.list()}:
            raise UnknownKeyError(f"{identity} is no key of this API: `list` tells those there are")
        self.client.delete_api_key(apiKey=identity)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m btc.aws.keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", default="PredictBitcoin")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("name")
    commands.add_parser("list")
    commands.add_parser("revoke").add_argument("id")
    chosen = parser.parse_args(arguments)
    try:
        keys = Keys(clients.apigateway(), output(clients.cloudformation(), chosen.stack, PLAN))
        if chosen.command == "make":
            print(keys.make(chosen.name))
        elif chosen.command == "revoke":
            keys.revoke(chosen.id)
        else:
            for key in keys.list():
                print(*key, sep="\t")
    except (NoStackError, UnknownKeyError, *clients.FAILURES) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

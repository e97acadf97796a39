"""The lake's objects: read by the day, and those that are rewritten, each only over what was read of it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from btc.aws.contention import PATIENCE, ContendedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OUTRUN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
"""What a conditional write is answered when the object is no longer the one that was read."""

_READERS: Final = 8


class _Stored(NamedTuple):
    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Lake:
    """The lake's bucket."""

    bucket: str
    client: "S3Client"

    def objects(self, prefix: str) -> Iterator[bytes]:
        """The contents of all objects below the prefix, in the order of their keys: a day's tape is some 300 small
        ones.
        """
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]

        def content(key: str) -> bytes:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(content, keys)

    def rewrite(self, key: str, remake: Callable[[bytes | None], bytes | None]) -> bool:
        """Put what `remake` makes of the object's content in its place; whether anything had to be written.

        `remake` is given None where there is no object, and gives None where nothing changes. It is called after the
        object was read and again for each later version of it, so whoever writes over an object has read the other
        store later than the one who wrote that. Raises ContendedError where others are always first.
        """
        for _ in range(PATIENCE):
            stored = self._read(key)
            content = remake(stored.content if stored else None)
            if content is None:
                return False
            if self._put_over(key, content, stored):
                return True
        raise ContendedError(f"{key}: other writers rewrote it {PATIENCE} times in a row")

    def _read(self, key: str) -> _Stored | None:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return _Stored(answer["Body"].read(), answer["ETag"])

    def _put_over(self, key: str, content: bytes, stored: _Stored | None) -> bool:
        """Whether the object was still the one that was read; else nothing is written.

        Not by awswrangler: after a refusal it puts the object again when it is collected.
        """
        condition: dict[str, Any] = {"IfMatch": stored.etag} if stored else {"IfNoneMatch": "*"}
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OUTRUN:
                return False
            raise
        return True

"""Asset-level XML of the SEC (form ABS-EE, exhibit 102), streamed to Parquet.

A monthly file has some hundred megabytes, so it is never a tree: its elements pass one by one, and every few thousand
assets are written away. Documents that declare a type are refused, because entities declared there can grow without end.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq

from churnsurv.data.adapters.fields import FILE
from churnsurv.data.adapters.files import open_bytes
from churnsurv.exceptions import DataError

#: what stands between the values of an element that an asset has more than once
SEPARATOR = ";"

_ROOT, _ASSET = "assetData", "assets"
_BATCH = 20_000
_BLOCK = 1 << 20


def assets_as_parquet(file: Path, cache: Path, *, kind: str, elements: Sequence[str]) -> Path:
    """Give the Parquet file of an XML file's assets, made when it is not in the cache.

    Parameters
    ----------
    file : path
        The XML, plain or compressed with gzip.
    cache : path
        Folder of the Parquet files; their names hold a hash of the content, so a changed file is read again.
    kind : str
        Kind of assets, as in the namespace of the document, such as "autoloan".
    elements : sequence of str
        Children of an asset that become columns of text; an element that is there twice has both values.

    Raises
    ------
    DataError
        No XML, assets of another kind, a document type, no asset.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(" ".join([kind, *elements]).encode())
    target = cache / f"{file.name.split('.')[0]}-{digest.hexdigest()[:16]}.parquet"
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        # written under another name first: an interrupted reading must not pass for a whole one
        part = target.with_suffix(".part")
        try:
            with pq.ParquetWriter(part, _schema(elements)) as writer:
                _stream(file, _Assets(file, kind, elements, writer))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return target


def _schema(elements: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in [*elements, FILE]])


def _stream(file: Path, assets: _Assets) -> None:
    parser = ElementTree.XMLParser(target=assets)
    try:
        with open_bytes(file) as stream:
            while block := stream.read(_BLOCK):
                parser.feed(block)
        parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"{str(file)!r} is not well-formed XML: {error}. Is the download whole?") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{str(file)!r} cannot be read: {error}.") from None


class _Assets:
    """Receives the elements of a document and writes the assets among them; the parser calls it."""

    def __init__(self, file: Path, kind: str, elements: Sequence[str], writer: pq.ParquetWriter) -> None:
        self._file, self._kind, self._writer = file, kind, writer
        self._elements = frozenset(elements)
        self._asset: dict[str, str] = {}
        self._text: list[str] | None = None
        self._rows: list[dict[str, str]] = []
        self._depth = 0
        self._written = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError(
            f"{str(self._file)!r} declares a document type ({name}); files of the SEC do not, and entities declared there "
            "can fill the memory. It is not read."
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition("}")
        if self._depth == 0:
            self._refuse_other_documents(space, name)
        self._depth += 1
        if self._depth == 2 and name == _ASSET:
            self._asset = {FILE: self._file.name}
        self._text = [] if self._depth == 3 and name in self._elements else None

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if self._text is not None:
            value = "".join(self._text).strip()
            known = self._asset.get(name)
            self._asset[name] = value if known is None else f"{known}{SEPARATOR}{value}"
            self._text = None
        if self._depth == 2 and name == _ASSET:
            self._rows.append(self._asset)
            if len(self._rows) >= _BATCH:
                self._write()
        self._depth -= 1

    def close(self) -> None:
        self._write()
        if self._written == 0:
            raise DataError(f"{str(self._file)!r} holds no asset (element {_ASSET!r}).")

    def _write(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
            self._written += len(self._rows)
            self._rows = []

    def _refuse_other_documents(self, space: str, name: str) -> None:
        if name != _ROOT:
            raise DataError(
                f"{str(self._file)!r} begins with the element {name!r}, not {_ROOT!r}: it is not the asset data (exhibit 102) "
                "of a form ABS-EE."
            )
        if space and f"/{self._kind}/" not in space:
            raise DataError(
                f"{str(self._file)!r} holds assets of the kind {space.lstrip('{').split('/')[-2]!r}; {self._kind!r} is read."
            )

"""TFRecord framing, the container of event files, without TensorFlow.

A record is: length (uint64, little-endian), masked CRC32C of those 8 bytes (uint32), data, masked CRC32C of the data.
The mask is `((crc >> 15 | crc << 17) + 0xa282ead8) mod 2^32`. Source: TensorFlow, `core/lib/io/record_writer.h` and
`core/lib/hash/crc32c.h`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = _LENGTH.size + _CRC.size


def write(file: BinaryIO, data: bytes) -> None:
    """Append one record."""
    length = _LENGTH.pack(len(data))
    file.write(b"".join((length, _masked(length), data, _masked(data))))


def read(path: Path) -> Iterator[bytes]:
    """The records of a file. It ends quietly at the first one that is cut short or damaged, as TensorBoard does."""
    with path.open("rb") as file:
        while len(header := file.read(_HEADER)) == _HEADER:
            length, crc = header[: _LENGTH.size], header[_LENGTH.size :]
            if _masked(length) != crc:
                return
            size = _LENGTH.unpack(length)[0]
            body = file.read(size + _CRC.size)
            data, crc = body[:size], body[size:]
            if len(body) < size + _CRC.size or _masked(data) != crc:
                return
            yield data


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

"""TFRecord framing: as TensorFlow writes it, and whole records only, wherever a file is cut or damaged."""

import io

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.summary.writer.record_writer import RecordWriter

from sweep import records

CONTENTS = [b"first", b"", b"\x00" * 300]


def framed(contents):
    file = io.BytesIO()
    for content in contents:
        records.write(file, content)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "events"
    path.write_bytes(framed(CONTENTS))
    return path


def test_tensorflow_reads_what_is_written(path):
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(path))] == CONTENTS


def test_what_tensorflow_writes_is_read(tmp_path):
    path = tmp_path / "events"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in CONTENTS:
            writer.write(content)
    assert list(records.read(path)) == CONTENTS


@given(st.binary(max_size=2000))
def test_a_record_is_byte_for_byte_tensorboards(content):
    theirs = io.BytesIO()
    RecordWriter(theirs).write(content)
    assert framed([content]) == theirs.getvalue()


def test_a_file_cut_at_any_byte_has_the_whole_records_before(path):
    data = path.read_bytes()
    ends = [len(framed(CONTENTS[:count])) for count in range(len(CONTENTS) + 1)]
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        assert list(records.read(path)) == CONTENTS[: sum(end <= length for end in ends[1:])], length


@pytest.mark.parametrize("offset", [0, 8, 12, 17])
def test_a_damaged_record_ends_the_file(path, offset):
    data = bytearray(path.read_bytes())
    second = len(framed(CONTENTS[:1]))
    data[second + min(offset, 15)] ^= 0x40
    path.write_bytes(data)
    assert list(records.read(path)) == CONTENTS[:1]


def test_a_damaged_length_reads_no_further_than_its_checksum(path):
    data = bytearray(path.read_bytes())
    data[7] = 0x7F  # a record of 2**62 bytes
    path.write_bytes(data)
    assert list(records.read(path)) == []


def test_a_file_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(records.read(tmp_path / "events"))

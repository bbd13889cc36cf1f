"""Counts the rows of a table's files with pyarrow. Usage: count_pyarrow.py LAKE_TABLE_FOLDER; prints JSON."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

IDENTITY = ["_kafka_topic", "_kafka_partition", "_kafka_offset"]


def read(folder, columns):
    files = sorted(Path(sys.argv[1], folder).rglob("*.parquet"))
    tables = [pq.ParquetFile(file).read(columns=columns) for file in files]
    late = sum(table.num_rows for file, table in zip(files, tables) if "late" in file.parts)
    return pa.concat_tables(tables), late


def distinct(table, columns):
    return table.group_by(columns).aggregate([]).num_rows


def main():
    rows, late = read("data", IDENTITY + ["device_id", "seq", "counter", "temperature"])
    refused, _ = read("quarantine", IDENTITY)
    print(
        json.dumps(
            {
                "rows": rows.num_rows,
                "distinct_records": distinct(rows, IDENTITY),
                "distinct_rows": distinct(rows, ["device_id", "seq"]),
                "seq_sum": pc.sum(rows["seq"]).as_py(),
                "counter_sum": pc.sum(rows["counter"]).as_py(),
                "temperature_rows": pc.count(rows["temperature"]).as_py(),
                "in_late": late,
                "refused": refused.num_rows,
                "distinct_refused": distinct(refused, IDENTITY),
            }
        )
    )


if __name__ == "__main__":
    main()

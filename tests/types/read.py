"""Reads each Parquet file of a folder with pyarrow and with DuckDB. Usage: read.py FOLDER; prints one line of JSON per file."""

import datetime
import decimal
import json
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def render(value, kind):
    """A value as text that shows its type, by its Arrow type: both readers give the same for the same value."""
    if value is None:
        return "null"
    if pa.types.is_map(kind):
        return "{" + ", ".join(f"{render(k, kind.key_type)}: {render(v, kind.item_type)}" for k, v in value) + "}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {render(value[field.name], field.type)}" for field in kind) + "}"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "[" + ", ".join(render(item, kind.value_type) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat().replace("+00:00", "Z")
    return repr(value)


def rows(table):
    columns = [(field.name, [render(v, field.type) for v in table.column(field.name).to_pylist()]) for field in table.schema]
    return ["{" + ", ".join(f"{name}: {values[row]}" for name, values in columns) + "}" for row in range(table.num_rows)]


def leaf(column):
    logical = column.logical_type
    utc = {True: " utc", False: " local"}[json.loads(logical.to_json())["isAdjustedToUTC"]] if logical.type == "TIMESTAMP" else ""
    return f"{column.path} {column.physical_type} {logical.type.lower()}{utc}"


def main():
    connection = duckdb.connect()
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.parquet")):
        file = pq.ParquetFile(path)
        group = file.metadata.row_group(0)
        chunks = [group.column(index) for index in range(group.num_columns)]
        found = connection.sql("SELECT * FROM read_parquet($path)", params={"path": str(path)})
        print(
            json.dumps(
                {
                    "file": path.stem,
                    "pyarrow": rows(file.read()),
                    "duckdb": rows(found.to_arrow_table()),
                    "leaves": [leaf(file.schema.column(index)) for index in range(len(file.schema))],
                    "required": [c.path for c in (file.schema.column(i) for i in range(len(file.schema))) if c.max_definition_level == 0],
                    "codecs": sorted({chunk.compression for chunk in chunks}),
                    "encodings": sorted({encoding for chunk in chunks for encoding in chunk.encodings}),
                }
            )
        )


main()

//! Records of several writer schemas in one table, interleaved as producers are updated one by one.
use crate::{
    Case, Outcome,
    wire::{all, block, branch, double, float, int, text},
};
use event_schema::{Evolution, TableSchema};

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// The schema of a table that took up these schemas in turn.
fn grown(schemas: &[String]) -> String {
    let (first, later) = schemas.split_first().expect("there is a first schema");
    let first = TableSchema::parse(first).expect("the first schema is usable");
    let table = later.iter().fold(first, |table, schema| match table.evolve(schema).expect("the schemas fit each other") {
        Evolution::Covers => table,
        Evolution::Adds { schema, .. } => *schema,
    });
    table.avro_json().to_owned()
}

fn rows(records: &[(u32, Vec<u8>, &str)]) -> Vec<(u32, Vec<u8>, Outcome)> {
    records.iter().map(|(id, datum, row)| (*id, datum.clone(), Outcome::Row((*row).to_owned()))).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub fn cases() -> Vec<Case> {
    vec![added_fields(), interleaved(), promoted(), grown_members(), defaults_of_every_type()]
}

/// A default for rows of older writers, null without one; a removed field stays and is null.
fn added_fields() -> Case {
    let old = record(r#"{"name":"a","type":"int"},{"name":"gone","type":"string"}"#);
    let new = record(
        r#"{"name":"unit","type":"string","default":"°C"},{"name":"b","type":["null","long"],"default":null},{"name":"a","type":"int"}"#,
    );
    Case {
        name: "added and removed fields",
        table: grown(&[old.clone(), new.clone()]),
        writers: vec![old, new],
        glue: owned(&["int", "string", "string", "bigint"]),
        leaves: owned(&["a INT32 none", "gone BYTE_ARRAY string", "unit BYTE_ARRAY string", "b INT64 none"]),
        records: rows(&[
            (0, all(&[int(1), text("x")]), r#"{a: 1, gone: "x", unit: "°C", b: null}"#),
            (1, all(&[text("K"), branch(1, int(5)), int(2)]), r#"{a: 2, gone: null, unit: "K", b: 5}"#),
        ]),
    }
}

fn interleaved() -> Case {
    let a = record(r#"{"name":"x","type":"int"},{"name":"y","type":"string"}"#);
    let b = record(r#"{"name":"y","type":["string","null"]},{"name":"x","type":["null","int"]}"#);
    Case {
        name: "schemas A, B, A, B",
        table: grown(&[a.clone(), b.clone()]),
        writers: vec![a, b],
        glue: owned(&["int", "string"]),
        leaves: owned(&["x INT32 none", "y BYTE_ARRAY string"]),
        records: rows(&[
            (0, all(&[int(1), text("a")]), r#"{x: 1, y: "a"}"#),
            (1, all(&[branch(0, text("b")), branch(1, int(2))]), r#"{x: 2, y: "b"}"#),
            (0, all(&[int(3), text("c")]), r#"{x: 3, y: "c"}"#),
            (1, all(&[int(1), int(0)]), "{x: null, y: null}"),
        ]),
    }
}

/// A table with the wider type takes the narrower one.
fn promoted() -> Case {
    let wide =
        record(r#"{"name":"n","type":"long"},{"name":"d","type":"double"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}"#);
    let narrow = record(
        r#"{"name":"n","type":"int"},{"name":"d","type":"float"},{"name":"e","type":{"type":"enum","name":"E","symbols":["NEW","A"]}}"#,
    );
    Case {
        name: "promoted values and new symbols",
        table: grown(&[wide.clone(), narrow.clone()]),
        writers: vec![wide, narrow],
        glue: owned(&["bigint", "double", "string"]),
        leaves: owned(&["n INT64 none", "d DOUBLE none", "e BYTE_ARRAY string"]),
        records: rows(&[
            (0, all(&[int(1 << 40), double(0.1), int(0)]), r#"{n: 1099511627776, d: 0.1, e: "A"}"#),
            (1, all(&[int(-5), float(1.5), int(0)]), r#"{n: -5, d: 1.5, e: "NEW"}"#),
            (1, all(&[int(-5), float(1.5), int(1)]), r#"{n: -5, d: 1.5, e: "A"}"#),
        ]),
    }
}

/// Members are added to records in lists, and branches to unions.
fn grown_members() -> Case {
    let schema = |member: &str, union: &str| {
        record(&format!(
            r#"{{"name":"list","type":{{"type":"array","items":{{"type":"record","name":"I","fields":[{{"name":"a","type":"int"}}{member}]}}}}}},
            {{"name":"u","type":{union}}}"#
        ))
    };
    let old = schema("", r#"["int","string"]"#);
    let new = schema(r#",{"name":"b","type":"long","default":7}"#, r#"["string","boolean"]"#);
    Case {
        name: "grown members and branches",
        table: grown(&[old.clone(), new.clone()]),
        writers: vec![old, new],
        glue: owned(&["array<struct<a:int,b:bigint>>", "struct<int:int,string:string,boolean:boolean>"]),
        leaves: owned(&[
            "list.list.element.a INT32 none",
            "list.list.element.b INT64 none",
            "u.int INT32 none",
            "u.string BYTE_ARRAY string",
            "u.boolean BOOLEAN none",
        ]),
        records: rows(&[
            (
                0,
                all(&[block(&[int(1), int(2)]), branch(0, int(9))]),
                "{list: [{a: 1, b: 7}, {a: 2, b: 7}], u: {int: 9, string: null, boolean: null}}",
            ),
            (
                1,
                all(&[block(&[all(&[int(3), int(4)])]), branch(1, vec![1])]),
                "{list: [{a: 3, b: 4}], u: {int: null, string: null, boolean: true}}",
            ),
            (1, all(&[block(&[]), branch(0, text("s"))]), r#"{list: [], u: {int: null, string: "s", boolean: null}}"#),
        ]),
    }
}

fn defaults_of_every_type() -> Case {
    let old = record(r#"{"name":"k","type":"int"}"#);
    let fields = [
        r#"{"name":"k","type":"int"}"#,
        r#"{"name":"bo","type":"boolean","default":true}"#,
        r#"{"name":"by","type":"bytes","default":"\u00ff\u0000"}"#,
        r#"{"name":"de","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":"\u00fb"}"#,
        r#"{"name":"ti","type":{"type":"long","logicalType":"timestamp-millis"},"default":-1}"#,
        r#"{"name":"en","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"}"#,
        r#"{"name":"li","type":{"type":"array","items":"int"},"default":[1,2]}"#,
        r#"{"name":"ma","type":{"type":"map","values":"string"},"default":{"k":"v"}}"#,
        r#"{"name":"st","type":{"type":"record","name":"I","fields":[{"name":"x","type":"int"},{"name":"y","type":"double","default":0.5}]},"default":{"x":3}}"#,
        r#"{"name":"un","type":["string","int"],"default":"u"}"#,
        r#"{"name":"nu","type":["null","string"],"default":null}"#,
    ];
    let new = record(&fields.join(","));
    let defaults = r#"{k: 1, bo: true, by: 0xff00, de: -0.05, ti: 1969-12-31T23:59:59.999000Z, en: "B", li: [1, 2], ma: {"k": "v"}, st: {x: 3, y: 0.5}, un: {string: "u", int: null}, nu: null}"#;
    Case {
        name: "defaults of every type",
        table: grown(&[old.clone(), new]),
        writers: vec![old],
        glue: owned(&[
            "int",
            "boolean",
            "binary",
            "decimal(4,2)",
            "timestamp",
            "string",
            "array<int>",
            "map<string,string>",
            "struct<x:int,y:double>",
            "struct<string:string,int:int>",
            "string",
        ]),
        leaves: owned(&[
            "k INT32 none",
            "bo BOOLEAN none",
            "by BYTE_ARRAY none",
            "de INT32 decimal",
            "ti INT64 timestamp utc",
            "en BYTE_ARRAY string",
            "li.list.element INT32 none",
            "ma.key_value.key BYTE_ARRAY string",
            "ma.key_value.value BYTE_ARRAY string",
            "st.x INT32 none",
            "st.y DOUBLE none",
            "un.string BYTE_ARRAY string",
            "un.int INT32 none",
            "nu BYTE_ARRAY string",
        ]),
        records: rows(&[(0, int(1), defaults)]),
    }
}

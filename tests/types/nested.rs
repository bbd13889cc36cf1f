//! Lists, maps and records.
use crate::{
    Case, case, refused, row,
    wire::{all, block, branch, int, sized_block, text},
};
use event_schema::RefusalCode::{InvalidBlock, ShortRecord, TooManyNodes};

pub fn cases() -> Vec<Case> {
    [lists(), maps(), records()].into_iter().flatten().collect()
}

fn lists() -> Vec<Case> {
    let ints = r#"{"type":"array","items":"int"}"#;
    vec![
        case(
            "list",
            r#"["null",{"type":"array","items":["null","int"]}]"#,
            "array<int>",
            &["f.list.element INT32 none"],
            vec![
                row(int(0), "null"),
                row(branch(1, block(&[])), "[]"),
                row(branch(1, block(&[int(0)])), "[null]"),
                row(branch(1, block(&[branch(1, int(1)), int(0)])), "[1, null]"),
            ],
        ),
        case(
            "list in blocks",
            ints,
            "array<int>",
            &["f.list.element INT32 none"],
            vec![
                row(all(&[int(2), int(1), int(2), sized_block(&[int(3)])]), "[1, 2, 3]"),
                refused(all(&[int(-1), int(2), int(3), int(0)]), InvalidBlock),
                refused(int(i64::MAX), ShortRecord),
            ],
        ),
        case(
            "list of lists",
            &format!(r#"{{"type":"array","items":{ints}}}"#),
            "array<array<int>>",
            &["f.list.element.list.element INT32 none"],
            vec![row(block(&[block(&[]), block(&[int(1), int(2)])]), "[[], [1, 2]]"), row(block(&[]), "[]")],
        ),
        case(
            "list of nulls",
            r#"{"type":"array","items":"null"}"#,
            "array<string>",
            &["f.list.element BYTE_ARRAY string"],
            vec![row(all(&[int(2), int(0)]), "[null, null]"), refused(all(&[int(1 << 31), int(0)]), TooManyNodes), row(int(0), "[]")],
        ),
    ]
}

fn maps() -> Vec<Case> {
    let entry = |key: &str, value: Vec<u8>| all(&[text(key), value]);
    vec![
        case(
            "map",
            r#"["null",{"type":"map","values":["null","int"]}]"#,
            "map<string,int>",
            &["f.key_value.key BYTE_ARRAY string", "f.key_value.value INT32 none"],
            vec![
                row(int(0), "null"),
                row(branch(1, block(&[])), "{}"),
                row(branch(1, sized_block(&[entry("k", int(0)), entry("", branch(1, int(7)))])), r#"{"k": null, "": 7}"#),
            ],
        ),
        case(
            "a key twice",
            r#"{"type":"map","values":"int"}"#,
            "map<string,int>",
            &["f.key_value.key BYTE_ARRAY string", "f.key_value.value INT32 none"],
            vec![row(block(&[entry("a", int(1)), entry("b", int(2)), entry("a", int(3))]), r#"{"a": 3, "b": 2}"#)],
        ),
    ]
}

fn records() -> Vec<Case> {
    let inner =
        r#"{"type":"record","name":"I","namespace":"n","fields":[{"name":"A","type":"long"},{"name":"B","type":["null","string"]}]}"#;
    let by_name = r#"{"type":"record","name":"R","fields":[{"name":"p","type":{"type":"record","name":"n.P","fields":[{"name":"x","type":"int"}]}},
        {"name":"q","type":["null","n.P"]},{"name":"r","type":{"type":"array","items":"n.P"}}]}"#;
    vec![
        case(
            "record",
            &format!(r#"["null",{inner}]"#),
            "struct<a:bigint,b:string>",
            &["f.a INT64 none", "f.b BYTE_ARRAY string"],
            vec![
                row(int(0), "null"),
                row(branch(1, all(&[int(5), int(0)])), "{a: 5, b: null}"),
                row(branch(1, all(&[int(6), branch(1, text("x"))])), r#"{a: 6, b: "x"}"#),
            ],
        ),
        case(
            "record of nullable members",
            r#"["null",{"type":"record","name":"I","fields":[{"name":"a","type":["null","int"]}]}]"#,
            "struct<a:int>",
            &["f.a INT32 none"],
            vec![row(int(0), "null"), row(branch(1, int(0)), "{a: null}")],
        ),
        case(
            "empty record",
            r#"["null",{"type":"record","name":"I","fields":[]}]"#,
            "string",
            &["f BYTE_ARRAY string"],
            vec![row(int(1), r#""{}""#), row(int(0), "null")],
        ),
        case(
            "list of empty records",
            r#"{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"n","type":"null"}]}}"#,
            "array<string>",
            &["f.list.element BYTE_ARRAY string"],
            vec![row(all(&[int(2), int(0)]), r#"["{}", "{}"]"#), refused(all(&[int(1 << 40), int(0)]), TooManyNodes)],
        ),
        Case {
            name: "types by name",
            table: by_name.to_owned(),
            writers: vec![by_name.to_owned()],
            glue: ["struct<x:int>", "struct<x:int>", "array<struct<x:int>>"].map(str::to_owned).to_vec(),
            leaves: ["p.x INT32 none", "q.x INT32 none", "r.list.element.x INT32 none"].map(str::to_owned).to_vec(),
            records: vec![(
                0,
                all(&[int(1), branch(1, int(2)), block(&[int(3), int(4)])]),
                crate::Outcome::Row("{p: {x: 1}, q: {x: 2}, r: [{x: 3}, {x: 4}]}".to_owned()),
            )],
        },
        case(
            "lower-case names",
            r#"{"type":"record","name":"I","fields":[{"name":"DeviceId","type":"int"}]}"#,
            "struct<deviceid:int>",
            &["f.deviceid INT32 none"],
            vec![row(int(5), "{deviceid: 5}")],
        ),
        case(
            "depth within the limit",
            &deep(8),
            &format!("{}int{}", "array<".repeat(8), ">".repeat(8)),
            &[&format!("f{} INT32 none", ".list.element".repeat(8))],
            {
                let datum = (0..8).fold(int(7), |datum, _| block(&[datum]));
                vec![row(datum, &format!("{}7{}", "[".repeat(8), "]".repeat(8)))]
            },
        ),
    ]
}

/// Lists in lists; few, as DuckDB's time doubles with each level.
fn deep(levels: usize) -> String {
    (0..levels).fold(r#""int""#.to_owned(), |ty, _| format!(r#"{{"type":"array","items":{ty}}}"#))
}

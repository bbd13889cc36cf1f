//! Unions at every depth, and top levels that are no record.
use crate::{
    Case, Outcome, case, record, refused, row,
    wire::{all, block, branch, double, float, int, text},
};
use event_schema::RefusalCode::{InvalidUnion, TrailingBytes};

pub fn cases() -> Vec<Case> {
    [with_null(), widened(), structs(), nested(), top_levels()].into_iter().flatten().collect()
}

fn with_null() -> Vec<Case> {
    let int_leaf = ["f INT32 none"];
    vec![
        case("null first", r#"["null","int"]"#, "int", &int_leaf, vec![row(int(0), "null"), row(branch(1, int(7)), "7"), refused(int(2), InvalidUnion)]),
        case("null second", r#"["int","null"]"#, "int", &int_leaf, vec![row(int(1), "null"), row(branch(0, int(7)), "7"), refused(int(-1), InvalidUnion)]),
        case("one branch", r#"["int"]"#, "int", &int_leaf, vec![row(branch(0, int(7)), "7"), refused(int(1), InvalidUnion)]),
        Case {
            name: "null alone",
            table: r#"{"type":"record","name":"R","fields":[{"name":"a","type":"null"},{"name":"b","type":"int"},{"name":"c","type":["null"]}]}"#.to_owned(),
            writers: vec![
                r#"{"type":"record","name":"R","fields":[{"name":"a","type":"null"},{"name":"b","type":"int"},{"name":"c","type":["null"]}]}"#.to_owned(),
            ],
            glue: vec!["int".to_owned()],
            leaves: vec!["b INT32 none".to_owned()],
            records: vec![
                (0, all(&[int(7), int(0)]), Outcome::Row("{b: 7}".to_owned())),
                (0, all(&[int(7), int(1)]), Outcome::Refused(InvalidUnion)),
                (0, all(&[int(7), int(0), int(0)]), Outcome::Refused(TrailingBytes)),
            ],
        },
    ]
}

fn widened() -> Vec<Case> {
    vec![
        case(
            "int and long",
            r#"["null","int","long"]"#,
            "bigint",
            &["f INT64 none"],
            vec![row(branch(1, int(-5)), "-5"), row(branch(2, int(1 << 40)), "1099511627776"), row(int(0), "null")],
        ),
        case(
            "float and double",
            r#"["float","double"]"#,
            "double",
            &["f DOUBLE none"],
            vec![row(branch(0, float(1.5)), "1.5"), row(branch(1, double(0.1)), "0.1")],
        ),
    ]
}

fn structs() -> Vec<Case> {
    let records = r#"["null",{"type":"record","name":"x.A","fields":[{"name":"v","type":"int"}]},{"type":"record","name":"y.A","fields":[{"name":"w","type":"string"}]},
        {"type":"enum","name":"E","symbols":["S"]},{"type":"fixed","name":"F","size":1}]"#;
    vec![
        case(
            "int or string",
            r#"["null","int","string"]"#,
            "struct<int:int,string:string>",
            &["f.int INT32 none", "f.string BYTE_ARRAY string"],
            vec![
                row(branch(1, int(5)), "{int: 5, string: null}"),
                row(branch(2, text("x")), r#"{int: null, string: "x"}"#),
                row(int(0), "null"),
                refused(int(3), InvalidUnion),
            ],
        ),
        case(
            "types of the same name",
            records,
            "struct<a:struct<v:int>,y_a:struct<w:string>,e:string,f:binary>",
            &["f.a.v INT32 none", "f.y_a.w BYTE_ARRAY string", "f.e BYTE_ARRAY string", "f.f FIXED_LEN_BYTE_ARRAY none"],
            vec![
                row(branch(1, int(5)), "{a: {v: 5}, y_a: null, e: null, f: null}"),
                row(branch(2, text("x")), r#"{a: null, y_a: {w: "x"}, e: null, f: null}"#),
                row(branch(3, int(0)), r#"{a: null, y_a: null, e: "S", f: null}"#),
                row(branch(4, vec![9]), "{a: null, y_a: null, e: null, f: 0x09}"),
                row(int(0), "null"),
            ],
        ),
    ]
}

fn nested() -> Vec<Case> {
    let union = r#"["null","int","string"]"#;
    let leaves = |path: &str| [format!("{path}.int INT32 none"), format!("{path}.string BYTE_ARRAY string")];
    let in_list = leaves("f.list.element");
    let in_map = leaves("f.key_value.value");
    let in_record = leaves("f.u");
    let refs = |leaves: &[String]| -> Vec<String> { leaves.to_vec() };
    let with_leaves = |mut case: Case, leaves: Vec<String>| {
        case.leaves = leaves;
        case
    };
    let list = vec![
        row(block(&[branch(1, int(5)), int(0), branch(2, text("x"))]), r#"[{int: 5, string: null}, null, {int: null, string: "x"}]"#),
        row(vec![0], "[]"),
    ];
    let map = vec![row(block(&[all(&[text("k"), branch(2, text("x"))])]), r#"{"k": {int: null, string: "x"}}"#), row(vec![0], "{}")];
    let inner = vec![row(branch(1, int(5)), "{u: {int: 5, string: null}}"), row(int(0), "{u: null}")];
    let items = format!(r#"{{"type":"array","items":{union}}}"#);
    let values = format!(r#"{{"type":"map","values":{union}}}"#);
    let member = format!(r#"{{"type":"record","name":"I","fields":[{{"name":"u","type":{union}}}]}}"#);
    let map_leaves = [vec!["f.key_value.key BYTE_ARRAY string".to_owned()], refs(&in_map)].concat();
    vec![
        with_leaves(case("union in a list", &items, "array<struct<int:int,string:string>>", &[], list), refs(&in_list)),
        with_leaves(case("union in a map", &values, "map<string,struct<int:int,string:string>>", &[], map), map_leaves),
        with_leaves(case("union in a record", &member, "struct<u:struct<int:int,string:string>>", &[], inner), refs(&in_record)),
    ]
}

/// A case of one schema, for table and writer.
fn top(name: &'static str, schema: &str, glue: &[&str], leaves: &[&str], rows: &[(Vec<u8>, &str)]) -> Case {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Case {
        name,
        table: schema.to_owned(),
        writers: vec![schema.to_owned()],
        glue: texts(glue),
        leaves: texts(leaves),
        records: rows.iter().map(|(datum, row)| (0, datum.clone(), Outcome::Row((*row).to_owned()))).collect(),
    }
}

fn top_levels() -> Vec<Case> {
    let a = r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#;
    let b = r#"{"type":"record","name":"n.B","fields":[{"name":"y","type":"string"}]}"#;
    vec![
        top(
            "a record or null",
            &format!(r#"["null",{}]"#, record(r#""int""#)),
            &["int"],
            &["f INT32 none"],
            &[(branch(1, int(5)), "{f: 5}"), (int(0), "{f: null}")],
        ),
        top(
            "one of two records",
            &format!("[{a},{b}]"),
            &["struct<x:int>", "struct<y:string>"],
            &["a.x INT32 none", "b.y BYTE_ARRAY string"],
            &[(branch(0, int(5)), "{a: {x: 5}, b: null}"), (branch(1, text("t")), r#"{a: null, b: {y: "t"}}"#)],
        ),
        top("a string", r#""string""#, &["string"], &["value BYTE_ARRAY string"], &[(text("t"), r#"{value: "t"}"#)]),
        top(
            "a list",
            r#"{"type":"array","items":"int"}"#,
            &["array<int>"],
            &["value.list.element INT32 none"],
            &[(block(&[int(1), int(2)]), "{value: [1, 2]}")],
        ),
    ]
}

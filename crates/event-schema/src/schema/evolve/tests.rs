use super::Evolution;
use crate::TableSchema;

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"n.R","fields":[{fields}]}}"#)
}

fn field(ty: &str) -> String {
    record(&format!(r#"{{"name":"f","type":{ty}}}"#))
}

fn table(json: &str) -> TableSchema {
    TableSchema::parse(json).unwrap_or_else(|error| panic!("{error}\n{json}"))
}

#[track_caller]
fn covers(table_json: &str, writer: &str) {
    match table(table_json).evolve(writer) {
        Ok(Evolution::Covers) => {}
        other => panic!("{other:?}\n{table_json}\n{writer}"),
    }
}

/// Paths of what is added and the catalog's types afterwards.
#[track_caller]
fn adds(table_json: &str, writer: &str) -> (Vec<String>, Vec<String>) {
    match table(table_json).evolve(writer) {
        Ok(Evolution::Adds { schema, added }) => {
            covers(schema.avro_json(), writer);
            covers(schema.avro_json(), table_json);
            (added, schema.columns().into_iter().map(|c| format!("{} {}", c.name, c.glue_type)).collect())
        }
        other => panic!("{other:?}\n{table_json}\n{writer}"),
    }
}

#[track_caller]
fn misfit(table_ty: &str, writer_ty: &str, what: &str) {
    let error = table(&field(table_ty)).evolve(&field(writer_ty)).expect_err("the types do not fit");
    let found: Vec<_> = error.faults.iter().map(|f| (f.path.as_str(), f.what.as_str())).collect();
    assert_eq!(found, [("f", what)]);
}

#[test]
fn what_the_table_holds_already() {
    let same = record(r#"{"name":"a","type":"int"},{"name":"B","type":"string"}"#);
    covers(&same, &same);
    covers(&same, &record(r#"{"name":"b","type":["string","null"]},{"name":"A","type":["null","int"]}"#));
    covers(&same, &record(r#"{"name":"a","type":"int"}"#));
    covers(&same, &same.replace("n.R", "other.space.R"));
    covers(&field(r#""long""#), &field(r#""int""#));
    covers(&field(r#""double""#), &field(r#"["null","float"]"#));
    covers(&field(r#"["null","long","int"]"#), &field(r#""int""#));
    covers(&field(r#""bytes""#), &field(r#"{"type":"fixed","name":"F","size":3}"#));
    covers(&field(r#"{"type":"long","logicalType":"timestamp-micros"}"#), &field(r#"{"type":"long","logicalType":"timestamp-nanos"}"#));
    let decimal = |precision: u8| field(&format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":2}}"#));
    covers(&decimal(9), &decimal(8));
    let symbols = |symbols: &str| field(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#));
    covers(&symbols(r#""A""#), &symbols(r#""B","A""#));
    covers(&symbols(r#""A""#), &field(r#""string""#));
    covers(&field(r#""string""#), &field(r#"{"type":"string","logicalType":"uuid"}"#));
    covers(&field(r#"["string","int"]"#), &field(r#"["int","null","string"]"#));
    covers(&field(r#"["string","long"]"#), &field(r#""int""#));
    covers(&field(r#"["null","string"]"#), &field(r#""null""#));
}

#[test]
fn what_does_not_fit_is_named_with_both_types() {
    misfit(r#""int""#, r#""long""#, "`bigint` does not fit the table's `int`");
    misfit(r#""int""#, r#""string""#, "`string` does not fit the table's `int`");
    misfit(r#""double""#, r#""long""#, "`bigint` does not fit the table's `double`");
    misfit(r#""float""#, r#""double""#, "`double` does not fit the table's `float`");
    misfit(r#""string""#, r#""bytes""#, "`binary` does not fit the table's `string`");
    misfit(r#""int""#, r#"{"type":"int","logicalType":"date"}"#, "`date` does not fit the table's `int`");
    misfit(
        r#"{"type":"long","logicalType":"timestamp-micros"}"#,
        r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
        "`timestamp` (local) does not fit the table's `timestamp` (UTC)",
    );
    misfit(
        r#"{"type":"array","items":"int"}"#,
        r#"{"type":"map","values":"int"}"#,
        "`map<string,int>` does not fit the table's `array<int>`",
    );
    misfit(
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}"#,
        "`decimal(9,3)` does not fit the table's `decimal(9,2)`",
    );
    misfit(
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
        r#"{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}"#,
        "`decimal(10,2)` does not fit the table's `decimal(9,2)`",
    );
    misfit(
        r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}"#,
        r#"{"type":"record","name":"B","fields":[{"name":"x","type":"int"}]}"#,
        "the record `B` is not the table's record `A`",
    );
    misfit(
        r#"{"type":"fixed","name":"F","size":2}"#,
        r#"{"type":"fixed","name":"F","size":3}"#,
        "`binary` of `3` bytes does not fit the table's `binary` of `2` bytes",
    );
    let error = table(&record(r#"{"name":"a","type":"int"},{"name":"b","type":{"type":"array","items":"int"}}"#))
        .evolve(&record(r#"{"name":"a","type":"string"},{"name":"b","type":{"type":"array","items":"boolean"}},{"name":"c","type":"int"}"#))
        .unwrap_err();
    assert_eq!(error.faults.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a", "b[]"]);
    table(&field(r#""int""#)).evolve(&field(r#"["null","R"]"#)).expect_err("recursive");
}

#[test]
fn new_fields_follow_the_old_ones() {
    let before = record(r#"{"name":"b","type":"int"},{"name":"a","type":"string"}"#);
    let after = record(
        r#"{"name":"New","type":["null","double"],"default":null},{"name":"a","type":"string"},{"name":"c","type":"long","default":7}"#,
    );
    let (added, columns) = adds(&before, &after);
    assert_eq!(added, ["New", "c"]);
    assert_eq!(columns, ["b int", "a string", "new double", "c bigint"]);
    // A writer of yet another version adds to that.
    let Ok(Evolution::Adds { schema, .. }) = table(&before).evolve(&after) else { panic!() };
    let (added, columns) = adds(schema.avro_json(), &record(r#"{"name":"d","type":{"type":"map","values":"int"}}"#));
    assert_eq!(added, ["d"]);
    assert_eq!(columns.len(), 5);
}

#[test]
fn members_are_added_at_any_depth() {
    let pos = |fields: &str| format!(r#"{{"type":"record","name":"Pos","fields":[{{"name":"lat","type":"double"}}{fields}]}}"#);
    let places = |pos: &str| {
        record(&format!(
            r#"{{"name":"a","type":{pos}}},{{"name":"b","type":["null","n.Pos"]}},
            {{"name":"c","type":{{"type":"array","items":{{"type":"map","values":"n.Pos"}}}}}}"#
        ))
    };
    let (added, columns) = adds(&places(&pos("")), &places(&pos(r#",{"name":"alt","type":["null","float"]}"#)));
    assert_eq!(added, ["a.alt", "b.alt", "c[]{}.alt"]);
    let expected =
        ["a struct<lat:double,alt:float>", "b struct<lat:double,alt:float>", "c array<map<string,struct<lat:double,alt:float>>>"];
    assert_eq!(columns, expected);
    let (added, columns) = adds(&field(r#"["null","string","int"]"#), &field(r#"["int","boolean"]"#));
    assert_eq!((added, columns), (vec!["f.boolean".to_owned()], vec!["f struct<string:string,int:int,boolean:boolean>".to_owned()]));
    let (added, columns) = adds(&record(r#"{"name":"f","type":"null"},{"name":"g","type":"int"}"#), &field(r#"["null","int"]"#));
    assert_eq!((added, columns), (vec!["f".to_owned()], vec!["f int".to_owned(), "g int".to_owned()]));
}

/// New types come with what they refer to, also without namespace inside of one.
#[test]
fn types_come_along() {
    let before = record(r#"{"name":"a","type":"int"}"#);
    let after = record(
        r#"{"name":"a","type":"int"},{"name":"b","type":{"type":"record","name":"x.In","fields":[
            {"name":"e","type":{"type":"enum","name":".Bare","symbols":["S"]},"default":"S"},{"name":"k","type":["null",".Bare"]}]}},
        {"name":"c","type":["null","x.In"]},{"name":"d","type":".Bare"}"#,
    );
    let (added, columns) = adds(&before, &after);
    assert_eq!(added, ["b", "c", "d"]);
    assert_eq!(columns, ["a int", "b struct<e:string,k:string>", "c struct<e:string,k:string>", "d string"]);
}

#[test]
fn a_name_with_two_meanings_is_told() {
    let inner = |ty: &str| format!(r#"{{"type":"record","name":"In","fields":[{{"name":"x","type":"{ty}"}}]}}"#);
    let before = record(&format!(r#"{{"name":"a","type":{}}}"#, inner("int")));
    let after = record(&format!(r#"{{"name":"b","type":{}}}"#, inner("string")));
    let error = table(&before).evolve(&after).unwrap_err();
    assert_eq!((error.faults[0].path.as_str(), error.faults[0].what.as_str()), ("b.x", "`string` does not fit the table's `int`"));
    // A field that collides with an identity column is refused as it is in a new table.
    let error = table(&before).evolve(&record(r#"{"name":"_kafka_x","type":"int"}"#)).unwrap_err();
    assert_eq!(error.faults[0].path, "_kafka_x");
}

#[test]
fn other_top_levels() {
    covers(r#""long""#, r#"["int","null"]"#);
    let record = |name: &str| format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"x","type":"int"}}]}}"#);
    let (added, columns) = adds(&format!("[{},{}]", record("A"), record("B")), &format!("[{},{}]", record("C"), record("A")));
    assert_eq!(added, ["c"]);
    assert_eq!(columns, ["a struct<x:int>", "b struct<x:int>", "c struct<x:int>"]);
    covers(&record("A"), &format!(r#"["null",{}]"#, record("A")));
}

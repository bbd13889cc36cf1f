use super::{MAX_SCHEMA_BYTES, TableSchema, normalise};

fn field(ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{ty}}}]}}"#)
}

fn faults(avro_json: &str) -> Vec<(String, String)> {
    let error = TableSchema::parse(avro_json).expect_err("the schema has a fault");
    error.faults.into_iter().map(|f| (f.path, f.what)).collect()
}

/// The only fault's path, and that its text has a part.
#[track_caller]
fn refused(avro_json: &str, path: &str, part: &str) {
    let faults = faults(avro_json);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].0, path, "{faults:?}");
    assert!(faults[0].1.contains(part), "{faults:?} has no {part:?}");
}

#[test]
fn unsupported_types_are_refused_with_their_path() {
    let cases = [
        (
            r#"["null",{"type":"record","name":"Deep","fields":[{"name":"x","type":["int","Deep"]}]}]"#,
            "f.x.deep",
            "the recursive type `Deep`",
        ),
        (r#"{"type":"bytes","logicalType":"decimal","precision":39,"scale":0}"#, "f", "a decimal of `39` digits"),
        (r#"{"type":"fixed","name":"D","size":4,"logicalType":"decimal","precision":10}"#, "f", "does not fit a fixed of `4` bytes"),
        (r#"{"type":"fixed","name":"D","size":0}"#, "f", "a fixed of `0` bytes"),
        (r#"{"type":"fixed","name":"D","size":2000000}"#, "f", "a fixed of `2000000` bytes"),
        (r#"{"type":"enum","name":"E","symbols":[]}"#, "f", "no symbols"),
        (r#"["null","R"]"#, "f", "the recursive type `R`"),
        (
            r#"{"type":"record","name":"Tree","fields":[{"name":"kids","type":{"type":"array","items":"Tree"}}]}"#,
            "f.kids[]",
            "the recursive type `Tree`",
        ),
    ];
    for (ty, path, part) in cases {
        refused(&field(ty), path, part);
    }
}

#[test]
fn unusable_schemas_are_refused_as_a_whole() {
    refused("{", "schema", "not JSON");
    refused(r#"{"type":"record","name":"R","fields":[]}"#, "schema", "no fields");
    refused(r#"["null",{"type":"record","name":"R","fields":[{"name":"f","type":"null"}]}]"#, "schema", "no fields");
    refused(r#""null""#, "schema", "no fields");
    refused("[]", "schema", "no branches");
    refused(r#"{"type":"record","name":"R","fields":["x"]}"#, "schema", "is not an object");
    refused(&field(r#""Missing""#), "schema", "not an Avro schema");
    refused(&field(r#"{"type":"long","logicalType":7}"#), "schema", "not an Avro schema");
    refused(&field(r#"{"type":"record","name":"X","fields":[{"name":"f é","type":"int"}]}"#), "schema", "not an Avro schema");
    refused(&format!("{}{}", field(r#""int""#), " ".repeat(MAX_SCHEMA_BYTES)), "schema", "the limit is");
    let twice = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"F","size":1}},
        {"name":"b","type":{"type":"fixed","name":"F","size":2}}]}"#;
    refused(twice, "F", "defined twice");
}

#[test]
fn colliding_names_are_refused_at_every_depth() {
    let two = |a: &str, b: &str| {
        format!(r#"{{"type":"record","name":"I","fields":[{{"name":"{a}","type":"int"}},{{"name":"{b}","type":"int"}}]}}"#)
    };
    refused(&two("userId", "userid"), "userid", "that of `userId` when lower-cased");
    refused(&field(&format!(r#"{{"type":"array","items":{}}}"#, two("A", "a"))), "f[].a", "that of `A` when lower-cased");
    refused(&two("a", "_kafka_offset"), "_kafka_offset", "identity columns");
    refused(&two("a", "_KAFKA_mine"), "_KAFKA_mine", "identity columns");
    TableSchema::parse(&field(&two("_kafka_offset", "a"))).expect("inside a record the name is free");
    let schema = TableSchema::parse(&two("Dt", "hr_of_day")).unwrap();
    schema.check_against(&["hr", "mi"]).unwrap();
    let error = schema.check_against(&["dt", "hr"]).unwrap_err();
    assert_eq!(error.faults.len(), 1);
    assert_eq!(error.faults[0].path, "Dt");
}

#[test]
fn all_faults_come_at_once() {
    let json = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"F","size":0}},{"name":"A","type":["null","R"]},{"name":"b","type":"int"}]}"#;
    let paths: Vec<_> = faults(json).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["a", "A", "A"]);
}

#[test]
fn hostile_schemas_are_bounded() {
    // Each type refers twice to the one before: 2^40 fields when expanded.
    let mut ty = r#"{"type":"record","name":"T0","fields":[{"name":"x","type":"int"}]}"#.to_owned();
    for i in 1..30 {
        ty = format!(r#"{{"type":"record","name":"T{i}","fields":[{{"name":"a","type":{ty}}},{{"name":"b","type":"T{}"}}]}}"#, i - 1);
    }
    refused(&field(&ty), "schema", "more than `10000` fields");
    let deep = (0..70).fold(r#""int""#.to_owned(), |ty, _| format!(r#"{{"type":"array","items":{ty}}}"#));
    refused(&field(&deep), &format!("f{}", "[]".repeat(64)), "nested deeper than `64`");
    let deeper = (0..5000).fold(r#""int""#.to_owned(), |ty, _| format!(r#"{{"type":"array","items":{ty}}}"#));
    refused(&field(&deeper), "schema", "recursion limit");
    let many: Vec<_> = (0..10_001).map(|i| format!(r#"{{"name":"f{i}","type":"int"}}"#)).collect();
    refused(&format!(r#"{{"type":"record","name":"R","fields":[{}]}}"#, many.join(",")), "schema", "more than `10000` fields");
    let allowed = (0..60).fold(r#""int""#.to_owned(), |ty, _| format!(r#"{{"type":"array","items":{ty}}}"#));
    TableSchema::parse(&field(&allowed)).expect("60 arrays are within the limits");
}

#[test]
fn what_counts_for_the_same_schema() {
    let base = r#"{"type":"record","name":"R","namespace":"n","fields":[
        {"name":"a","type":{"type":"enum","name":"E","symbols":["X","Y"]},"default":"X"},
        {"name":"b","type":["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}],"default":null},
        {"name":"c","type":{"type":"map","values":"E"},"default":{}}]}"#;
    let schema = TableSchema::parse(base).unwrap();
    let same = [
        base.replace(r#""namespace":"n","#, r#""doc":"words","schema_id":9,"namespace":"n","#),
        base.replace(r#""name":"R","namespace":"n","#, r#""name":"n.R","aliases":["Old"],"#),
        base.replace(r#""name":"a","#, r#""name":"a","order":"descending","doc":"x","#),
        base.replace(r#""values":"E""#, r#""values":"n.E""#),
        schema.avro_json().to_owned(),
    ];
    for json in same {
        assert!(schema.same_as(&json), "{json}");
    }
    let different = [
        base.replace(r#"["X","Y"]"#, r#"["X","Y","Z"]"#),
        base.replace(r#""default":"X""#, r#""default":"Y""#),
        base.replace(r#""scale":2"#, r#""scale":1"#),
        base.replace(r#""name":"a""#, r#""name":"A""#),
        base.replace(r#""name":"R""#, r#""name":"S""#),
        base.replace(r#""logicalType":"decimal","#, ""),
        base.replace(r#"["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}],"default":null"#, r#"["int","null"]"#),
        "{".to_owned(),
    ];
    for json in different {
        assert!(!schema.same_as(&json), "{json}");
    }
}

#[test]
fn canonical_text_is_stable() {
    let json = r#"{"schema_id":3,"type":"record","name":"R","namespace":"a.b","doc":"d","fields":[
        {"name":"x","type":{"type":"fixed","name":"c.F","size":16,"logicalType":"uuid"}},{"name":"y","type":["c.F","null"]},
        {"name":"z","type":{"type":"record","name":"In","namespace":"","fields":[{"name":"t","type":{"type":"int","logicalType":"date"}}]},
         "default":{"t":1}},
        {"name":"w","type":".In"}]}"#;
    let canonical = normalise(json).unwrap();
    let expected = concat!(
        r#"{"type":"record","name":"a.b.R","fields":[{"name":"x","type":{"type":"fixed","name":"c.F","size":16,"logicalType":"uuid"}},"#,
        r#"{"name":"y","type":["c.F","null"]},{"name":"z","type":{"type":"record","name":".In","fields":[{"name":"t","type":{"type":"int","#,
        r#""logicalType":"date"}}]},"default":{"t":1}},{"name":"w","type":".In"}]}"#
    );
    assert_eq!(canonical, expected);
    assert_eq!(normalise(&canonical).unwrap(), canonical);
    assert_eq!(TableSchema::parse(json).unwrap().avro_json(), canonical);
}

#[test]
fn columns_are_lower_case_with_catalog_types() {
    let json = r#"{"type":"record","name":"R","fields":[{"name":"DeviceId","type":"string"},{"name":"At","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"Pos","type":["null",{"type":"record","name":"P","fields":[{"name":"LatDeg","type":"double"},{"name":"Tags","type":{"type":"map","values":"float"}}]}]}]}"#;
    let schema = TableSchema::parse(json).unwrap();
    let columns: Vec<_> = schema.columns().into_iter().map(|c| (c.name, c.glue_type)).collect();
    let expected = [("deviceid", "string"), ("at", "timestamp"), ("pos", "struct<latdeg:double,tags:map<string,float>>")];
    assert_eq!(columns, expected.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
    let names: Vec<_> = schema.arrow().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["deviceid", "at", "pos"]);
}

#[test]
fn forms_made_of_a_schema_have_limits_too() {
    let members: Vec<_> = (0..2000).map(|i| format!(r#"{{"name":"{}{i}","type":"int"}}"#, "long_name".repeat(10))).collect();
    let wide = format!(r#"{{"type":"record","name":"W","fields":[{}]}}"#, members.join(","));
    refused(&field(&wide), "f", "split the column");
}

#[test]
fn a_default_may_look_like_a_schema() {
    let json = r#"{"type":"record","name":"R","fields":[{"name":"f","default":{"type":"record","fields":["x"]},
        "type":{"type":"record","name":"I","fields":[{"name":"type","type":"string"},{"name":"fields","type":{"type":"array","items":"string"}}]}}]}"#;
    TableSchema::parse(json).expect("what stands in a default is a value");
}

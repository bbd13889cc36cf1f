//! Random Avro schemas as JSON, of all types.
use rand::{Rng, rngs::StdRng};

/// What is known while a schema is made up.
pub struct Maker<'a> {
    pub rng: &'a mut StdRng,
    /// Named types so far, so that names are unique.
    pub names: usize,
    /// Names of finished types that may be referred to.
    pub finished: Vec<String>,
    /// Start of the names of fields.
    pub field: &'static str,
}

const SIMPLE: &[&str] = &["boolean", "int", "long", "float", "double", "bytes", "string"];
const LOGICAL: &[(&str, &str)] = &[
    ("string", "uuid"),
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
    ("long", "no-such-type"),
    ("bytes", "big-decimal"),
];

impl Maker<'_> {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        // Always with a namespace: apache-avro does not find a name without one from inside of another.
        let namespace = self.pick(&["o.", "n.", "n.m."]);
        format!("{namespace}N{}", self.names)
    }

    /// A schema's top level: nearly always a record.
    pub fn top(&mut self) -> String {
        match self.rng.random_range(0..12) {
            0 => self.ty(0),
            1 => format!(r#"["null",{}]"#, self.record(0, 1)),
            2 => format!("[{},{}]", self.record(0, 1), self.record(0, 1)),
            _ => self.record(0, 1),
        }
    }

    /// Any type.
    pub fn ty(&mut self, depth: usize) -> String {
        match self.rng.random_range(0..20) {
            0 => r#""null""#.to_owned(),
            1..=3 => self.nullable(depth),
            4 | 5 if depth < 4 => self.union(depth),
            _ => self.value(depth).0,
        }
    }

    fn nullable(&mut self, depth: usize) -> String {
        let (value, _) = self.value(depth);
        if self.rng.random() { format!(r#"["null",{value}]"#) } else { format!(r#"[{value},"null"]"#) }
    }

    /// Branches of different types; also only null, or a single one.
    fn union(&mut self, depth: usize) -> String {
        let mut taken = Vec::new();
        let mut branches = Vec::new();
        for _ in 0..self.rng.random_range(1..5) {
            let finished = self.finished.len();
            let (branch, key) = if self.rng.random_bool(0.2) { (r#""null""#.to_owned(), "null".to_owned()) } else { self.value(depth + 1) };
            if taken.contains(&key) {
                // Nothing may refer to what is left out.
                self.finished.truncate(finished);
            } else {
                taken.push(key);
                branches.push(branch);
            }
        }
        format!("[{}]", branches.join(","))
    }

    /// A type that is neither null nor a union, and what it is told apart by as a branch.
    fn value(&mut self, depth: usize) -> (String, String) {
        let simple = |ty: &str| (format!("\"{ty}\""), ty.to_owned());
        match self.rng.random_range(0..24) {
            0..=5 => simple(self.pick(SIMPLE)),
            6..=10 => {
                let (base, logical) = self.pick(LOGICAL);
                (format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#), base.to_owned())
            }
            11 => {
                let precision = self.rng.random_range(1..=38);
                (
                    format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{}}}"#, precision / 2),
                    "bytes".to_owned(),
                )
            }
            12 if !self.finished.is_empty() => {
                let name = self.finished[self.rng.random_range(0..self.finished.len())].clone();
                (format!("\"{name}\""), name)
            }
            13..=16 => self.named(),
            17 | 18 if depth < 4 => (format!(r#"{{"type":"array","items":{}}}"#, self.ty(depth + 1)), "array".to_owned()),
            19 | 20 if depth < 4 => (format!(r#"{{"type":"map","values":{}}}"#, self.ty(depth + 1)), "map".to_owned()),
            21 | 22 if depth < 4 => {
                let least = usize::from(self.rng.random_bool(0.9));
                let record = self.record(depth + 1, least);
                (record, self.finished.last().expect("the record's name").clone())
            }
            _ => simple(self.pick(SIMPLE)),
        }
    }

    fn finish(&mut self, name: String, rest: &str) -> (String, String) {
        self.finished.push(name.clone());
        (format!(r#"{{"name":"{name}",{rest}}}"#), name)
    }

    fn named(&mut self) -> (String, String) {
        let name = self.name();
        match self.rng.random_range(0..5) {
            0 => {
                let size = self.rng.random_range(1..40);
                self.finish(name, &format!(r#""type":"fixed","size":{size}"#))
            }
            1 => self.finish(name, r#""type":"fixed","size":16,"logicalType":"uuid""#),
            2 => self.finish(name, r#""type":"fixed","size":12,"logicalType":"duration""#),
            3 => {
                let size: usize = self.rng.random_range(1..24);
                let digits = [2, 4, 6, 9, 11, 14, 16, 18, 21, 23, 26, 28, 31, 33, 36, 38];
                let precision = self.rng.random_range(1..=digits[size.min(digits.len()) - 1]);
                self.finish(name, &format!(r#""type":"fixed","size":{size},"logicalType":"decimal","precision":{precision},"scale":0"#))
            }
            _ => {
                let symbols: Vec<_> = (0..self.rng.random_range(1..5)).map(|i| format!("\"S{}\"", "x".repeat(i * 7))).collect();
                self.finish(name, &format!(r#""type":"enum","symbols":[{}]"#, symbols.join(",")))
            }
        }
    }

    fn record(&mut self, depth: usize, least: usize) -> String {
        let name = self.name();
        let prefix = self.field;
        let fields: Vec<_> =
            (0..self.rng.random_range(least..6)).map(|i| format!(r#"{{"name":"{prefix}{i}","type":{}}}"#, self.ty(depth + 1))).collect();
        self.finish(name, &format!(r#""type":"record","fields":[{}]"#, fields.join(","))).0
    }
}

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use windowing::Time;

/// Largest file of tests.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Rows by column.
pub type Row = Map<String, Value>;

/// A file of tests of one transform.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// The derived table.
    pub transform: String,
    /// At least one.
    pub tests: Vec<Case>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Start of the derived window that is made; none: all that the rows are in.
    #[serde(default, deserialize_with = "time")]
    pub window: Option<Time>,
    /// Rows of the source, with any of its columns; those left out are NULL.
    pub rows: Vec<Row>,
    /// Rows of reference tables in place of those of their files.
    #[serde(default)]
    pub references: BTreeMap<String, Vec<Row>>,
    /// All rows of the result, in any order, with the columns that are compared.
    pub expect: Vec<Row>,
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| text.parse::<jiff::Timestamp>().map(|at| Time(at.as_microsecond())).map_err(serde::de::Error::custom);
    text.map(parse).transpose()
}

impl TestFile {
    /// Reads a file; the error says where it is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let failed = |what: String| format!("{}: {what}", path.display());
        let bytes = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(failed(format!("the file has {bytes} bytes, more than {MAX_FILE_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let found = Self::parse(&text).map_err(failed)?;
        if found.tests.is_empty() { Err(failed("`tests` is empty".to_owned())) } else { Ok(found) }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map(|location| format!("line {}: ", location.line())).unwrap_or_default();
            let text = error.without_snippet().to_string();
            format!("{line}{}", text.lines().next().unwrap_or_default())
        })
    }
}

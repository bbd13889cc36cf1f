//! Rows of the input, one record each, with the place of what does not fit.
use super::time;
use event_schema::{
    RefusalCode, SchemaError,
    encode::{AvroEncoder, EncodeError, EncodeOptions},
};
use serde_json::Value;
use std::io::{BufRead, Read};

/// Longest line, and longest raw input: brokers take far less.
const MAX_ROW_BYTES: u64 = 64 << 20;

/// Columns that become parts of the record. They stay in the row if the schema has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Kafka timestamp.
    pub timestamp: Option<String>,
    /// Record key.
    pub key: Option<String>,
}

impl Columns {
    /// The encoder of rows that have these columns beside the schema's fields.
    pub fn encoder(&self, avro_json: &str, schema_id: u32) -> Result<AvroEncoder, SchemaError> {
        let passed_over = [&self.timestamp, &self.key].into_iter().flatten().cloned().collect();
        AvroEncoder::with_options(avro_json, schema_id, EncodeOptions { passed_over, ..EncodeOptions::default() })
    }
}

/// One record to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub value: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
}

/// A row that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    line: Option<u64>,
    column: Option<String>,
    what: String,
}

impl RowError {
    fn new(line: u64, what: impl Into<String>) -> Self {
        Self { line: Some(line), column: None, what: what.into() }
    }

    fn of_column(line: u64, column: &str, what: impl Into<String>) -> Self {
        Self { line: Some(line), column: Some(column.to_owned()), what: what.into() }
    }

    fn of_encoding(line: u64, error: EncodeError) -> Self {
        match (error.code, error.at) {
            (RefusalCode::InvalidJson, Some(at)) => Self::not_json(line, at.column, &error.what),
            _ => Self { line: Some(line), column: Some(error.path), what: error.what },
        }
    }

    fn not_json(line: u64, character: usize, what: &str) -> Self {
        Self::new(line, format!("not JSON at character {character}: {what}"))
    }

    /// `file:line: column: what`
    pub fn text(&self, file: &str) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let column = self.column.as_ref().map(|column| format!(" column `{column}`:")).unwrap_or_default();
        format!("{file}{line}:{column} {}", self.what)
    }
}

/// The rows of an input.
pub(super) enum Rows {
    Csv(Box<CsvRows>),
    Ndjson(Box<NdjsonRows>),
    /// `None`: taken.
    Raw(Option<(Box<dyn BufRead + Send>, Option<u32>)>),
}

pub(super) struct CsvRows {
    reader: csv::Reader<Box<dyn BufRead + Send>>,
    encoder: AvroEncoder,
    columns: Columns,
    /// Set by the first row.
    header: Option<Header>,
}

struct Header {
    names: Vec<String>,
    /// Indexes of the cells that are encoded.
    encoded: Vec<usize>,
    timestamp: Option<usize>,
    key: Option<usize>,
}

pub(super) struct NdjsonRows {
    input: Box<dyn BufRead + Send>,
    encoder: AvroEncoder,
    columns: Columns,
    line: u64,
}

impl Rows {
    pub fn csv(input: Box<dyn BufRead + Send>, encoder: AvroEncoder, columns: Columns) -> Self {
        Self::Csv(Box::new(CsvRows { reader: csv::Reader::from_reader(input), encoder, columns, header: None }))
    }

    pub fn ndjson(input: Box<dyn BufRead + Send>, encoder: AvroEncoder, columns: Columns) -> Self {
        Self::Ndjson(Box::new(NdjsonRows { input, encoder, columns, line: 0 }))
    }

    /// The whole input as one value, after a header with the schema id if there is one.
    pub fn raw(input: Box<dyn BufRead + Send>, schema_id: Option<u32>) -> Self {
        Self::Raw(Some((input, schema_id)))
    }
}

impl Iterator for Rows {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Csv(rows) => rows.next_row().transpose(),
            Self::Ndjson(rows) => rows.next_row().transpose(),
            Self::Raw(input) => input.take().map(|(input, schema_id)| raw(input, schema_id)),
        }
    }
}

fn raw(input: Box<dyn BufRead + Send>, schema_id: Option<u32>) -> Result<Row, RowError> {
    let mut value = Vec::new();
    if let Some(id) = schema_id {
        value.push(0);
        value.extend(id.to_be_bytes());
    }
    let failed = |what: String| RowError { line: None, column: None, what };
    let read = input.take(MAX_ROW_BYTES + 1).read_to_end(&mut value).map_err(|error| failed(error.to_string()))?;
    if read as u64 > MAX_ROW_BYTES {
        return Err(failed(format!("more than {} MiB are no record", MAX_ROW_BYTES >> 20)));
    }
    Ok(Row { value, key: None, timestamp_ms: None })
}

impl CsvRows {
    fn next_row(&mut self) -> Result<Option<Row>, RowError> {
        let header = match self.header.take() {
            Some(header) => header,
            None => self.read_header()?,
        };
        let row = self.read_row(&header);
        self.header = Some(header);
        row
    }

    fn read_header(&mut self) -> Result<Header, RowError> {
        let names: Vec<String> = self.reader.headers().map_err(|error| csv_error(&error))?.iter().map(str::to_owned).collect();
        let index = |column: &Option<String>| match column {
            None => Ok(None),
            Some(name) => {
                names.iter().position(|n| n == name).map(Some).ok_or_else(|| RowError::of_column(1, name, "the header has no such column"))
            }
        };
        let (timestamp, key) = (index(&self.columns.timestamp)?, index(&self.columns.key)?);
        let fields: Vec<&str> = self.encoder.fields().collect();
        let goes_in = |index: &usize| fields.contains(&names[*index].as_str()) || (Some(*index) != timestamp && Some(*index) != key);
        let encoded = (0..names.len()).filter(goes_in).collect();
        Ok(Header { names, encoded, timestamp, key })
    }

    fn read_row(&mut self, header: &Header) -> Result<Option<Row>, RowError> {
        let mut record = csv::StringRecord::new();
        if !self.reader.read_record(&mut record).map_err(|error| csv_error(&error))? {
            return Ok(None);
        }
        let line = record.position().map_or(0, csv::Position::line);
        let columns: Vec<&str> = header.encoded.iter().map(|index| header.names[*index].as_str()).collect();
        let cells: Vec<&str> = header.encoded.iter().map(|index| &record[*index]).collect();
        let value = self.encoder.encode_text_row(&columns, &cells).map_err(|error| RowError::of_encoding(line, error))?;
        let at = |index: usize| time::parse(&record[index]).map_err(|what| RowError::of_column(line, &header.names[index], what));
        let timestamp_ms = header.timestamp.map(at).transpose()?;
        let key = header.key.map(|index| record[index].as_bytes().to_vec()).filter(|key| !key.is_empty());
        Ok(Some(Row { value, key, timestamp_ms }))
    }
}

fn csv_error(error: &csv::Error) -> RowError {
    let line = error.position().map(csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("the row has {len} cells, the header {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    RowError { line, column: None, what }
}

impl NdjsonRows {
    /// The next line that is not blank.
    fn next_row(&mut self) -> Result<Option<Row>, RowError> {
        loop {
            let mut text = String::new();
            self.line += 1;
            let line = self.line;
            let read =
                (&mut self.input).take(MAX_ROW_BYTES).read_line(&mut text).map_err(|error| RowError::new(line, error.to_string()))?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == MAX_ROW_BYTES && !text.ends_with('\n') {
                return Err(RowError::new(line, format!("the line is longer than {} MiB", MAX_ROW_BYTES >> 20)));
            }
            if !text.trim().is_empty() {
                return self.encode(&text, line).map(Some);
            }
        }
    }

    fn encode(&self, text: &str, line: u64) -> Result<Row, RowError> {
        let (mut timestamp_ms, mut key) = (None, None);
        if self.columns.timestamp.is_some() || self.columns.key.is_some() {
            let value: Value = serde_json::from_str(text).map_err(|error| {
                // The error counts lines within the text, which has one.
                let what = error.to_string();
                RowError::not_json(line, error.column(), what.split(" at line ").next().unwrap_or_default())
            })?;
            if let Some((name, text)) = self.column(&value, &self.columns.timestamp, line)? {
                timestamp_ms = Some(time::parse(&text).map_err(|what| RowError::of_column(line, name, what))?);
            }
            key = self.column(&value, &self.columns.key, line)?.map(|(_, text)| text.into_bytes());
        }
        let value = self.encoder.encode_json(text.as_bytes()).map_err(|error| RowError::of_encoding(line, error))?;
        Ok(Row { value, key, timestamp_ms })
    }

    /// Name and text of a scalar column.
    fn column<'a>(&self, row: &Value, column: &'a Option<String>, line: u64) -> Result<Option<(&'a str, String)>, RowError> {
        let Some(name) = column else { return Ok(None) };
        match row.get(name) {
            Some(Value::String(text)) => Ok(Some((name, text.clone()))),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some((name, value.to_string()))),
            Some(Value::Null) | None => Err(RowError::of_column(line, name, "the row has no such value")),
            Some(_) => Err(RowError::of_column(line, name, "a list or an object cannot be a timestamp or a key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}, {"name": "n", "type": ["null", "int"], "default": null}]}"#;

    fn input(text: &str) -> Box<dyn BufRead + Send> {
        Box::new(std::io::Cursor::new(text.as_bytes().to_vec()))
    }

    fn encoder() -> AvroEncoder {
        columns(Some("at"), None).encoder(SCHEMA, 5).unwrap()
    }

    fn columns(timestamp: Option<&str>, key: Option<&str>) -> Columns {
        Columns { timestamp: timestamp.map(str::to_owned), key: key.map(str::to_owned) }
    }

    fn errors(rows: Rows) -> Vec<String> {
        rows.filter_map(Result::err).map(|error| error.text("in")).take(3).collect()
    }

    /// Frame, string "x", null or int.
    fn value(n: Option<i8>) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 5, 2, b'x'];
        match n {
            None => bytes.push(0),
            Some(n) => bytes.extend([2, (n * 2) as u8]),
        }
        bytes
    }

    #[test]
    fn csv_and_ndjson_give_the_same_records() {
        let csv = Rows::csv(input("a,at,n\nx,2013-01-01T06:00:00Z,3\nx,7,\n"), encoder(), columns(Some("at"), Some("a")));
        let json = "{\"a\": \"x\", \"n\": 3, \"at\": \"2013-01-01T06:00:00Z\"}\n\n{\"a\": \"x\", \"at\": 7}";
        let ndjson = Rows::ndjson(input(json), encoder(), columns(Some("at"), Some("a")));
        let expected = vec![
            Row { value: value(Some(3)), key: Some(b"x".to_vec()), timestamp_ms: Some(1_357_020_000_000) },
            Row { value: value(None), key: Some(b"x".to_vec()), timestamp_ms: Some(7) },
        ];
        assert_eq!(csv.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        assert_eq!(ndjson.collect::<Result<Vec<_>, _>>().unwrap(), expected);
    }

    #[test]
    fn raw_is_one_record_framed_or_not() {
        let one = |schema_id| Rows::raw(input("ab\n"), schema_id).map(|row| row.unwrap().value).collect::<Vec<_>>();
        assert_eq!(one(None), [b"ab\n".to_vec()]);
        assert_eq!(one(Some(258)), [vec![0, 0, 0, 1, 2, b'a', b'b', b'\n']]);
    }

    #[test]
    fn errors_name_line_and_column() {
        assert_eq!(errors(Rows::csv(input("a,n\nx,1\nx,many\n"), encoder(), Columns::default()))[0].split(": ").next(), Some("in:3"));
        assert!(errors(Rows::csv(input("a,n\nx,1\nx,many\n"), encoder(), Columns::default()))[0].starts_with("in:3: column `n`: "));
        assert_eq!(errors(Rows::csv(input("a,n\nx\n"), encoder(), Columns::default())), ["in:2: the row has 1 cells, the header 2"]);
        assert!(errors(Rows::csv(input("a,b\nx,1\n"), encoder(), Columns::default()))[0].starts_with("in:2: column `b`: "));
        assert_eq!(
            errors(Rows::csv(input("a\nx\n"), encoder(), columns(Some("at"), None)))[0],
            "in:1: column `at`: the header has no such column"
        );
        assert_eq!(
            errors(Rows::csv(input("a,at\nx,soon\n"), encoder(), columns(Some("at"), None))),
            ["in:2: column `at`: `soon` is no time"]
        );
        let rows = |text: &str| errors(Rows::ndjson(input(text), encoder(), columns(None, Some("a"))));
        assert!(rows("{\"a\": \"x\"}\n{\"a\": }\n")[0].starts_with("in:2: not JSON at character "));
        assert!(rows("{\"a\": \"x\", \"n\": \"1\"}\n")[0].starts_with("in:1: column `n`: "));
        assert_eq!(rows("{\"n\": 1}\n"), ["in:1: column `a`: the row has no such value"]);
        assert_eq!(rows("{\"a\": [1]}\n"), ["in:1: column `a`: a list or an object cannot be a timestamp or a key"]);
    }
}

//! Whether each table's settings fit its schema.
use super::{CheckedTable, Fault};
use arrow::datatypes::{DataType, TimeUnit};
use event_schema::{SchemaFolder, SubjectSchema, TableSchema};
use service_runtime::settings::{KAFKA_TIMESTAMP, Places, Settings, TableConfig, closest};
use table_log::{LakePartition, TableName, key::Layout};
use windowing::{Time, WindowSize};

/// What a column is used for.
#[derive(Clone, Copy, Debug)]
enum Use {
    EventTime,
    Partition,
    /// `dedupe_by` and `sort_by`.
    Order,
}

impl Use {
    fn fits(self, kind: &DataType) -> bool {
        match self {
            Self::EventTime => matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _)),
            Self::Partition => match kind {
                DataType::Dictionary(_, value) => **value == DataType::Utf8,
                kind => matches!(kind, DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Boolean),
            },
            Self::Order => !kind.is_nested(),
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::EventTime => "the event time must be a timestamp",
            Self::Partition => "partition columns are strings, enums, ints, longs, dates or booleans",
            Self::Order => "it must not be an array, a map or a record",
        }
    }
}

struct Checker<'a> {
    file: &'a str,
    settings: &'a Settings,
    places: &'a Places,
    faults: Vec<Fault>,
}

/// All tables, or the faults of all.
pub(super) fn check(file: &str, settings: &Settings, places: &Places, schemas: &SchemaFolder) -> Result<Vec<CheckedTable>, Vec<Fault>> {
    let mut checker = Checker { file, settings, places, faults: Vec::new() };
    let tables = settings.tables.iter().filter_map(|(name, table)| checker.table(name, table, schemas)).collect();
    if checker.faults.is_empty() { Ok(tables) } else { Err(checker.faults) }
}

impl Checker<'_> {
    fn fault(&mut self, path: &str, what: String, suggestion: Option<String>) {
        let line = self.places.line(path);
        self.faults.push(Fault { file: self.file.to_owned(), line, path: path.to_owned(), what, suggestion });
    }

    fn table(&mut self, name: &str, table: &TableConfig, schemas: &SchemaFolder) -> Option<CheckedTable> {
        let Some(subject) = schemas.latest(&table.subject) else {
            let subjects = schemas.subjects();
            let known = subjects.keys().map(String::as_str).collect::<Vec<_>>();
            let what = format!("subject `{}` has no schema in `{}`", table.subject, self.settings.schemas.display());
            let suggestion = closest(&table.subject, &known).unwrap_or_else(|| format!("write it to `{}/v1.avsc`", table.subject));
            self.fault(&format!("tables.{name}.subject"), what, Some(suggestion));
            return None;
        };
        let schema = self.schema(subject)?;
        self.derived_columns(name, table, &schema, subject);
        self.columns(name, table, &schema);
        Some(CheckedTable {
            table: name.to_owned(),
            topics: table.topics.iter().map(|topic| topic.topic.clone()).collect(),
            subject: table.subject.clone(),
            schema_version: subject.version,
            schema_id: subject.id,
            event_time: table.event_time.clone().unwrap_or_else(|| KAFKA_TIMESTAMP.to_owned()),
            window: table.window.to_string(),
            columns: schema.arrow().fields().len(),
        })
    }

    fn schema(&mut self, subject: &SubjectSchema) -> Option<TableSchema> {
        let error = match TableSchema::parse(&subject.avro_json) {
            Ok(schema) => return Some(schema),
            Err(error) => error,
        };
        let file = self.schema_file(subject);
        let place = |fault: &event_schema::SchemaFault| Fault {
            file: file.clone(),
            line: None,
            path: fault.path.clone(),
            what: fault.what.clone(),
            suggestion: None,
        };
        // Two tables of one subject need not say it twice.
        for fault in error.faults.iter().map(place) {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
        None
    }

    fn schema_file(&self, subject: &SubjectSchema) -> String {
        if self.settings.schema_registry.is_some() {
            return format!("subject `{}` version {}", subject.subject, subject.version);
        }
        self.settings.schemas.join(&subject.subject).join(format!("v{}.avsc", subject.version)).display().to_string()
    }

    /// Data columns must not have the names that the table's folders get from time.
    fn derived_columns(&mut self, name: &str, table: &TableConfig, schema: &TableSchema, subject: &SubjectSchema) {
        let window = WindowSize::new(table.window.into()).expect("loading the settings refuses other windows");
        let layout = Layout { table: TableName(name.to_owned()), window, partition_by: Vec::new() };
        let derived = layout.partition_values(&LakePartition { window_start: Time(0), values: Vec::new() });
        let derived = derived.iter().map(|(column, _)| column.as_str()).collect::<Vec<_>>();
        if let Err(error) = schema.check_against(&derived) {
            let file = self.schema_file(subject);
            for fault in error.faults {
                self.faults.push(Fault { file: file.clone(), line: None, path: fault.path, what: fault.what, suggestion: None });
            }
        }
    }

    fn columns(&mut self, name: &str, table: &TableConfig, schema: &TableSchema) {
        let at = |key: &str| format!("tables.{name}.{key}");
        if let Some(column) = &table.event_time {
            self.column(&at("event_time"), column, Use::EventTime, schema);
        }
        let lists = [
            ("partition_by", &table.partition_by, Use::Partition),
            ("dedupe_by", &table.dedupe_by, Use::Order),
            ("sort_by", &table.sort_by, Use::Order),
        ];
        for (key, columns, used) in lists {
            for (index, column) in columns.iter().enumerate() {
                self.column(&format!("{}[{index}]", at(key)), column, used, schema);
            }
        }
        if !table.partition_by.is_empty() && schema.arrow().fields().iter().all(|field| table.partition_by.contains(field.name())) {
            self.fault(&at("partition_by"), "no column is left for the files".to_owned(), Some("leave one out".to_owned()));
        }
    }

    fn column(&mut self, path: &str, column: &str, used: Use, schema: &TableSchema) {
        match schema.arrow().field_with_name(column) {
            Ok(field) if used.fits(field.data_type()) => {}
            Ok(_) => {
                let kind = schema.columns().into_iter().find(|known| known.name == column).map(|known| known.glue_type).unwrap_or_default();
                let what = format!("column `{column}` is of type `{kind}`");
                self.fault(path, what, Some(used.wanted().to_owned()));
            }
            Err(_) => {
                let fitting = schema.arrow().fields().iter().filter(|field| used.fits(field.data_type()));
                let known = fitting.map(|field| field.name().as_str()).collect::<Vec<_>>();
                let suggestion = closest(column, &known).or_else(|| Some("the schema has no column that could be meant".to_owned()));
                self.fault(path, format!("the schema has no column `{column}`"), suggestion);
            }
        }
    }
}

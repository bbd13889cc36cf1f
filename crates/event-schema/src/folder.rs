//! Schemas from files: `schemas/<subject>/v<N>.avsc`, each with its id in the top-level attribute `"schema_id"`.
//!
//! Other files than `*.avsc` are ignored, so that a folder may hold its README. Whether a table can use a schema is checked by
//! [`crate::TableSchema::parse`]; the folder only wants valid Avro.
use crate::{
    RefusalCode,
    schema::{MAX_SCHEMA_BYTES, parse_avro},
    source::{LatestError, SchemaLookup, SchemaSource, WriterSchema},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Registries count ids as signed 32-bit numbers.
const MAX_SCHEMA_ID: u32 = i32::MAX.cast_unsigned();

/// One schema of a subject.
#[derive(Clone, Debug)]
pub struct SubjectSchema {
    /// Subject: the name of its folder.
    pub subject: String,
    /// Version from 1.
    pub version: u32,
    /// Id in the records' header.
    pub id: u32,
    /// The file's text.
    pub avro_json: String,
}

/// All schemas of a folder.
#[derive(Debug, Default)]
pub struct SchemaFolder {
    subjects: BTreeMap<String, Vec<Arc<SubjectSchema>>>,
    by_id: HashMap<u32, Arc<SubjectSchema>>,
}

impl SchemaFolder {
    /// Reads the folder. Returns all faults at once, each starting with the file's path: unreadable, not Avro, no or bad `schema_id`, an id
    /// that another file has, versions with a hole.
    pub fn load(folder: &Path) -> Result<Self, Vec<String>> {
        let mut loading = Loading::default();
        loading.read_root(folder);
        if loading.faults.is_empty() { Ok(loading.found) } else { Err(loading.faults) }
    }

    /// The schema with an id.
    pub fn by_id(&self, id: u32) -> Option<&Arc<SubjectSchema>> {
        self.by_id.get(&id)
    }

    /// The highest version of a subject.
    pub fn latest(&self, subject: &str) -> Option<&Arc<SubjectSchema>> {
        self.subjects.get(subject).and_then(|versions| versions.last())
    }

    /// All subjects, each with its versions in ascending order.
    pub fn subjects(&self) -> BTreeMap<String, Vec<Arc<SubjectSchema>>> {
        self.subjects.clone()
    }

    /// A folder of one subject without files, whose versions are counted from 1 in the order given; a repeated id takes the later schema.
    pub fn from_schemas(subject: &str, schemas: impl IntoIterator<Item = (u32, String)>) -> Self {
        let mut folder = Self::default();
        for (index, (id, avro_json)) in schemas.into_iter().enumerate() {
            let version = u32::try_from(index + 1).expect("fewer versions than u32 holds");
            folder.add(SubjectSchema { subject: subject.to_owned(), version, id, avro_json });
        }
        folder
    }

    /// A folder without files, of one schema per subject.
    pub fn from_subjects(schemas: impl IntoIterator<Item = SubjectSchema>) -> Self {
        let mut folder = Self::default();
        schemas.into_iter().for_each(|schema| folder.add(schema));
        folder
    }

    fn add(&mut self, schema: SubjectSchema) {
        let schema = Arc::new(schema);
        self.by_id.insert(schema.id, schema.clone());
        self.subjects.entry(schema.subject.clone()).or_default().push(schema);
    }
}

/// Never pending: what is not in the folder when it is loaded is unknown for good.
#[async_trait]
impl SchemaSource for SchemaFolder {
    fn lookup(&self, id: u32) -> SchemaLookup {
        match self.by_id.get(&id) {
            Some(found) => SchemaLookup::Found(Arc::new(WriterSchema { id, avro_json: found.avro_json.clone() })),
            None => SchemaLookup::Refused { code: RefusalCode::UnknownSchema, detail: format!("no schema has the id `{id}`") },
        }
    }

    fn pending_reason(&self, _: u32) -> Option<String> {
        None
    }

    async fn latest(&self, subject: &str) -> Result<SubjectSchema, LatestError> {
        let missing = || LatestError::Missing(format!("subject `{subject}` has no schema"));
        Self::latest(self, subject).map(|found| SubjectSchema::clone(found)).ok_or_else(missing)
    }
}

#[derive(Default)]
struct Loading {
    found: SchemaFolder,
    files: HashMap<u32, PathBuf>,
    faults: Vec<String>,
}

impl Loading {
    fn fault(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.faults.push(format!("{}: {what}", path.display()));
    }

    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let listed = fs::read_dir(folder).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>());
        match listed {
            Ok(mut paths) => {
                paths.sort();
                paths
            }
            Err(error) => {
                self.fault(folder, format_args!("cannot read the folder: {error}"));
                Vec::new()
            }
        }
    }

    fn read_root(&mut self, root: &Path) {
        for path in self.entries(root) {
            let Some(name) = file_name(&path) else {
                self.fault(&path, "the name is not UTF-8");
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.read_subject(&path, &name);
            } else if name.to_lowercase().ends_with(".avsc") {
                self.fault(&path, "a schema belongs in the folder of its subject: `<subject>/v1.avsc`");
            }
        }
    }

    fn read_subject(&mut self, folder: &Path, subject: &str) {
        let mut versions = BTreeMap::new();
        for path in self.entries(folder) {
            let name = file_name(&path).unwrap_or_default();
            if name.starts_with('.') || !name.to_lowercase().ends_with(".avsc") {
                continue;
            }
            match version_of(&name) {
                Some(version) => {
                    versions.insert(version, path);
                }
                None => self.fault(&path, "the name is not `v<N>.avsc` with a version from 1, such as `v1.avsc`"),
            }
        }
        if versions.is_empty() {
            self.fault(folder, "the subject has no schema: add `v1.avsc`");
        }
        for (expected, (version, path)) in (1u32..).zip(&versions) {
            if *version != expected {
                self.fault(path, format_args!("version `{expected}` of the subject is missing"));
                break;
            }
        }
        for (version, path) in versions {
            self.read_schema(&path, subject, version);
        }
    }

    fn read_schema(&mut self, path: &Path, subject: &str, version: u32) {
        let id = match read_schema_file(path) {
            Ok((id, avro_json)) => {
                self.found.add(SubjectSchema { subject: subject.to_owned(), version, id, avro_json });
                id
            }
            Err(what) => return self.fault(path, what),
        };
        if let Some(other) = self.files.insert(id, path.to_owned()) {
            self.fault(path, format_args!("schema_id `{id}` is already that of {}", other.display()));
        }
    }
}

/// Id and text of a schema file.
fn read_schema_file(path: &Path) -> Result<(u32, String), String> {
    let bytes = fs::metadata(path).map_err(|error| format!("cannot read the file: {error}"))?.len();
    if bytes > MAX_SCHEMA_BYTES as u64 {
        return Err(format!("the schema has `{bytes}` bytes, the limit is `{MAX_SCHEMA_BYTES}`"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    let id = match json.get("schema_id") {
        None => {
            return Err(
                "the top-level attribute `schema_id` is missing: add the id that the records carry, such as `\"schema_id\": 1`".to_owned()
            );
        }
        Some(value) => value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .filter(|id| *id <= MAX_SCHEMA_ID)
            .ok_or_else(|| format!("schema_id `{value}` is not an integer from 0 to `{MAX_SCHEMA_ID}`"))?,
    };
    parse_avro(&text).map_err(|error| error.faults.iter().map(|f| f.what.clone()).collect::<Vec<_>>().join("; "))?;
    Ok((id, text))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

/// The version of `v<N>.avsc`; no leading zeros, so that no two names mean the same version.
fn version_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('v')?.strip_suffix(".avsc")?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;

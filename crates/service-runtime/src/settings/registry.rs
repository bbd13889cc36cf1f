//! The schema registry.
use super::meaning::Checker;
use super::units::{ByteSize, Duration};
use event_schema::registry::{Credentials, RegistrySettings, check_url};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Most bytes of a file that holds a secret.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A schema registry with Confluent's interface, in place of the folder `schemas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub struct SchemaRegistrySettings {
    /// Base URL, `https` or `http`; several, separated by commas, are tried in order. Example: `https://registry.example.com:8081`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// User or API key of basic authentication; goes with `password` or `password_file`.
    pub username: Option<String>,
    /// Its password or API secret. Better than in the file: a variable. Example: `${REGISTRY_PASSWORD}`.
    pub password: Option<Secret>,
    /// File that holds the password, read at the start. Example: `/run/secrets/registry-password`.
    pub password_file: Option<PathBuf>,
    /// Bearer token, in place of user and password. Example: `${REGISTRY_TOKEN}`.
    pub token: Option<Secret>,
    /// File that holds the token, read at the start. Example: `/run/secrets/registry-token`.
    pub token_file: Option<PathBuf>,
    /// URL of a proxy for these calls. Without it none is used, whatever the environment says. Example: `http://proxy:3128`.
    pub proxy: Option<String>,
    /// A call that takes longer is given up and made again: 100ms to 1m.
    pub timeout: Duration,
    /// A record whose schema id the registry does not have waits this long for it before it is refused: 0s to 1h. Its kafka_partition waits with it, others go on.
    pub unknown_schema_wait: Duration,
    /// An answer of more bytes is not read: 64KiB to 64MiB.
    pub max_answer_bytes: ByteSize,
    /// Texts of schemas that are kept in memory: at least 1MiB.
    pub cache_bytes: ByteSize,
    /// Calls in a second at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub calls_per_second: u32,
    /// Whether the registry may have a link-local address (169.254.0.0/16, fe80::/10). On cloud machines these give out credentials, so only if it really has one.
    pub allow_link_local: bool,
}

impl Default for SchemaRegistrySettings {
    fn default() -> Self {
        let defaults = RegistrySettings::default();
        Self {
            url: String::new(),
            username: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            proxy: None,
            timeout: Duration(defaults.timeout),
            unknown_schema_wait: Duration(defaults.unknown_schema_wait),
            max_answer_bytes: ByteSize(defaults.max_answer_bytes as u64),
            cache_bytes: ByteSize(defaults.cache_bytes),
            calls_per_second: defaults.calls_per_second,
            allow_link_local: defaults.allow_link_local,
        }
    }
}

/// Text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Text that is never shown." })
    }
}

impl SchemaRegistrySettings {
    /// For the registry's client; reads the files that hold secrets.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn to_registry(&self) -> Result<RegistrySettings, String> {
        let secret = |text: &Option<Secret>, file: &Option<PathBuf>| match (text, file) {
            (Some(text), _) => Ok(text.reveal().to_owned()),
            (None, Some(file)) => read_secret(file),
            (None, None) => Ok(String::new()),
        };
        let token = secret(&self.token, &self.token_file)?;
        let credentials = match &self.username {
            Some(username) => Credentials::Basic { username: username.clone(), password: secret(&self.password, &self.password_file)? },
            None if token.is_empty() => Credentials::None,
            None => Credentials::Token(token),
        };
        Ok(RegistrySettings {
            urls: self.urls().map(str::to_owned).collect(),
            credentials,
            proxy: self.proxy.clone(),
            timeout: self.timeout.0,
            max_answer_bytes: usize::try_from(self.max_answer_bytes.0).unwrap_or(usize::MAX),
            allow_link_local: self.allow_link_local,
            unknown_schema_wait: self.unknown_schema_wait.0,
            calls_per_second: self.calls_per_second,
            cache_bytes: self.cache_bytes.0,
        })
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
    }

    /// Paths are relative to the settings file.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for file in [&mut self.password_file, &mut self.token_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }
}

fn read_secret(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("`{}` cannot be read: {error}", file.display());
    if std::fs::metadata(file).map_err(cannot)?.len() > MAX_SECRET_BYTES {
        return Err(format!("`{}` is too large for a secret", file.display()));
    }
    std::fs::read_to_string(file).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).map_err(cannot)
}

/// What types cannot say.
pub(super) fn check(checker: &mut Checker<'_>, registry: &SchemaRegistrySettings, folder_is_given: bool) {
    if folder_is_given {
        checker.fault("schema_registry", "is given beside `schemas`", "schemas come from one of them: remove the other");
    }
    for url in registry.urls() {
        if let Err((what, suggestion)) = check_url(url, registry.allow_link_local) {
            checker.fault("schema_registry.url", what, suggestion);
        }
    }
    if let Some(proxy) = &registry.proxy
        && let Err((what, suggestion)) = check_url(proxy, true)
    {
        checker.fault("schema_registry.proxy", what, suggestion);
    }
    let at = |key: &str| format!("schema_registry.{key}");
    let given = [
        ("password", registry.password.is_some()),
        ("password_file", registry.password_file.is_some()),
        ("token", registry.token.is_some()),
        ("token_file", registry.token_file.is_some()),
    ];
    let given: Vec<&str> = given.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
    match (registry.username.is_some(), given.as_slice()) {
        (false, []) | (true, ["password" | "password_file"]) | (false, ["token" | "token_file"]) => {}
        (true, []) => checker.fault(&at("username"), "has no password", "give `password` or `password_file`"),
        (false, ["password" | "password_file"]) => checker.fault(&at(given[0]), "has no user", "give `username`"),
        (_, several) => {
            let last = several.last().expect("other lengths are above");
            checker.fault(&at(last), "is one of several ways to say who asks", "keep `username` with one password, or one token");
        }
    }
    checker.duration(&at("timeout"), registry.timeout, Duration::from_millis(100), Duration::from_secs(60));
    checker.duration(&at("unknown_schema_wait"), registry.unknown_schema_wait, Duration::from_secs(0), Duration::from_secs(3_600));
    checker.at_least(&at("max_answer_bytes"), registry.max_answer_bytes, ByteSize(64 << 10));
    checker.at_least(&at("cache_bytes"), registry.cache_bytes, ByteSize(1 << 20));
    if registry.max_answer_bytes > ByteSize(64 << 20) {
        checker.fault(&at("max_answer_bytes"), format!("`{}` is too large", registry.max_answer_bytes), "write at most 64MiB");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, SettingsFault as Fault};
    use super::*;

    fn parse(registry: &str, more: &str) -> Result<Settings, Vec<Fault>> {
        let text = format!(
            "lake: ./lake\nkafka: {{bootstrap_servers: \"a:1\"}}\ntables: {{t: {{topics: [t]}}}}\nlake_writer: {{instance: w}}\nschema_registry: {registry}\n{more}"
        );
        let lookup = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
        Settings::parse("f", &text, &lookup).map(|(settings, _)| settings).map_err(|error| error.faults)
    }

    #[test]
    fn secrets_come_from_variables_and_files_and_are_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "hunter3\n").expect("a file");
        let settings = parse("{url: \"http://a:1, http://b:2/x/\", username: u, password: \"${SECRET}\"}", "").expect("no faults");
        let registry = settings.schema_registry.clone().expect("given");
        let made = registry.to_registry().expect("no files");
        assert!(matches!(&made.credentials, Credentials::Basic { username, password } if username == "u" && password == "hunter2"));
        assert_eq!(made.urls, ["http://a:1", "http://b:2/x/"]);
        let shown = format!("{settings:?} {made:?} {}", serde_json::to_string(&registry).expect("JSON"));
        assert!(!shown.contains("hunter"), "{shown}");
        let mut registry = parse("{url: \"http://a:1\", token_file: token}", "").expect("no faults").schema_registry.expect("given");
        assert!(registry.to_registry().expect_err("no such file").contains("token"));
        registry.resolve_paths(folder.path());
        let made = registry.to_registry().expect("a file");
        assert!(matches!(&made.credentials, Credentials::Token(token) if token == "hunter3"));
    }

    #[test]
    fn faults_say_what_to_write_and_show_no_secret() {
        for (registry, more, path, part) in [
            ("{url: \"http://a:1\"}", "schemas: avro", "schema_registry", "beside `schemas`"),
            ("{}", "", "schema_registry.url", "is missing"),
            ("{url: \"http://u:hunter2@a:1\"}", "", "schema_registry.url", "holds a user or a password"),
            ("{url: \"http://a:1,http://u:hunter2@a:1\"}", "", "schema_registry.url", "holds a user or a password"),
            ("{url: \"http://169.254.169.254\"}", "", "schema_registry.url", "link-local"),
            ("{url: \"http://a:1\", proxy: \"http://u:hunter2@p:1\"}", "", "schema_registry.proxy", "holds a user or a password"),
            ("{url: \"http://a:1\", username: u}", "", "schema_registry.username", "has no password"),
            ("{url: \"http://a:1\", password: hunter2}", "", "schema_registry.password", "has no user"),
            ("{url: \"http://a:1\", token: hunter2, token_file: f}", "", "schema_registry.token_file", "one of several"),
            ("{url: \"http://a:1\", username: u, password: hunter2, token: hunter2}", "", "schema_registry.token", "one of several"),
            ("{url: \"http://a:1\", username: u, password: 734523}", "", "schema_registry.password", "expected text"),
            ("{url: \"http://a:1\", timeout: 1ms}", "", "schema_registry.timeout", "out of range"),
            ("{url: \"http://a:1\", calls_per_second: 0}", "", "schema_registry.calls_per_second", "out of range"),
            ("{url: \"http://a:1\", max_answer_bytes: 1GiB}", "", "schema_registry.max_answer_bytes", "too large"),
        ] {
            let faults = parse(registry, more).expect_err(registry);
            let text = format!("{faults:?}");
            assert!(faults.iter().any(|fault| fault.path == path && fault.what.contains(part)), "{registry}: {text}");
            assert!(!text.contains("hunter2") && !text.contains("734523"), "{text}");
        }
        parse("{url: \"http://169.254.169.254\", allow_link_local: true}", "").expect("allowed");
    }
}

//! How to reach a registry, and what it may cost.
use super::address::forbidden_address;
use reqwest::Url;
use std::{fmt, net::IpAddr, time::Duration};

/// How to reach a registry, and what it may cost.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Base URLs, tried in order; each as [`check_url`] wants it.
    pub urls: Vec<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// URL of a proxy; `None`: none, whatever the environment says.
    pub proxy: Option<String>,
    /// Time for a connection, and for a whole call.
    pub timeout: Duration,
    /// An answer of more bytes counts as trouble of the registry.
    pub max_answer_bytes: usize,
    /// Whether link-local addresses may be called; cloud machines give out credentials there.
    pub allow_link_local: bool,
    /// How long an id is asked for again that the registry says it does not have.
    pub unknown_schema_wait: Duration,
    /// Calls at most, of all kinds together.
    pub calls_per_second: u32,
    /// Texts of schemas that are kept.
    pub cache_bytes: u64,
}

/// Who asks. Never shown.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// HTTP basic authentication.
    Basic {
        /// User, or API key.
        username: String,
        /// Password, or API secret.
        password: String,
    },
    /// A bearer token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            credentials: Credentials::None,
            proxy: None,
            timeout: Duration::from_secs(5),
            max_answer_bytes: 1 << 20,
            allow_link_local: false,
            unknown_schema_wait: Duration::from_secs(120),
            calls_per_second: 100,
            cache_bytes: 64 << 20,
        }
    }
}

/// Checks a base URL and returns it without a slash at its end. The message of an error never holds what a URL hides: user and password.
///
/// # Errors
/// What is wrong and what to write: no URL, another scheme than http and https, user or password in it, a query or fragment, or a
/// link-local address that is not allowed.
pub fn check_url(text: &str, allow_link_local: bool) -> Result<String, (String, &'static str)> {
    const FORM: &str = "write such as `https://registry.example.com:8081`";
    let url = Url::parse(text.trim()).map_err(|error| (format!("is no URL: {error}"), FORM))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(("is no URL of http or https".to_owned(), FORM));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("holds a user or a password".to_owned(), "give them as `username` and `password`, where they are not shown"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("has a query or a fragment".to_owned(), FORM));
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if !allow_link_local && address.is_some_and(forbidden_address) {
        return Err((format!("`{host}` is a link-local address"), "if it is really meant, set `allow_link_local: true`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_show_no_password() {
        assert_eq!(check_url(" https://registry:8081/api/ ", false).as_deref(), Ok("https://registry:8081/api"));
        assert_eq!(check_url("http://[::1]:8081", false).as_deref(), Ok("http://[::1]:8081"));
        for (text, what) in [
            ("registry:8081", "is no URL of http or https"),
            ("ftp://registry", "is no URL of http or https"),
            ("http://u:secret-1@registry", "holds a user or a password"),
            ("http://secret-1@registry", "holds a user or a password"),
            ("http://u:secret-1@[x", "is no URL: invalid IPv6 address"),
            ("http://registry?token=secret-1", "has a query or a fragment"),
            ("http://169.254.169.254/", "`169.254.169.254` is a link-local address"),
            ("http://2852039166/", "`169.254.169.254` is a link-local address"),
            ("http://[fe80::1]/", "`[fe80::1]` is a link-local address"),
            ("http://[::ffff:169.254.169.254]/", "`[::ffff:a9fe:a9fe]` is a link-local address"),
            ("http://[fd00:ec2::254]/", "`[fd00:ec2::254]` is a link-local address"),
        ] {
            let error = check_url(text, false).expect_err(text);
            assert_eq!(error.0, what, "{text}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert_eq!(check_url("http://169.254.169.254/", true).as_deref(), Ok("http://169.254.169.254"));
    }

    #[test]
    fn credentials_are_never_shown() {
        let basic = Credentials::Basic { username: "key".into(), password: "secret".into() };
        let settings = RegistrySettings { credentials: basic, ..RegistrySettings::default() };
        assert!(!format!("{settings:?} {:?}", Credentials::Token("secret".into())).contains("secret"));
    }
}

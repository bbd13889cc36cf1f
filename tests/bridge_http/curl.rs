//! curl as the client, and each of its answers held against the OpenAPI document.
use crate::contract;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, process::Command};

/// A request for curl.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("`{}` is not JSON: {error}", self.body))
    }

    /// The code of an error.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

impl Request {
    pub fn header(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Runs curl; `Err`: no answer, with curl's text.
    pub fn send(&self) -> Result<Answer, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "90", "--noproxy", "*", "-w", "%{http_code}", "-X", self.method]);
        curl.arg("-D").arg(at("headers")).arg("-o").arg(at("body"));
        if let Some(body) = &self.body {
            std::fs::write(at("request"), body).expect("write the body");
            curl.arg("--data-binary").arg(format!("@{}", at("request").display()));
        }
        for header in &self.headers {
            curl.args(["-H", header]);
        }
        let output = curl.args(&self.arguments).arg(&self.url).output().expect("run curl");
        let status: u16 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_default();
        if status == 0 {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines = read(&at("headers"));
        let headers = lines.lines().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned())).collect();
        let answer = Answer { status, headers, body: read(&at("body")) };
        let path = self.url.splitn(4, '/').nth(3).unwrap_or_default();
        contract::hold(self.method, &format!("/{path}"), &answer);
        Ok(answer)
    }

    /// As [`Self::send`], where an answer must come.
    pub fn must(&self) -> Answer {
        self.send().unwrap_or_else(|error| panic!("{self:?}: no answer: {error}"))
    }
}

use super::ExitCode;
use service_runtime::settings::SettingsError;

/// An error with its exit code and what to do about it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: ExitCode,
    /// What happened and where.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Failure {
    /// A service or I/O failed (exit 1).
    pub fn failed(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit: ExitCode::Failed, what: what.into(), fix: fix.into() }
    }

    /// Settings or usage are wrong (exit 2).
    pub fn usage(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit: ExitCode::Usage, what: what.into(), fix: fix.into() }
    }

    /// A table is stopped and a person must act (exit 4).
    pub fn stopped(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit: ExitCode::Stopped, what: what.into(), fix: fix.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// Exit code of an error: that of the first [`Failure`] or settings fault in its chain, else 1.
pub(super) fn exit_of(error: &anyhow::Error) -> ExitCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    if error.downcast_ref::<SettingsError>().is_some() {
        return ExitCode::Usage;
    }
    ExitCode::Failed
}

/// `error: what: cause` and, where known, `help: what to do`.
pub(super) fn to_text(error: &anyhow::Error) -> String {
    let mut text = format!("error: {}", chain(error));
    if let Some(failure) = error.downcast_ref::<Failure>()
        && !failure.fix.is_empty()
    {
        text.push_str("\nhelp: ");
        text.push_str(&failure.fix);
    }
    text
}

pub(super) fn to_json(error: &anyhow::Error, exit: ExitCode) -> serde_json::Value {
    let help = error.downcast_ref::<Failure>().map(|failure| failure.fix.as_str()).filter(|fix| !fix.is_empty());
    serde_json::json!({ "error": chain(error), "exit": exit.code(), "help": help })
}

/// The causes, outermost first; a cause that its parent's text already ends with is not repeated.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_keeps_exit_code_and_help() {
        let error = Err::<(), _>(anyhow::Error::from(Failure::stopped("topic `a` was created again", "run `tributary repair restart`")))
            .context("run table `t`")
            .expect_err("an error");
        assert_eq!(exit_of(&error), ExitCode::Stopped);
        assert_eq!(to_text(&error), "error: run table `t`: topic `a` was created again\nhelp: run `tributary repair restart`");
        assert_eq!(to_json(&error, ExitCode::Stopped)["exit"], 4);
    }

    #[test]
    fn plain_errors_exit_with_1_and_repeat_no_cause() {
        let error = anyhow::anyhow!("disk is full").context("write `x`: disk is full");
        assert_eq!(exit_of(&error), ExitCode::Failed);
        assert_eq!(to_text(&error), "error: write `x`: disk is full");
    }
}

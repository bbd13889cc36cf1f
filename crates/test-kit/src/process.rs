//! Signals and states of processes.
use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A signal to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks to stop in order.
    Terminate,
    /// Ends at once.
    Kill,
    /// Freezes.
    Stop,
    /// Thaws.
    Continue,
}

/// Sends a signal to a process that we started.
pub(crate) fn send(signal: Signal, process_id: u32) -> Result<()> {
    let name = match signal {
        Signal::Terminate => "-TERM",
        Signal::Kill => "-KILL",
        Signal::Stop => "-STOP",
        Signal::Continue => "-CONT",
    };
    let status = Command::new("kill").args([name, &process_id.to_string()]).stderr(Stdio::null()).status().context("run `kill`")?;
    ensure!(status.success(), "process {process_id} is gone");
    Ok(())
}

/// Whether a process runs: it exists and has not ended. One that ended and was not waited for yet counts as ended.
pub(crate) fn is_running(process_id: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process_id}/stat")) else { return false };
    // The state is the first field after the name, which is in parentheses and may hold anything.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// What to install when a program is missing.
pub(crate) fn missing_program(program: &str, packages: &str) -> String {
    format!("`{program}` did not start: install it (Debian: `apt-get install {packages}`)")
}

/// The end of a log, for error messages.
pub(crate) fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Runs a program to its end; its output is in the error.
pub(crate) fn run(command: &mut Command, packages: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| missing_program(&program, packages))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "`{program}` ended with {}:\n{}\n{}",
        output.status,
        tail(&text(&output.stdout)),
        tail(&text(&output.stderr))
    );
    Ok(text(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_install() {
        let error = run(&mut Command::new("no-such-program"), "some-package").expect_err("it does not exist");
        assert!(error.to_string().contains("apt-get install some-package"), "{error}");
    }

    #[test]
    fn an_ended_process_is_not_running() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        assert!(is_running(child.id()));
        send(Signal::Kill, child.id()).expect("it runs");
        crate::wait_until(std::time::Duration::from_secs(5), "its end", || !is_running(child.id()));
        child.wait().expect("it ended");
    }
}

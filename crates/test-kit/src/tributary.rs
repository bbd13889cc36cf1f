//! The built binary as a process under test.
use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    process::{Signal, send, tail},
    unique_name,
    wait::try_wait_for,
};

/// A running `tributary`; killed on drop. What it prints goes to files of its own in the folder given.
#[derive(Debug)]
pub struct Tributary {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Tributary {
    /// Starts `binary` (a test passes `env!("CARGO_BIN_EXE_tributary")`) with arguments and environment; output goes to files in `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<A: AsRef<OsStr>>(binary: &Path, arguments: &[A], environment: &[(&str, &str)], folder: &Path) -> Result<Self> {
        let name = unique_name("tributary");
        let (output, errors) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.log")));
        let create = |path: &Path| File::create(path).with_context(|| format!("create `{}`", path.display()));
        let mut command = Command::new(binary);
        command.args(arguments).envs(environment.iter().copied()).current_dir(folder);
        command.stdin(Stdio::null()).stdout(create(&output)?).stderr(create(&errors)?);
        let child = command.spawn().with_context(|| format!("start `{}`", binary.display()))?;
        Ok(Self { child, output, errors })
    }

    /// Writes a settings file into `folder` and returns its path, for the argument that names it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_settings(folder: &Path, text: &str) -> Result<PathBuf> {
        let path = folder.join(format!("{}.yaml", unique_name("settings")));
        fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))?;
        Ok(path)
    }

    /// Sends a signal; [`Signal::Kill`] is the crash, [`Signal::Stop`] the zombie.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(signal, self.child.id())
    }

    /// How it ended; `None`: it runs.
    ///
    /// # Errors
    /// Those of the system.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("ask for the end of tributary")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs at the deadline; the message ends with its log.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let ended = try_wait_for(deadline, || self.child.try_wait().transpose());
        let late = || format!("tributary still runs after {} ms; its log ends with:\n{}", deadline.as_millis(), tail(&self.log()));
        ended.with_context(late)?.context("wait for tributary")
    }

    /// Its standard output so far.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Its log (standard error) so far.
    pub fn log(&self) -> String {
        read(&self.errors)
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Tributary {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

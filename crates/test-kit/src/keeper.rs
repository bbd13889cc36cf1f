//! A broker's process, and a shell that ends it with the test process, however that ends.
use crate::process::{Signal, is_running, missing_program, send};
use crate::wait::try_wait_for;
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Runs the broker and watches standard input. Its end, by drop or because the test process died, ends the broker and removes its data; the
/// line `keep` ends only the broker. The broker stays a child that nobody waits for until then, so its process id cannot be another's.
const SCRIPT: &str = r#"
"$@" </dev/null >>"$BROKER_FOLDER/broker.log" 2>&1 &
echo $! >"$BROKER_FOLDER/broker.pid.new" && mv "$BROKER_FOLDER/broker.pid.new" "$BROKER_FOLDER/broker.pid"
read -r line
kill -9 $! 2>/dev/null
wait
[ "$line" = keep ] || rm -rf "$BROKER_FOLDER"
"#;
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The process of a broker and the folder that holds all of it. Both end with this value.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    shell: Option<Child>,
    process_id: u32,
}

impl Keeper {
    /// A new folder, nothing started.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir().context("create the broker's folder")?.keep();
        Ok(Self { folder, shell: None, process_id: 0 })
    }

    /// The broker's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Process id of the broker; another one after each launch.
    pub(crate) fn process_id(&self) -> u32 {
        self.process_id
    }

    /// What the broker wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read(self.folder.join("broker.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts the broker: a program and its arguments, found in `path` beside the user's own.
    pub(crate) fn launch(&mut self, command: &[String], path: &str) -> Result<()> {
        let pid_file = self.folder.join("broker.pid");
        let _ = fs::remove_file(&pid_file);
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "keeper"]).args(command);
        let own = std::env::var("PATH").unwrap_or_default();
        shell.env("BROKER_FOLDER", &self.folder).env("PATH", format!("{own}:{path}"));
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: an interrupt in the terminal ends the test, and by that the shell's input.
        shell.process_group(0);
        self.shell = Some(shell.spawn().with_context(|| missing_program("sh", "dash"))?);
        let read = || fs::read_to_string(&pid_file).ok()?.trim().parse().ok();
        self.process_id = try_wait_for(LAUNCH_TIMEOUT, read).context("the broker's process did not start")?;
        Ok(())
    }

    /// Whether the broker was launched and not ended from here.
    pub(crate) fn is_launched(&self) -> bool {
        self.shell.is_some()
    }

    /// Whether the broker's process runs.
    pub(crate) fn is_running(&self) -> bool {
        is_running(self.process_id)
    }

    /// Asks the broker to stop in order, and waits for that.
    pub(crate) fn stop(&mut self, timeout: Duration) -> Result<()> {
        send(Signal::Terminate, self.process_id)?;
        let stopped = try_wait_for(timeout, || (!self.is_running()).then_some(()));
        self.end();
        stopped.with_context(|| format!("the broker did not stop in {} s", timeout.as_secs()))
    }

    /// Freezes or thaws it, or sends another signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_launched(), "the broker is not running");
        send(signal, self.process_id)
    }

    /// Ends the broker at once; its data stays.
    pub(crate) fn end(&mut self) {
        let Some(mut shell) = self.shell.take() else { return };
        if let Some(mut input) = shell.stdin.take() {
            // If the shell is gone, so is the broker.
            let _ = input.write_all(b"keep\n");
        }
        let _ = shell.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

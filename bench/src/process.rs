//! What a child process used, as the kernel counts it (Linux, `/proc`).
use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Ticks of `/proc/<id>/stat` per second; 100 on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child with the program's output in files.
#[derive(Debug)]
pub struct Measured {
    child: Child,
    peak_rss_bytes: u64,
    cpu_seconds: f64,
}

/// What it used until its end.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Of all its threads, user and system.
    pub cpu_seconds: f64,
    /// Highest resident set.
    pub peak_rss_bytes: u64,
}

impl Measured {
    /// Starts a program, on `cores` only if given (a list as `taskset -c` takes it), logging to `log`.
    pub fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A], cores: Option<&str>, log: &Path) -> Result<Self> {
        let mut command = match cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let file = fs::File::create(log)?;
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("start `{}`", program.display()))?;
        Ok(Self { child, peak_rss_bytes: 0, cpu_seconds: 0.0 })
    }

    /// Notes what it uses now. Returns whether it still runs.
    pub fn look(&mut self) -> Result<bool> {
        let id = self.child.id();
        if let Ok(status) = fs::read_to_string(format!("/proc/{id}/status"))
            && let Some(kibibytes) =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok())
        {
            self.peak_rss_bytes = self.peak_rss_bytes.max(kibibytes * 1024);
        }
        // A process that ended keeps its times until it is waited for.
        self.cpu_seconds = cpu_seconds(id).unwrap_or(self.cpu_seconds);
        Ok(is_running(id))
    }

    /// CPU-seconds so far, of all its threads.
    pub fn cpu_seconds(&mut self) -> Result<f64> {
        self.look()?;
        Ok(self.cpu_seconds)
    }

    /// Sends `TERM`, `KILL` …
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "kill -{name} failed");
        Ok(())
    }

    /// Waits for its end, at most `limit`. An end with an error is one, unless it was killed on purpose.
    pub fn end(mut self, limit: Duration, killed: bool) -> Result<Usage> {
        let began = std::time::Instant::now();
        while self.look()? {
            ensure!(began.elapsed() < limit, "the process still runs after {} s", limit.as_secs());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.look()?;
        let status = self.child.wait()?;
        ensure!(killed || status.success(), "the process ended with {status}");
        Ok(Usage { cpu_seconds: self.cpu_seconds, peak_rss_bytes: self.peak_rss_bytes })
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fields after the name, which is in parentheses and may hold anything.
fn stat_fields(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn cpu_seconds(id: u32) -> Option<f64> {
    let fields = stat_fields(id)?;
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// CPU-seconds of this process so far.
pub fn own_cpu_seconds() -> Option<f64> {
    cpu_seconds(std::process::id())
}

fn is_running(id: u32) -> bool {
    stat_fields(id).is_some_and(|fields| !matches!(fields.first().map(String::as_str), None | Some("Z" | "X")))
}

/// Keeps a running process, all its threads, on `cores`.
pub fn pin(id: u32, cores: &str) -> Result<()> {
    let status = Command::new("taskset").args(["-acp", cores, &id.to_string()]).stdout(Stdio::null()).status().context("run `taskset`")?;
    ensure!(status.success(), "cannot pin process {id} to core {cores}");
    Ok(())
}

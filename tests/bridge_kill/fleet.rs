//! Devices: an MQTT client that nobody here wrote, in a process of its own.
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use test_kit::{PythonReaders, wait_until};

const SCRIPT: &str = include_str!("fleet.py");

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Publishing {
    /// Devices.
    pub devices: u32,
    /// Messages of all of them.
    pub messages: u64,
}

/// The devices' process.
#[derive(Debug)]
pub struct Fleet {
    process: Child,
    input: ChildStdin,
    accepted: Arc<AtomicU64>,
    file: PathBuf,
}

impl Fleet {
    /// Connects to the broker at `port`; what may be published is told by [`Fleet::allow`].
    pub fn start(port: u16, publishing: Publishing, folder: &Path) -> Self {
        let readers = PythonReaders::prepare().expect("Python with its packages");
        let file = folder.join(format!("accepted-{port}.txt"));
        let Publishing { devices, messages } = publishing;
        let mut command = Command::new(readers.interpreter());
        command.args(["-c", SCRIPT]).args([port.to_string(), devices.to_string(), messages.to_string()]);
        let mut process = command.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start the devices");
        let output = process.stdout.take().expect("its output is ours");
        let input = process.stdin.take().expect("its input is ours");
        let accepted = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                seen.store(line.parse().unwrap_or(0), Ordering::SeqCst);
            }
        });
        Self { process, input, accepted, file }
    }

    /// So many of all messages may be published from now on.
    pub fn allow(&mut self, messages: u64) {
        // Fails when all is acknowledged already; `end` looks at how they ended.
        let _ = writeln!(self.input, "{messages}");
    }

    /// Messages that the MQTT broker acknowledged so far, by the hundred.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Whether it has ended, and well.
    pub fn has_ended(&mut self) -> bool {
        self.process
            .try_wait()
            .expect("ask for its end")
            .inspect(|status| assert!(status.success(), "the devices ended with {status}"))
            .is_some()
    }

    /// Waits until all messages are acknowledged; returns them as device and sequence number.
    pub fn end(mut self, deadline: Duration) -> BTreeSet<(String, i64)> {
        wait_until(deadline, "the broker acknowledges all messages", || self.has_ended());
        let text = std::fs::read_to_string(&self.file).expect("read what was acknowledged");
        let message = |line: &str| {
            let (device, sequence) = line.split_once(' ').expect("device and number");
            (device.to_owned(), sequence.parse().expect("a number"))
        };
        text.lines().map(message).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

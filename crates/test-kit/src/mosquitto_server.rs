//! Eclipse Mosquitto in its own process: an MQTT broker that nobody here wrote.
use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    certificates::TestAuthority,
    kafka_server::KEEPER,
    process::{Signal, is_running, missing_program, run, send, tail},
    wait::try_wait_for,
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const PACKAGES: &str = "mosquitto mosquitto-clients";
/// Debian keeps daemons where a user's path may not lead.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A broker with two listeners, both on the loopback interface: one without TLS for anybody, and one with TLS that wants a certificate of
/// [`MosquittoServer::authority`] and takes the name in it for the user's. Sessions and messages are kept over a restart, without a limit.
/// It ends with this value, or with the test process, however that ends.
#[derive(Debug)]
pub struct MosquittoServer {
    folder: PathBuf,
    authority: TestAuthority,
    port: u16,
    tls_port: u16,
    keeper: Option<Child>,
    process_id: u32,
}

impl MosquittoServer {
    /// Starts a broker and waits until it answers. `lines` go to the end of its configuration.
    ///
    /// # Errors
    /// It is not installed, or does not start; the message says what to do or ends with its log.
    pub fn start(lines: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tributary-mosquitto-").tempdir().context("create the broker's folder")?.keep();
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
        // Both are held until both are known, so they differ.
        let (plain, tls) = (listen()?, listen()?);
        let (port, tls_port) = (plain.local_addr()?.port(), tls.local_addr()?.port());
        drop((plain, tls));
        let authority = TestAuthority::make(&folder)?;
        let mut server = Self { folder, authority, port, tls_port, keeper: None, process_id: 0 };
        server.configure(lines)?;
        server.launch()?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Port with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Who signs the certificates.
    pub fn authority(&self) -> &TestAuthority {
        &self.authority
    }

    /// Process id of the broker; another one after a restart.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// Publishes with `mosquitto_pub`, which ends when the broker has the message. `arguments` follow host and port, for example
    /// `["-q", "1", "-t", "a/b", "-m", "text"]`.
    ///
    /// # Errors
    /// The client is not installed, or the broker did not take it.
    pub fn publish(&self, arguments: &[&str]) -> Result<String> {
        let port = self.port.to_string();
        run(Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &port]).args(arguments), PACKAGES)
    }

    /// Publishes each line of `text` as a message of QoS 1, in their order, on one connection.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_lines(&self, topic: &str, text: &str) -> Result<()> {
        let port = self.port.to_string();
        let mut client = Command::new("mosquitto_pub");
        client.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-l"]);
        let mut client = client.stdin(Stdio::piped()).spawn().with_context(|| missing_program("mosquitto_pub", PACKAGES))?;
        let mut input = client.stdin.take().context("open the client's input")?;
        input.write_all(text.as_bytes()).context("write the lines")?;
        drop(input);
        let status = client.wait().context("wait for the client")?;
        ensure!(status.success(), "mosquitto_pub ended with {status}");
        Ok(())
    }

    /// Stops it in order: it writes sessions and messages to its file. Data and ports stay.
    ///
    /// # Errors
    /// It was not running, or did not stop.
    pub fn stop(&mut self) -> Result<()> {
        send(Signal::Terminate, self.process_id)?;
        let stopped = try_wait_for(STOP_TIMEOUT, || (!is_running(self.process_id)).then_some(()));
        self.end(true);
        stopped.with_context(|| format!("the broker did not stop in {} s", STOP_TIMEOUT.as_secs()))
    }

    /// Kills it: what it did not write yet is lost, sessions too.
    pub fn kill(&mut self) {
        self.end(true);
    }

    /// Removes what a stopped broker keeps, so that it starts without sessions.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(&self) -> Result<()> {
        ensure!(self.keeper.is_none(), "the broker is running");
        match fs::remove_file(self.folder.join("mosquitto.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove the broker's data"),
            _ => Ok(()),
        }
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`], and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.end(true);
        self.launch()?;
        self.wait_until_ready()
    }

    /// Freezes or thaws it, or sends another signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.keeper.is_some(), "the broker is not running");
        send(signal, self.process_id)
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.join("broker.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn configure(&self, lines: &[&str]) -> Result<()> {
        let server = self.authority.issue("localhost")?;
        let path = |path: &Path| path.display().to_string();
        let mut text = format!(
            "user {}\nper_listener_settings false\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_inflight_messages 100\nset_tcp_nodelay true\nlog_type error\nlog_type warning\nlog_type notice\n\
             listener {} 127.0.0.1\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\n",
            user()?,
            path(&self.folder),
            self.port,
            self.tls_port,
            path(self.authority.file()),
            path(&server.certificate),
            path(&server.key),
        );
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(self.folder.join("mosquitto.conf"), text).context("write mosquitto.conf")
    }

    fn launch(&mut self) -> Result<()> {
        let pid_file = self.folder.join("broker.pid");
        let _ = fs::remove_file(&pid_file);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper", "mosquitto", "-c"]).arg(self.folder.join("mosquitto.conf"));
        let path = std::env::var("PATH").unwrap_or_default();
        keeper.env("BROKER_FOLDER", &self.folder).env("PATH", format!("{path}:{SEARCH_PATH}"));
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: an interrupt in the terminal ends the test, and by that the keeper's input.
        keeper.process_group(0);
        self.keeper = Some(keeper.spawn().with_context(|| missing_program("sh", "dash"))?);
        let read = || fs::read_to_string(&pid_file).ok()?.trim().parse().ok();
        self.process_id = try_wait_for(START_TIMEOUT, read).context("the broker's process did not start")?;
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let connected = try_wait_for(START_TIMEOUT, || {
            let both = [self.port, self.tls_port].into_iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
            (both || !is_running(self.process_id)).then_some(both)
        });
        if connected == Some(true) {
            return Ok(());
        }
        bail!("{}; its log ends with:\n{}", missing_program("mosquitto", PACKAGES), tail(&self.log()))
    }

    /// Ends the broker's process and the keeper.
    fn end(&mut self, keep_data: bool) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if let Some(mut input) = keeper.stdin.take()
            && keep_data
        {
            // If the keeper is gone, so is the broker.
            let _ = input.write_all(b"keep\n");
        }
        let _ = keeper.wait();
    }
}

impl Drop for MosquittoServer {
    fn drop(&mut self) {
        self.end(false);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Who runs the test: a broker that root starts would go on as another user, who cannot read the test's files.
fn user() -> Result<String> {
    Ok(run(Command::new("id").arg("-un"), "coreutils")?.trim().to_owned())
}

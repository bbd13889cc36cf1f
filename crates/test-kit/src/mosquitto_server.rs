//! Eclipse Mosquitto in its own process: an MQTT broker that nobody here wrote.
use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    certificates::TestAuthority,
    keeper::Keeper,
    process::{Signal, missing_program, run, tail},
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
    keeper: Keeper,
    authority: TestAuthority,
    port: u16,
    tls_port: u16,
}

impl MosquittoServer {
    /// Starts a broker and waits until it answers. `lines` go to the end of its configuration.
    ///
    /// # Errors
    /// It is not installed, or does not start; the message says what to do or ends with its log.
    pub fn start(lines: &[&str]) -> Result<Self> {
        let keeper = Keeper::new("tributary-mosquitto-")?;
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
        // Both are held until both are known, so they differ.
        let (plain, tls) = (listen()?, listen()?);
        let (port, tls_port) = (plain.local_addr()?.port(), tls.local_addr()?.port());
        drop((plain, tls));
        let authority = TestAuthority::make(keeper.folder())?;
        let mut server = Self { keeper, authority, port, tls_port };
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
        self.keeper.process_id()
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
        self.keeper.stop(STOP_TIMEOUT)
    }

    /// Kills it: what it did not write yet is lost, sessions too.
    pub fn kill(&mut self) {
        self.keeper.end();
    }

    /// Removes what a stopped broker keeps, so that it starts without sessions.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(&self) -> Result<()> {
        ensure!(!self.keeper.is_launched(), "the broker is running");
        match fs::remove_file(self.keeper.folder().join("mosquitto.db")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("remove the broker's data"),
            _ => Ok(()),
        }
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`], and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.keeper.end();
        self.launch()?;
        self.wait_until_ready()
    }

    /// Freezes or thaws it, or sends another signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.keeper.signal(signal)
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        self.keeper.log()
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
            path(self.keeper.folder()),
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
        fs::write(self.keeper.folder().join("mosquitto.conf"), text).context("write mosquitto.conf")
    }

    fn launch(&mut self) -> Result<()> {
        let settings = self.keeper.folder().join("mosquitto.conf").display().to_string();
        self.keeper.launch(&["mosquitto".to_owned(), "-c".to_owned(), settings], SEARCH_PATH)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let connected = try_wait_for(START_TIMEOUT, || {
            let both = [self.port, self.tls_port].into_iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
            (both || !self.keeper.is_running()).then_some(both)
        });
        if connected == Some(true) {
            return Ok(());
        }
        bail!("{}; its log ends with:\n{}", missing_program("mosquitto", PACKAGES), tail(&self.log()))
    }
}

/// Who runs the test: a broker that root starts would go on as another user, who cannot read the test's files.
fn user() -> Result<String> {
    Ok(run(Command::new("id").arg("-un"), "coreutils")?.trim().to_owned())
}

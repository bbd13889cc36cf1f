//! An HTTP client that costs little: one connection, one request at a time.
use super::documents::TOPIC;
use anyhow::{Context, Result, bail, ensure};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// In the tokens file.
pub const TOKEN: &str = "token-of-the-benchmark-0123456789";

/// A connection.
#[derive(Debug)]
pub struct Client {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn connect(address: &str) -> Result<Self> {
        Ok(Self { address: address.to_owned(), stream: BufReader::new(open(address)?) })
    }

    /// Posts lines of JSON until they are taken: under backpressure again and again.
    pub fn post(&mut self, body: &str) -> Result<()> {
        loop {
            match self.post_once(body)? {
                200 => return Ok(()),
                // It is answered before the body is read, and the connection ends.
                429 => {
                    std::thread::sleep(Duration::from_millis(5));
                    self.stream = BufReader::new(open(&self.address)?);
                }
                status => bail!("the bridge answered with {status}"),
            }
        }
    }

    fn post_once(&mut self, body: &str) -> Result<u16> {
        let head = format!(
            "POST /v1/topics/{TOPIC}/records HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/x-ndjson\r\nprefer: return=minimal\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        // An answer that comes before the body was read ends the connection.
        let _ = stream.write_all(body.as_bytes());
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status line")?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        std::io::copy(&mut self.stream.by_ref().take(length), &mut std::io::sink())?;
        Ok(status)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the bridge closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

fn open(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

//! The bridge's MQTT side.
use super::bridge::RouteSettings;
use super::meaning::Checker;
use super::registry::Secret;
use super::units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Messages in a second that AWS IoT Core sends one connection; what is more waits or is dropped.
const RATE_PER_CONNECTION: u32 = 100;
/// Levels of a topic that AWS IoT Core takes.
const AWS_LEVELS: usize = 8;
/// Ports without and with TLS.
const PLAIN_PORT: u16 = 1_883;
const TLS_PORT: u16 = 8_883;

/// The MQTT broker where devices are heard, as members of a shared subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["url"]))]
pub struct MqttSettings {
    /// `mqtts://HOST:PORT`, or `mqtt://` without TLS. Port 8883 or 1883 if none is given; AWS IoT Core also listens on 443, with `alpn`. Example: `mqtts://broker.example.com:8883`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Whether `mqtt://` may go to another machine. Then everybody between reads and changes the messages.
    pub plaintext: bool,
    /// Version of the protocol.
    pub version: MqttVersion,
    /// Application protocol of the TLS handshake. AWS IoT Core on port 443: `x-amzn-mqtt-ca` for certificates, `mqtt` for its custom authorizers. Example: `x-amzn-mqtt-ca`.
    pub alpn: Option<String>,
    /// File of the certificates, in PEM form, that the broker's certificate must come from. Read at each connect, as the other files. Example: `/run/mqtt/ca.pem`.
    pub ca_file: Option<PathBuf>,
    /// The bridge's own certificate in PEM form, followed by those between it and the root. Example: `/run/mqtt/bridge.crt`.
    pub cert_file: Option<PathBuf>,
    /// Its private key. Example: `/run/mqtt/bridge.key`.
    pub key_file: Option<PathBuf>,
    /// User name.
    pub username: Option<String>,
    /// Its password. Better than in the file: a variable. Example: `${MQTT_PASSWORD}`.
    pub password: Option<Secret>,
    /// File that holds the password. Example: `/run/secrets/mqtt-password`.
    pub password_file: Option<PathBuf>,
    /// Name of the shared subscription: its members share the messages. All processes of one bridge have the same.
    pub group: String,
    /// Connections of this process, each a member with a session of its own: `<instance>-0`, `<instance>-1`, …
    #[schemars(range(min = 1, max = 1_000))]
    pub connections: u32,
    /// Messages in a second that the connections of this process are for; 0: not known. AWS IoT Core sends one connection 100, so `connections` must be half as many again as needed.
    #[schemars(range(min = 0, max = 100_000))]
    pub expected_rate: u32,
    /// How long the broker keeps messages for a connection that is away: 1m to 7d. With 3.1.1 the broker alone decides.
    pub session_expiry: Duration,
    /// Time between two signs of life: 5s to 20m.
    pub keep_alive: Duration,
    /// Longest time for connecting, TLS and the broker's answer: 1s to 1m.
    pub connect_timeout: Duration,
    /// Largest packet: 1KiB to 64MiB. With version 5 the broker never sends larger ones, and drops them; with 3.1.1 one ends the connection. Set the broker's own limit no higher, so that devices hear of it.
    pub max_packet_bytes: ByteSize,
    /// Messages of one connection that are not acknowledged yet. The broker waits with further ones; with 3.1.1 its own limit counts.
    #[schemars(range(min = 1, max = 65_535))]
    pub receive_maximum: u32,
    /// Longest topic that is taken; longer ones are refused.
    #[schemars(range(min = 1, max = 65_535))]
    pub max_topic_bytes: u32,
    /// Longest text of a name in a filter, such as a device id; longer ones are refused.
    #[schemars(range(min = 1, max = 1_024))]
    pub max_segment_bytes: u32,
    /// User property of MQTT 5 with the time at which a message was sent, in milliseconds since 1970 or RFC 3339, for the metric of how old it is when it arrives.
    pub sent_at_property: String,
}

/// Version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 5.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1: the broker alone limits what is not acknowledged, and sessions have no expiry.
    #[serde(rename = "3.1.1")]
    V311,
}

/// Where the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttAddress {
    /// Whether with TLS.
    pub tls: bool,
    /// Host name or IPv4 address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            plaintext: false,
            version: MqttVersion::default(),
            alpn: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: None,
            password: None,
            password_file: None,
            group: "tributary".to_owned(),
            connections: 4,
            expected_rate: 0,
            session_expiry: Duration::from_secs(3_600),
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_packet_bytes: ByteSize(140 << 10),
            receive_maximum: 100,
            max_topic_bytes: 1_024,
            max_segment_bytes: 128,
            sent_at_property: "sent_at".to_owned(),
        }
    }
}

impl MqttSettings {
    /// The parsed `url`.
    ///
    /// # Errors
    /// What is wrong with it, without a password that it may hold.
    pub fn address(&self) -> Result<MqttAddress, String> {
        let (tls, rest) = match self.url.split_once("://") {
            Some(("mqtts", rest)) => (true, rest),
            Some(("mqtt", rest)) => (false, rest),
            _ => return Err("is no `mqtts://HOST:PORT`".to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("holds a user: `username` and `password` are settings of their own".to_owned());
        }
        let default = if tls { TLS_PORT } else { PLAIN_PORT };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("has no valid port")?),
            None => (rest, default),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(allowed) {
            return Err("has no host name or IPv4 address".to_owned());
        }
        Ok(MqttAddress { tls, host: host.to_owned(), port })
    }

    /// Paths are relative to the settings file.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for file in [&mut self.ca_file, &mut self.cert_file, &mut self.key_file, &mut self.password_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }

    fn is_aws(&self) -> bool {
        self.address().is_ok_and(|address| address.host.ends_with(".amazonaws.com") || address.host.ends_with(".amazonaws.com.cn"))
    }
}

/// What types cannot say.
pub(super) fn check(checker: &mut Checker<'_>, mqtt: &MqttSettings, routes: &[RouteSettings]) {
    let at = |key: &str| format!("bridge.mqtt.{key}");
    match mqtt.address() {
        Err(what) => checker.fault(&at("url"), what, "write such as `mqtts://broker.example.com:8883`"),
        Ok(address) => transport(checker, mqtt, &address),
    }
    if mqtt.group.is_empty() || mqtt.group.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control() || c.is_whitespace()) {
        let what = format!("`{}` is no name of a shared subscription", mqtt.group.escape_debug());
        checker.fault(&at("group"), what, "use letters, digits, `-` and `_`");
    }
    credentials(checker, mqtt);
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    checker.duration(&at("session_expiry"), mqtt.session_expiry, minute, Duration::from_secs(7 * 86_400));
    checker.duration(&at("keep_alive"), mqtt.keep_alive, Duration::from_secs(5), Duration::from_secs(1_200));
    checker.duration(&at("connect_timeout"), mqtt.connect_timeout, second, minute);
    checker.size(&at("max_packet_bytes"), mqtt.max_packet_bytes, ByteSize(1 << 10), ByteSize(64 << 20));
    let needed = mqtt.expected_rate.saturating_mul(3).div_ceil(RATE_PER_CONNECTION * 2);
    if mqtt.connections < needed {
        let what = format!("{} connections are too few for {} messages in a second", mqtt.connections, mqtt.expected_rate);
        checker.fault(&at("connections"), what, format!("write at least {needed}: AWS IoT Core sends one connection 100 in a second"));
    }
    if mqtt.is_aws() {
        for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.filter.split('/').count() > AWS_LEVELS) {
            let what = format!("`{}` has more than 7 slashes, which AWS IoT Core does not take", route.filter.escape_debug());
            checker.fault(&format!("bridge.routes[{index}].filter"), what, "use fewer levels");
        }
    }
}

fn transport(checker: &mut Checker<'_>, mqtt: &MqttSettings, address: &MqttAddress) {
    let at = |key: &str| format!("bridge.mqtt.{key}");
    let is_here = address.host == "localhost" || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !address.tls && !is_here && !mqtt.plaintext {
        let what = format!("`{}` is another machine, and `mqtt://` has no TLS", address.host);
        checker.fault(&at("url"), what, "write `mqtts://`, or `plaintext: true` if nobody between can read or change messages");
    }
    let files = [("ca_file", mqtt.ca_file.is_some()), ("cert_file", mqtt.cert_file.is_some()), ("key_file", mqtt.key_file.is_some())];
    if address.tls {
        if mqtt.ca_file.is_none() {
            let fix = "name the file with the root certificates that the broker's comes from; for AWS IoT Core: Amazon's root CA";
            checker.fault(&at("ca_file"), "is missing", fix);
        }
        if mqtt.cert_file.is_some() != mqtt.key_file.is_some() {
            let missing = if mqtt.cert_file.is_some() { "key_file" } else { "cert_file" };
            checker.fault(&at(missing), "is missing", "certificate and key go together");
        }
    } else {
        for (key, _) in files.into_iter().filter(|(_, given)| *given) {
            checker.fault(&at(key), "is for `mqtts://`", "remove it, or write `mqtts://`");
        }
        if mqtt.alpn.is_some() {
            checker.fault(&at("alpn"), "is for `mqtts://`", "remove it, or write `mqtts://`");
        }
    }
    if let Some(alpn) = &mqtt.alpn
        && (alpn.is_empty() || alpn.len() > 255)
    {
        checker.fault(&at("alpn"), "has 1 to 255 bytes", "write such as `x-amzn-mqtt-ca`");
    }
}

fn credentials(checker: &mut Checker<'_>, mqtt: &MqttSettings) {
    let at = |key: &str| format!("bridge.mqtt.{key}");
    match (&mqtt.username, mqtt.password.is_some(), mqtt.password_file.is_some()) {
        (_, true, true) => checker.fault(&at("password_file"), "is given beside `password`", "remove one"),
        (None, true, _) => checker.fault(&at("password"), "has no user", "give `username`"),
        (None, _, true) => checker.fault(&at("password_file"), "has no user", "give `username`"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;

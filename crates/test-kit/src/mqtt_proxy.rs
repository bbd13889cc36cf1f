//! Between an MQTT client and its broker: slows messages down, cuts connections, keeps acknowledgements back.
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// First byte of PUBLISH and PUBACK, without flags.
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
/// A thread that waits looks at its flags this often.
const PAUSE: Duration = Duration::from_millis(2);

/// A proxy in front of a broker's port without TLS.
#[derive(Debug)]
pub struct MqttProxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// PUBLISH packets in a second to one client; 0: no limit.
    rate: AtomicU64,
    /// PUBACK packets of clients are swallowed.
    swallows_acks: AtomicBool,
    /// Packets seen.
    messages: AtomicU64,
    acks: AtomicU64,
    connects: Mutex<Vec<Instant>>,
    open: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl MqttProxy {
    /// Listens on a free port and passes connections on to `broker_port`. `rate`: messages in a second to one connection, 0 without limit.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(broker_port: u16, rate: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        let port = listener.local_addr().context("ask for the port")?.port();
        let state = Arc::new(State { rate: AtomicU64::new(rate), ..State::default() });
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // Without a broker the client finds its connection closed.
                if let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker_port)) {
                    accepting.serve(client, broker);
                }
            }
        });
        Ok(Self { port, state })
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for stream in self.state.lock_open().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Swallows the clients' acknowledgements, or no longer.
    pub fn swallow_acks(&self, swallows: bool) {
        self.state.swallows_acks.store(swallows, Ordering::SeqCst);
    }

    /// Messages that went to clients.
    pub fn messages(&self) -> u64 {
        self.state.messages.load(Ordering::SeqCst)
    }

    /// Acknowledgements that came from clients, swallowed ones too.
    pub fn acks(&self) -> u64 {
        self.state.acks.load(Ordering::SeqCst)
    }

    /// When clients connected.
    pub fn connects(&self) -> Vec<Instant> {
        self.state.connects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MqttProxy {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    fn lock_open(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: &Arc<Self>, client: TcpStream, broker: TcpStream) {
        self.connects.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        for stream in [&client, &broker] {
            let _ = stream.set_nodelay(true);
            self.lock_open().extend(stream.try_clone());
        }
        for (from, to, is_from_client) in [(&client, &broker, true), (&broker, &client, false)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
            let state = Arc::clone(self);
            thread::spawn(move || {
                state.pass(&from, &to, is_from_client);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    /// Passes packets on until one side closes.
    fn pass(&self, from: &TcpStream, to: &TcpStream, is_from_client: bool) {
        let (mut from, mut to) = (from, to);
        let mut next_message = Instant::now();
        while let Some(packet) = read_packet(&mut from) {
            let kind = packet[0] >> 4;
            if is_from_client && kind == PUBACK {
                self.acks.fetch_add(1, Ordering::SeqCst);
                if self.swallows_acks.load(Ordering::SeqCst) {
                    continue;
                }
            }
            if !is_from_client && kind == PUBLISH {
                let rate = self.rate.load(Ordering::SeqCst);
                if rate > 0 {
                    while Instant::now() < next_message {
                        thread::park_timeout(PAUSE);
                    }
                    next_message = next_message.max(Instant::now() - Duration::from_secs(1))
                        + Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX);
                }
                self.messages.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&packet).is_err() {
                return;
            }
        }
    }
}

/// One whole packet; `None`: the connection ended.
fn read_packet(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut packet = vec![0; 1];
    from.read_exact(&mut packet).ok()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let mut byte = [0; 1];
        from.read_exact(&mut byte).ok()?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
        if shift > 21 {
            return None;
        }
    }
    let start = packet.len();
    packet.resize(start + length, 0);
    from.read_exact(&mut packet[start..]).ok()?;
    Some(packet)
}

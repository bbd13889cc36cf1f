//! Metrics of the HTTP side. Labels are topics of the settings file, statuses, and names from closed sets; never data.
use prometheus::{Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// From half a millisecond to a minute: an acknowledgement takes a linger and a round trip, a stalled broker takes `request_timeout`.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0];

/// Metrics of the bridge's HTTP side.
#[derive(Clone, Debug)]
pub struct BridgeHttpMetrics {
    requests: IntCounterVec,
    records: IntCounterVec,
    body_bytes: IntCounter,
    request_seconds: Histogram,
    connections: IntGauge,
    refused_connections: IntCounterVec,
    in_flight_bytes: IntGauge,
    tokens: IntGauge,
    faulty_files: prometheus::IntGaugeVec,
}

impl BridgeHttpMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// The registry has one of the names already.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, Error>(metric)
        };
        let body_bytes = IntCounter::new("tributary_bridge_http_body_bytes_total", "Bytes of bodies read")?;
        registry.register(Box::new(body_bytes.clone()))?;
        let seconds =
            HistogramOpts::new("tributary_bridge_http_request_seconds", "From the headers of a request that posts records to its answer");
        let request_seconds = Histogram::with_opts(seconds.buckets(SECONDS.to_vec()))?;
        registry.register(Box::new(request_seconds.clone()))?;
        let faulty_files = prometheus::IntGaugeVec::new(
            Opts::new("tributary_bridge_http_faulty_files", "1 while changed files cannot be used and what was read before stays in force"),
            &["files"],
        )?;
        registry.register(Box::new(faulty_files.clone()))?;
        Ok(Self {
            requests: counter("tributary_bridge_http_requests_total", "Answered requests", &["status"])?,
            records: counter("tributary_bridge_http_records_total", "Records of answered requests", &["topic", "outcome"])?,
            body_bytes,
            request_seconds,
            connections: gauge("tributary_bridge_http_connections", "Open connections")?,
            refused_connections: counter(
                "tributary_bridge_http_refused_connections_total",
                "Connections that were closed before a request",
                &["reason"],
            )?,
            in_flight_bytes: gauge("tributary_bridge_http_in_flight_bytes", "Bytes reserved for bodies of requests that are not answered")?,
            tokens: gauge("tributary_bridge_http_tokens", "Tokens in force")?,
            faulty_files,
        })
    }

    /// A request was answered.
    pub(super) fn answered(&self, status: u16) {
        self.requests.with_label_values(&[status.to_string().as_str()]).inc();
    }

    /// Records of a request have their outcome.
    pub(super) fn records(&self, topic: &str, accepted: usize, refused: usize) {
        for (outcome, count) in [("accepted", accepted), ("refused", refused)] {
            self.records.with_label_values(&[topic, outcome]).inc_by(count as u64);
        }
    }

    /// A body was read.
    pub(super) fn body(&self, bytes: usize) {
        self.body_bytes.inc_by(bytes as u64);
    }

    /// A request that posts records took so long.
    pub(super) fn took(&self, seconds: f64) {
        self.request_seconds.observe(seconds);
    }

    /// A connection is open until the guard is dropped.
    pub(super) fn connection(&self) -> Shown {
        Shown::new(&self.connections, 1)
    }

    /// So many bytes are reserved until the guard is dropped.
    pub(super) fn in_flight(&self, bytes: u32) -> Shown {
        Shown::new(&self.in_flight_bytes, i64::from(bytes))
    }

    /// A connection was closed before a request.
    pub(super) fn refused_connection(&self, reason: &'static str) {
        self.refused_connections.with_label_values(&[reason]).inc();
    }

    /// So many tokens are in force.
    pub(super) fn set_tokens(&self, tokens: usize) {
        self.tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    /// Whether changed files cannot be used.
    pub(super) fn set_faulty(&self, files: &'static str, faulty: bool) {
        self.faulty_files.with_label_values(&[files]).set(i64::from(faulty));
    }
}

/// An amount that a gauge shows until this is dropped.
#[derive(Debug)]
pub(super) struct Shown {
    gauge: IntGauge,
    amount: i64,
}

impl Shown {
    fn new(gauge: &IntGauge, amount: i64) -> Self {
        gauge.add(amount);
        Self { gauge: gauge.clone(), amount }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.gauge.sub(self.amount);
    }
}

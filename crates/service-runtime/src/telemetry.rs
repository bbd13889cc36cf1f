//! Log lines on stderr, as text or JSON. What is logged is decided by the variable `TRIBUTARY_LOG` (`info` by default), such as
//! `warn,lake_writer=debug`.
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// On drop rdkafka closes the queue that kafka-io closed in order before, and calls it an error. What consumers have to tell comes as events.
const NOISE: &str = "rdkafka::consumer::base_consumer=off";

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins logging. `default_filter` holds when `TRIBUTARY_LOG` is not set. Later calls have no effect.
///
/// # Errors
/// `TRIBUTARY_LOG` is no filter: the text says why.
pub fn init(format: LogFormat, default_filter: &str) -> Result<(), String> {
    let text = std::env::var("TRIBUTARY_LOG").unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::try_new(&text).map_err(|error| format!("`TRIBUTARY_LOG` is no log filter: {error}"))?;
    let filter = filter.add_directive(NOISE.parse().expect("a directive"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    Ok(())
}

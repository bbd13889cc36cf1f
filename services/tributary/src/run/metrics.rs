//! Metrics of the process.
use prometheus::{IntGauge, Opts, Registry};

/// Registers what does not belong to one service: `tributary_build_info` with the version.
///
/// # Errors
/// The name is taken.
pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let options = Opts::new("tributary_build_info", "1, with the version of the program").const_label("version", env!("CARGO_PKG_VERSION"));
    let info = IntGauge::with_opts(options)?;
    info.set(1);
    registry.register(Box::new(info))
}

//! What every service shares: settings, telemetry, health, shutdown, clock, fail points.
pub mod admin;
pub mod clock;
mod error_class;
pub mod fail_points;
pub mod health;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

pub use error_class::ErrorClass;

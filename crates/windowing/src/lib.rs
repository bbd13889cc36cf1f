//! Event-time windows, watermarks and lateness. Pure: no clock, no I/O, no async.
//!
//! All times are UTC microseconds since 1970-01-01 ([`Time`]); windows are tumbling, epoch-aligned and half-open `[start, end)`.

mod grouping;
pub mod planted;
mod time;
mod watermark;
mod window;

pub use grouping::{Grouping, GroupingError};
pub use time::{Date, Micros, Time};
pub use watermark::{PartitionWatermark, Watermark, closed_through, table_watermark};
pub use window::{WindowSize, WindowSizeError};

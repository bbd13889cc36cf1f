use crate::{Micros, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Size of tumbling windows: 1 minute to 1 day, a divisor of a day, whole minutes. Any other value is refused when read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Micros", into = "Micros")]
pub struct WindowSize(Micros);

/// A size that is not a divisor of a day in whole minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSizeError(pub Micros);

impl fmt::Display for WindowSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a window of `{}` is not a divisor of a day in whole minutes", self.0)
    }
}

impl std::error::Error for WindowSizeError {}

impl TryFrom<Micros> for WindowSize {
    type Error = WindowSizeError;
    fn try_from(size: Micros) -> Result<Self, WindowSizeError> {
        Self::new(size)
    }
}

impl From<WindowSize> for Micros {
    fn from(size: WindowSize) -> Micros {
        size.0
    }
}

impl WindowSize {
    /// One hour, the default.
    pub const HOUR: WindowSize = WindowSize(Micros::HOUR);
    /// One day, the longest.
    pub const DAY: WindowSize = WindowSize(Micros::DAY);

    /// Checks the size: whole minutes, from one minute to one day, a divisor of a day.
    ///
    /// # Errors
    /// Any other size, so that windows never straddle midnight and their starts can be written as `dt`, `hr` and `mi`.
    pub fn new(size: Micros) -> Result<Self, WindowSizeError> {
        let whole_minutes = size.0 > 0 && size.0 % Micros::MINUTE.0 == 0;
        if whole_minutes && Micros::DAY.0 % size.0 == 0 { Ok(Self(size)) } else { Err(WindowSizeError(size)) }
    }

    /// Length of a window.
    pub fn micros(self) -> Micros {
        self.0
    }

    /// Start of the window that holds `time` (floor, also before 1970). The first, partial window of time itself clamps to [`Time::MIN`].
    pub fn start_of(self, time: Time) -> Time {
        Time(time.0.checked_sub(time.0.rem_euclid(self.0.0)).unwrap_or(i64::MIN))
    }

    /// End of the window that starts at `start`, which is not in it; saturates.
    pub fn end_of(self, start: Time) -> Time {
        start + self.0
    }

    /// Whether the window that starts at `start` ends at [`crate::closed_through`] or before.
    pub fn is_closed(self, start: Time, closed_through: Option<Time>) -> bool {
        closed_through.is_some_and(|closed| self.end_of(start) <= closed)
    }

    /// Whether a window starts at `time`.
    pub fn is_start(self, time: Time) -> bool {
        time.0.rem_euclid(self.0.0) == 0
    }
}

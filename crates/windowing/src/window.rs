// STUB: owner windowing+table-log helper
use crate::{Micros, Time};
use serde::{Deserialize, Serialize};

/// Size of tumbling windows: 1 minute to 1 day, a divisor of a day, whole minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WindowSize(Micros);

/// A size that is not a divisor of a day in whole minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSizeError(pub Micros);

impl WindowSize {
    /// Checks the size.
    pub fn new(size: Micros) -> Result<Self, WindowSizeError> {
        Ok(Self(size))
    }
    /// Length of a window.
    pub fn micros(self) -> Micros {
        self.0
    }
    /// Start of the window that holds `time` (floor, also before 1970).
    pub fn start_of(self, time: Time) -> Time {
        let _ = time;
        todo!()
    }
    /// End of the window that starts at `start`.
    pub fn end_of(self, start: Time) -> Time {
        let _ = start;
        todo!()
    }
}

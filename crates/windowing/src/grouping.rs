use crate::{Micros, Time, WindowSize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Grouping windows inside a derived table: `size` long, one beginning at every multiple of `every` since 1970. Tumbling when both are equal,
/// else hopping: then a row is in `size / every` of them.
///
/// A grouping window belongs to the derived window in which it ends: `window_start < end <= window_start + window`. So it reaches back, and
/// nothing waits for the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grouping {
    size: Micros,
    every: Micros,
}

/// Lengths that make no grouping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupingError {
    /// A length is not above 0.
    NotPositive,
    /// `size` is not a multiple of `every`.
    SizeNotMultiple {
        /// Length of a grouping window.
        size: Micros,
        /// Distance of two.
        every: Micros,
    },
    /// The derived table's window is not a multiple of `every`.
    WindowNotMultiple {
        /// Length of the derived table's window.
        window: Micros,
        /// Distance of two grouping windows.
        every: Micros,
    },
    /// A row would be in more than [`Grouping::MOST_PER_ROW`] grouping windows.
    TooMany {
        /// In so many.
        per_row: i64,
    },
}

impl fmt::Display for GroupingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive => f.write_str("`size` and `every` must be above 0"),
            Self::SizeNotMultiple { size, every } => write!(f, "`size` of `{size}` is not a multiple of `every` of `{every}`"),
            Self::WindowNotMultiple { window, every } => write!(f, "`window` of `{window}` is not a multiple of `every` of `{every}`"),
            Self::TooMany { per_row } => {
                write!(f, "each row would be in `{per_row}` grouping windows, more than `{}`", Grouping::MOST_PER_ROW)
            }
        }
    }
}

impl std::error::Error for GroupingError {}

impl Grouping {
    /// Bound on `size / every`: each row is read once per grouping window that holds it. A day by minutes is within it.
    pub const MOST_PER_ROW: i64 = 1_440;

    /// Checks the lengths against each other and the derived table's window.
    ///
    /// # Errors
    /// See [`GroupingError`].
    pub fn new(size: Micros, every: Micros, window: WindowSize) -> Result<Self, GroupingError> {
        if size.0 <= 0 || every.0 <= 0 {
            return Err(GroupingError::NotPositive);
        }
        if size.0 % every.0 != 0 {
            return Err(GroupingError::SizeNotMultiple { size, every });
        }
        let window = window.micros();
        if window.0 % every.0 != 0 {
            return Err(GroupingError::WindowNotMultiple { window, every });
        }
        let per_row = size.0 / every.0;
        if per_row > Self::MOST_PER_ROW { Err(GroupingError::TooMany { per_row }) } else { Ok(Self { size, every }) }
    }

    /// Length of a grouping window.
    pub fn size(self) -> Micros {
        self.size
    }

    /// Distance of the beginnings of two grouping windows.
    pub fn every(self) -> Micros {
        self.every
    }

    /// In how many grouping windows a row is.
    pub fn per_row(self) -> i64 {
        self.size.0 / self.every.0
    }

    /// Times `[from, to)` of the rows that the derived window `[start, start + window)` rests on.
    pub fn reach(self, start: Time, window: WindowSize) -> (Time, Time) {
        (start + self.every - self.size, window.end_of(start))
    }

    /// Starts of the source windows that the derived window rests on, ascending: all that overlap its reach.
    pub fn source_windows(self, start: Time, window: WindowSize, source: WindowSize) -> impl Iterator<Item = Time> {
        let (from, to) = self.reach(start, window);
        let first = source.start_of(from);
        std::iter::successors(Some(first), move |at| Some(source.end_of(*at))).take_while(move |at| *at < to)
    }

    /// Starts of the derived windows that rest on a source window, ascending: the inverse of [`Grouping::source_windows`].
    pub fn derived_windows(self, source_start: Time, source: WindowSize, window: WindowSize) -> impl Iterator<Item = Time> {
        // The newest row of the source window is in grouping windows that end up to `size` after it.
        let last = source.end_of(source_start) - Micros(1) + self.size;
        let first = window.start_of(source_start);
        std::iter::successors(Some(first), move |at| Some(window.end_of(*at))).take_while(move |at| *at < last).filter(move |at| {
            let (from, to) = self.reach(*at, window);
            source_start < to && source.end_of(source_start) > from
        })
    }

    /// Ends of the grouping windows that hold a row of this time, ascending.
    pub fn ends_of(self, time: Time) -> impl Iterator<Item = Time> {
        let first = Time(time.0 - time.0.rem_euclid(self.every.0)) + self.every;
        let every = self.every;
        (0..self.per_row()).map(move |hop| first + Micros(every.0 * hop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(minutes: i64) -> WindowSize {
        WindowSize::new(Micros::from_secs(60 * minutes)).expect("a window")
    }

    fn grouping(size_s: i64, every_s: i64, minutes: i64) -> Grouping {
        Grouping::new(Micros::from_secs(size_s), Micros::from_secs(every_s), window(minutes)).expect("a grouping")
    }

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn lengths_must_fit_each_other() {
        let new = |size: i64, every: i64| Grouping::new(Micros::from_secs(size), Micros::from_secs(every), window(1));
        assert!(new(10, 5).is_ok() && new(60, 60).is_ok() && new(3_600, 10).is_ok());
        assert_eq!(new(0, 5), Err(GroupingError::NotPositive));
        assert!(matches!(new(10, 4), Err(GroupingError::SizeNotMultiple { .. })));
        assert!(matches!(new(70, 35), Err(GroupingError::WindowNotMultiple { .. })));
        assert_eq!(new(3_600, 2), Err(GroupingError::TooMany { per_row: 1_800 }));
    }

    #[test]
    fn a_tumbling_window_reaches_nowhere_and_a_hopping_one_back() {
        assert_eq!(grouping(10, 10, 1).reach(at(60), window(1)), (at(60), at(120)));
        assert_eq!(grouping(10, 5, 1).reach(at(60), window(1)), (at(55), at(120)));
        let of = |g: Grouping, start: i64, d: i64, s: i64| g.source_windows(at(start), window(d), window(s)).collect::<Vec<_>>();
        assert_eq!(of(grouping(10, 10, 1), 60, 1, 1), [at(60)]);
        assert_eq!(of(grouping(10, 5, 1), 60, 1, 1), [at(0), at(60)]);
        assert_eq!(of(grouping(10, 5, 1), 3_600, 1, 60), [at(0), at(3_600)]);
        assert_eq!(of(grouping(10, 10, 2), 120, 2, 1), [at(120), at(180)]);
        assert_eq!(of(grouping(10, 5, 1), 0, 1, 1), [at(-60), at(0)]);
    }

    #[test]
    fn every_row_is_in_as_many_grouping_windows_as_fit_and_each_is_of_one_derived_window() {
        for (size, every, derived) in [(10, 10, 1), (10, 5, 1), (180, 60, 1), (3_600, 300, 60)] {
            let g = grouping(size, every, derived);
            for seconds in [-86_400 - 7, -1, 0, 1, 59, 60, 119, 3_599, 3_600] {
                let time = at(seconds);
                let ends: Vec<_> = g.ends_of(time).collect();
                assert_eq!(ends.len() as i64, size / every);
                for end in ends {
                    assert!(end - g.size() <= time && time < end, "{time} is in the window that ends at {end}");
                    let owner = window(derived).start_of(end - Micros(1));
                    let (from, to) = g.reach(owner, window(derived));
                    assert!(from <= time && time < to, "the owner {owner} of {end} reads {time}");
                }
            }
        }
    }

    #[test]
    fn derived_windows_are_the_inverse_of_source_windows() {
        for (size, every, derived, source) in [(10, 10, 1, 1), (10, 5, 1, 1), (10, 5, 1, 60), (3_600, 300, 60, 1), (86_400, 3_600, 60, 60)]
        {
            let g = grouping(size, every, derived);
            let source_start = at(7_200);
            let found: Vec<_> = g.derived_windows(source_start, window(source), window(derived)).collect();
            let step = derived * 60;
            let expected: Vec<_> = (-86_400 / step..200_000 / step)
                .map(|n| at(n * step))
                .filter(|d| g.source_windows(*d, window(derived), window(source)).any(|s| s == source_start))
                .collect();
            assert_eq!(found, expected);
            assert!(!found.is_empty());
        }
    }
}

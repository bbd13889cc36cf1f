//! The one known bug of this crate that tests plant; `table_log::planted` plants it with its own. Nothing of it is in the program without the
//! cargo feature `planted-bugs`.

#[cfg(feature = "planted-bugs")]
static FAST_CLOCKS_COUNT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Whether event times alone move watermarks in this process, so that a fast device clock closes windows for all others.
#[cfg(feature = "planted-bugs")]
pub fn fast_clocks_count() -> bool {
    FAST_CLOCKS_COUNT.load(std::sync::atomic::Ordering::Relaxed)
}

/// Whether event times alone move watermarks: never, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn fast_clocks_count() -> bool {
    false
}

/// Plants the bug in this whole process, or removes it. Tests that plant need a process of their own.
#[cfg(feature = "planted-bugs")]
pub fn let_fast_clocks_count(planted: bool) {
    FAST_CLOCKS_COUNT.store(planted, std::sync::atomic::Ordering::Relaxed);
}

//! The allocator of the programs, Rust's and librdkafka's C code alike, and how soon it gives memory back.
//!
//! Half of the lake-writer's time on two cores goes into malloc if glibc serves it (docs/benchmarks.md). mimalloc in turn keeps freed pages: rows
//! are buffered by one thread and freed by another, so under load the process held twice its memory budget (docs/adr/0023).
pub use mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay`; libmimalloc-sys leaves out options whose numbers may change, so a test holds this one.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Its own delay is a second, and ten times as long for whole arenas. At none the lake-writer is 40 % slower; at 50 ms a tenth was seen, at 250 ms nothing.
const PURGE_DELAY_MS: std::ffi::c_long = 100;

/// Lets freed memory go back to the system soon. To be called once, when a program starts; `MIMALLOC_PURGE_DELAY` has the last word.
pub fn give_back_soon() {
    // SAFETY: options are plain numbers that mimalloc reads when it frees; setting one touches no memory of ours.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: MiMalloc = MiMalloc;

    /// The option with this number has mimalloc's default of the delay before, and ours after.
    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: reads a number.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1_000);
        give_back_soon();
        assert_eq!(delay(), PURGE_DELAY_MS);
    }
}

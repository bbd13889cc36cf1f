//! Fail points: places before and after each external effect where a test can kill the process.
//!
//! `fail_point!("after-create")` does nothing unless the crate has the feature `fail-points` and the environment variable
//! `TRIBUTARY_FAIL_POINT` holds `<name>:<nth>`; then the nth time that the point is passed the process kills itself with SIGKILL.

/// Names a fail point.
#[macro_export]
macro_rules! fail_point {
    ($name:expr) => {
        $crate::fail_points::pass($name)
    };
}

/// Passes a fail point. Does nothing in builds without the feature.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn pass(_name: &'static str) {}

/// Passes a fail point; kills the process if it is the armed one and its time has come.
#[cfg(feature = "fail-points")]
pub fn pass(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let armed = ARMED.get_or_init(|| std::env::var("TRIBUTARY_FAIL_POINT").ok().and_then(|text| parse(&text)));
    if let Some((armed, nth)) = armed
        && armed == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        kill();
    }
}

/// `<name>:<nth>`, nth from 1 (and 1 when left out).
#[cfg_attr(not(feature = "fail-points"), cfg(test))]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, nth) = text.rsplit_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), nth.parse().ok().filter(|nth| *nth > 0)?)).filter(|(name, _)| !name.is_empty())
}

/// No destructor runs and nothing is flushed, as in a power cut.
#[cfg(feature = "fail-points")]
fn kill() -> ! {
    let _ = std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_counts() {
        assert_eq!(parse("after-create:3"), Some(("after-create".to_owned(), 3)));
        assert_eq!(parse("after-create"), Some(("after-create".to_owned(), 1)));
        assert_eq!(parse("after-create:0"), None);
        assert_eq!(parse(":1"), None);
        assert_eq!(parse("x:y"), None);
    }

    #[test]
    fn an_unarmed_point_is_passed() {
        crate::fail_point!("never");
    }
}

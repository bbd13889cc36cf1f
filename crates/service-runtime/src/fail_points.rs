//! Fail points: places before and after each external effect where a test can kill the process.
//!
//! `fail_point!("after-create")` does nothing unless the crate has the feature `fail-points` and the environment variable
//! `TRIBUTARY_FAIL_POINT` holds `<name>:<nth>`; then the nth time that the point is passed the process says so on stderr and ends by SIGKILL.
//! `TRIBUTARY_STOP_POINT`, written alike, freezes it there by SIGSTOP until it gets SIGCONT: a zombie that wakes up in the middle of a step.
//! [`POINTS`] names them all: a test compares the list with the code, and `make test-kill` ends a writer at each.
//!
//! | variable, with the feature only | |
//! |---|---|
//! | `TRIBUTARY_FAIL_POINT` | `<name>:<nth>`, nth from 1: where to end |
//! | `TRIBUTARY_STOP_POINT` | the same: where to freeze |
//! | `TRIBUTARY_CHECKPOINT_EVERY` | records folded between two checkpoints, in place of 200 |
//! | `TRIBUTARY_INLINE_FILES_BYTES` | longest file list in a record, in place of 1 MiB |
//! | `TRIBUTARY_LOSE_REPLY_EVERY` | every so many-th create and publish takes effect, but its answer is lost |

/// All fail points. The ones of the log client have no prefix.
pub const POINTS: [&str; 59] = [
    "writer-before-assign",
    "writer-after-assign",
    "writer-before-fetch",
    "writer-after-fetch",
    "writer-before-stage",
    "writer-after-stage",
    "writer-before-create",
    "writer-after-create",
    "writer-before-publish",
    "writer-after-publish",
    "writer-before-group-commit",
    "writer-after-group-commit",
    "writer-before-revoke",
    "writer-after-revoke",
    "writer-before-lost",
    "writer-after-lost",
    "writer-before-discard",
    "writer-after-discard",
    "writer-before-drain",
    "writer-after-drain",
    "sealer-before-read",
    "sealer-after-read",
    "sealer-before-stage",
    "sealer-after-stage",
    "sealer-before-create",
    "sealer-after-create",
    "sealer-before-publish",
    "sealer-after-publish",
    "sealer-before-discard",
    "sealer-after-discard",
    "sealer-before-delete",
    "sealer-after-delete",
    "sealer-before-derive",
    "sealer-after-derive",
    "before-create",
    "after-create",
    "lost-reply",
    "before-file-list",
    "after-file-list",
    "before-publish",
    "after-publish",
    "before-help",
    "after-help",
    "before-checkpoint",
    "after-checkpoint",
    "after-latest",
    "before-segment",
    "after-segment",
    "bridge-before-receive",
    "bridge-after-receive",
    "bridge-before-produce",
    "bridge-after-produce",
    "bridge-before-kafka-ack",
    "bridge-after-kafka-ack",
    "bridge-before-puback",
    "bridge-after-puback",
    "bridge-http-before-produce",
    "bridge-http-after-produce",
    "bridge-http-before-answer",
];

/// What the names of the bridge's points begin with.
pub const BRIDGE: &str = "bridge-";

/// What the names of the window-sealer's points begin with; all but these and the bridge's are passed by the lake-writer.
pub const SEALER: &str = "sealer-";

/// What stands on stderr before the process ends at a fail point; the name and the count follow.
pub const MARK: &str = "killed at fail point";

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

/// Passes a fail point; ends or freezes the process if it is the armed one and its time has come.
#[cfg(feature = "fail-points")]
pub fn pass(name: &'static str) {
    use std::sync::OnceLock;
    static END: OnceLock<Option<Armed>> = OnceLock::new();
    static FREEZE: OnceLock<Option<Armed>> = OnceLock::new();
    assert!(POINTS.contains(&name), "fail point `{name}` is not in the list");
    if let Some(armed) = FREEZE.get_or_init(|| Armed::from_environment("TRIBUTARY_STOP_POINT"))
        && armed.is_due(name)
    {
        freeze();
    }
    if let Some(armed) = END.get_or_init(|| Armed::from_environment("TRIBUTARY_FAIL_POINT"))
        && armed.is_due(name)
    {
        kill(name, armed.nth);
    }
}

/// A point at which something happens.
#[cfg(feature = "fail-points")]
#[derive(Debug)]
struct Armed {
    name: String,
    nth: u64,
    passed: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "fail-points")]
impl Armed {
    fn from_environment(variable: &str) -> Option<Self> {
        let (name, nth) = parse(&std::env::var(variable).ok()?)?;
        Some(Self { name, nth, passed: Default::default() })
    }

    fn is_due(&self, name: &str) -> bool {
        self.name == name && self.passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == self.nth
    }
}

/// A number that tests set through the environment; `None` if it is not set, and always in builds without the feature.
pub fn threshold(variable: &str) -> Option<u64> {
    if cfg!(feature = "fail-points") { std::env::var(variable).ok()?.parse().ok() } else { None }
}

/// `<name>:<nth>`, nth from 1 (and 1 when left out).
#[cfg_attr(not(feature = "fail-points"), cfg(test))]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, nth) = text.rsplit_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), nth.parse().ok().filter(|nth| *nth > 0)?)).filter(|(name, _)| !name.is_empty())
}

/// Ends the process now, as a power cut would: no destructor runs and nothing is flushed.
///
/// Replacing the program ends all its threads at once, which a `kill` in a process of its own does milliseconds later; what replaces it
/// ends by SIGKILL, so whoever waits for the process sees that.
#[cfg(feature = "fail-points")]
fn kill(name: &str, nth: u64) -> ! {
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;
    // Nobody may read it any more: the end matters.
    let _ = writeln!(std::io::stderr(), "{MARK} {name}:{nth}");
    let error = std::process::Command::new("sh").args(["-c", "kill -KILL $$"]).exec();
    panic!("cannot replace the program: {error}")
}

/// Freezes the process. This thread goes on only after it was continued.
#[cfg(feature = "fail-points")]
fn freeze() {
    let status = std::process::Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot freeze the process");
}

#[cfg(test)]
mod tests {
    use super::{POINTS, parse};

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
        crate::fail_point!("before-create");
    }

    #[test]
    fn each_point_has_a_name_of_its_own() {
        let distinct: std::collections::BTreeSet<_> = POINTS.iter().collect();
        assert_eq!(distinct.len(), POINTS.len());
    }
}

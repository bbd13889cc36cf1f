//! How each fail point is reached.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// At which passing of the point a writer ends, one writer after the other: the last ones end while they recover from the one before.
pub fn passes(how: Reach, rng: &mut ChaCha8Rng) -> Vec<u64> {
    match how {
        Reach::Work => vec![1, 2, rng.random_range(3..=9), 1],
        _ => vec![1, 1],
    }
}

/// What makes a writer pass a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its work, many times.
    Work,
    /// Its start, once.
    Start,
    /// Its work, now and then.
    Upkeep,
    /// Answers of the store that get lost.
    LostReply,
    /// File lists of any length in objects of their own.
    FileList,
    /// A log of a thousand records whose segments are gone.
    Segment,
    /// A new member of the group.
    Joiner,
    /// It wakes up in the middle of a commit after another took over.
    Zombie,
    /// SIGTERM.
    Terminate,
    /// A record that another committed and left unpublished.
    Help,
}

/// The way to a point.
///
/// # Panics
/// Nobody has said how the point is reached: say it here.
pub fn reach(point: &str) -> Reach {
    match point {
        "writer-before-assign" | "writer-after-assign" => Reach::Start,
        "writer-before-fetch" | "writer-after-fetch" => Reach::Work,
        "writer-before-stage" | "writer-after-stage" | "writer-before-create" | "writer-after-create" => Reach::Work,
        "writer-before-publish" | "writer-after-publish" | "before-publish" | "after-publish" => Reach::Work,
        "writer-before-group-commit" | "writer-after-group-commit" | "before-create" | "after-create" => Reach::Work,
        "before-checkpoint" | "after-checkpoint" | "after-latest" => Reach::Upkeep,
        "lost-reply" => Reach::LostReply,
        "before-file-list" | "after-file-list" => Reach::FileList,
        "before-segment" | "after-segment" => Reach::Segment,
        "writer-before-revoke" | "writer-after-revoke" => Reach::Joiner,
        "writer-before-lost" | "writer-after-lost" | "writer-before-discard" | "writer-after-discard" => Reach::Zombie,
        "writer-before-drain" | "writer-after-drain" => Reach::Terminate,
        "before-help" | "after-help" => Reach::Help,
        other => panic!("how is the fail point `{other}` reached?"),
    }
}

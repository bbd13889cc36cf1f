//! How each fail point is reached.

/// Times that a writer ends at each point: again while it recovers.
pub const PASSES: u64 = 2;

/// What makes a writer pass a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its work.
    Work,
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
        "writer-before-assign" | "writer-after-assign" | "writer-before-fetch" | "writer-after-fetch" => Reach::Work,
        "writer-before-stage" | "writer-after-stage" | "writer-before-create" | "writer-after-create" => Reach::Work,
        "writer-before-publish" | "writer-after-publish" | "before-publish" | "after-publish" => Reach::Work,
        "writer-before-group-commit" | "writer-after-group-commit" | "before-create" | "after-create" => Reach::Work,
        "before-checkpoint" | "after-checkpoint" | "after-latest" => Reach::Work,
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

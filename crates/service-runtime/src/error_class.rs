/// What a service does about an error. Each service maps its errors to a class in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It passes: try again, with backpressure and jitter.
    Retry,
    /// Somebody else took the work: read the log again and go on from there.
    Fenced,
    /// The record is bad: to quarantine with it.
    Refuse,
    /// A person must put something right: the table stops and says what.
    Misconfigured,
    /// A broken invariant of our own: the process ends, for it no longer knows what is true.
    Bug,
}

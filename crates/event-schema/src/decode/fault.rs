//! Why a walk stopped, with the path to the place.
use crate::RefusalCode;

/// Result of a step of the walk; boxed, so that the good way moves one word.
pub(super) type Walk<T> = Result<T, Box<Fault>>;

/// What is wrong, and the path to it, innermost first.
#[derive(Debug)]
pub(super) struct Fault {
    pub code: RefusalCode,
    what: String,
    path: Vec<String>,
}

impl Fault {
    #[cold]
    pub(super) fn new(code: RefusalCode, what: impl Into<String>) -> Box<Self> {
        Box::new(Self { code, what: what.into(), path: Vec::new() })
    }

    /// The same fault, seen from one level further out.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, step: impl Into<String>) -> Box<Self> {
        self.path.push(step.into());
        self
    }

    /// Path and text, such as "`values[]`: the symbol index is `7` of `3`".
    pub(super) fn detail(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            if !path.is_empty() && !step.starts_with(['[', '{']) {
                path.push('.');
            }
            path += step;
        }
        if path.is_empty() { self.what.clone() } else { format!("`{path}`: {}", self.what) }
    }
}

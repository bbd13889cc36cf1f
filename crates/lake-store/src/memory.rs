//! STUB. In memory, with injected faults.
/// A lake in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {}

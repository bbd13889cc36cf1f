//! STUB. Local disk.
use std::path::PathBuf;
/// A lake in a folder.
#[derive(Debug, Clone)]
pub struct LocalStore { root: PathBuf }
impl LocalStore {
    /// Opens the folder, creating it.
    pub fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> { Ok(Self { root: root.into() }) }
    /// The folder.
    pub fn path(&self) -> &std::path::Path { &self.root }
}

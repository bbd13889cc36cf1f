//! Files whose changes take effect without a restart: tokens, and certificate with key.
//!
//! The contents are compared, not times: mounted secrets are replaced by links, with times of their own. While the files are faulty or
//! gone, what was read last stays in force.
use sha2::{Digest as _, Sha256};
use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// Larger files are neither tokens nor certificates.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What was read last without a fault.
pub struct Reloaded<T> {
    current: RwLock<Arc<T>>,
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").finish_non_exhaustive()
    }
}

impl<T> Reloaded<T> {
    /// The value in force.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The files behind a value.
pub struct Source<T> {
    files: Vec<PathBuf>,
    parse: fn(&[Vec<u8>]) -> Result<T, String>,
    /// Of the last look: the contents' hash, or why they could not be read.
    seen: Result<[u8; 32], String>,
    target: Arc<Reloaded<T>>,
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What a look at the files found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Same,
    /// Another value is in force.
    Changed,
    /// They cannot be read or used, for this reason; what was read last stays in force.
    Faulty(String),
}

impl<T> Source<T> {
    /// Reads the files for the first time. `parse` gets their contents in the same order. Blocks.
    ///
    /// # Errors
    /// They cannot be read or used.
    pub fn open(files: Vec<PathBuf>, parse: fn(&[Vec<u8>]) -> Result<T, String>) -> Result<Self, String> {
        let contents = read_all(&files)?;
        let value = parse(&contents).map_err(|what| format!("{}: {what}", names(&files)))?;
        let target = Arc::new(Reloaded { current: RwLock::new(Arc::new(value)) });
        Ok(Self { seen: Ok(hash(&contents)), files, parse, target })
    }

    /// Where the value in force can be had.
    pub fn target(&self) -> Arc<Reloaded<T>> {
        Arc::clone(&self.target)
    }

    /// Looks again. A fault is told once, until the files change. Blocks.
    pub fn look(&mut self) -> Look {
        let contents = match read_all(&self.files) {
            Ok(contents) => contents,
            Err(what) if self.seen.as_ref().is_err_and(|known| *known == what) => return Look::Same,
            Err(what) => {
                self.seen = Err(what.clone());
                return Look::Faulty(what);
            }
        };
        let hash = hash(&contents);
        if self.seen.as_ref().is_ok_and(|known| *known == hash) {
            return Look::Same;
        }
        self.seen = Ok(hash);
        match (self.parse)(&contents) {
            Ok(value) => {
                *self.target.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                Look::Changed
            }
            Err(what) => Look::Faulty(format!("{}: {what}", names(&self.files))),
        }
    }
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(", ")
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("`{}` cannot be read: {error}", file.display());
    let mut contents = Vec::new();
    fs::File::open(file).map_err(cannot)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut contents).map_err(cannot)?;
    if contents.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("`{}` has more than 1 MiB", file.display()));
    }
    Ok(contents)
}

fn hash(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for content in contents {
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(contents: &[Vec<u8>]) -> Result<i32, String> {
        String::from_utf8_lossy(&contents[0]).trim().parse().map_err(|_| "no number".to_owned())
    }

    #[test]
    fn changes_take_effect_and_faults_keep_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("number");
        assert!(Source::open(vec![file.clone()], number).expect_err("missing").contains("cannot be read"));
        fs::write(&file, "x").expect("write");
        assert!(Source::open(vec![file.clone()], number).expect_err("faulty").contains("no number"));
        fs::write(&file, "1").expect("write");
        let mut source = Source::open(vec![file.clone()], number).expect("valid");
        let target = source.target();
        assert_eq!((source.look(), *target.current()), (Look::Same, 1));
        fs::write(&file, "2").expect("write");
        assert_eq!((source.look(), *target.current()), (Look::Changed, 2));
        fs::write(&file, "x").expect("write");
        assert!(matches!(source.look(), Look::Faulty(what) if what.contains("no number")));
        assert_eq!((source.look(), *target.current()), (Look::Same, 2), "told once");
        fs::remove_file(&file).expect("remove");
        assert!(matches!(source.look(), Look::Faulty(what) if what.contains("cannot be read")));
        assert_eq!((source.look(), *target.current()), (Look::Same, 2));
        fs::write(&file, "2").expect("write");
        assert_eq!((source.look(), *target.current()), (Look::Changed, 2));
        fs::write(&file, vec![b'1'; 2 << 20]).expect("write");
        assert!(matches!(source.look(), Look::Faulty(what) if what.contains("1 MiB")));
    }

    #[test]
    fn a_replaced_link_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "1").expect("write");
        fs::write(at("new"), "2").expect("write");
        std::os::unix::fs::symlink(at("old"), at("link")).expect("link");
        let mut source = Source::open(vec![at("link")], number).expect("valid");
        std::os::unix::fs::symlink(at("new"), at("next")).expect("link");
        fs::rename(at("next"), at("link")).expect("replace");
        assert_eq!((source.look(), *source.target().current()), (Look::Changed, 2));
    }
}

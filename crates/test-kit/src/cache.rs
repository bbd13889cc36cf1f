//! Downloads of tests, kept between runs and shared by parallel tests.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Written when a folder is complete.
const COMPLETE: &str = ".complete";

/// Where downloads are kept: the environment variable `TRIBUTARY_CACHE`, else `~/.cache/tributary`. Outside the build folder, so that
/// cleaning that does not download everything again.
///
/// # Errors
/// Neither variable nor home folder is set.
pub fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TRIBUTARY_CACHE") {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::home_dir().context("neither TRIBUTARY_CACHE nor a home folder is set")?;
    Ok(home.join(".cache/tributary"))
}

/// The folder `name` of the cache, made by `make` if it is not complete. A file lock lets parallel tests, also in other processes, make it once.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    fs::create_dir_all(&cache).with_context(|| format!("create the cache folder `{}`", cache.display()))?;
    let lock_file = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_file).with_context(|| format!("open the lock `{}`", lock_file.display()))?;
    lock.lock().with_context(|| format!("lock `{}`", lock_file.display()))?;
    let folder = cache.join(name);
    if !folder.join(COMPLETE).exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove the unfinished `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("create `{}`", folder.display()))?;
        make(&folder)?;
        File::create(folder.join(COMPLETE)).with_context(|| format!("mark `{}` as complete", folder.display()))?;
    }
    Ok(folder)
}

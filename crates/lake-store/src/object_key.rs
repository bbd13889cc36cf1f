//! Which keys every store accepts: the common ground of S3 and file systems, so that a lake can move between them.
use crate::StoreError;

/// Longest key in bytes (S3's limit).
const MAX_KEY_BYTES: usize = 1024;
/// Longest segment between two `/` in bytes (the limit of common file systems).
const MAX_SEGMENT_BYTES: usize = 255;
/// The folder of staged files in a local lake; no object can be in it.
pub(crate) const STAGING: &str = "_staging";

/// Refuses keys that could leave the lake root, hide in `_staging/` or that one of the stores cannot hold.
pub(crate) fn check_key(operation: &'static str, key: &str) -> Result<(), StoreError> {
    match fault_of(key) {
        Some(fault) => Err(StoreError::denied(operation, key, fault)),
        None => Ok(()),
    }
}

/// The same for a prefix of keys: it may be empty and may end anywhere.
pub(crate) fn check_prefix(operation: &'static str, prefix: &str) -> Result<(), StoreError> {
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder.is_empty() && !prefix.starts_with('/') && !prefix.contains('\0') {
        return Ok(());
    }
    check_key(operation, folder)
}

fn fault_of(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("the key is empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Some("the key is longer than 1024 bytes");
    }
    if key.contains('\0') {
        return Some("the key holds a NUL character");
    }
    if key.split('/').next() == Some(STAGING) {
        return Some("the key is in the folder of staged files");
    }
    key.split('/').find_map(|segment| match segment {
        "" => Some("the key has an empty segment"),
        "." | ".." => Some("the key has a `.` or `..` segment"),
        _ if segment.len() > MAX_SEGMENT_BYTES => Some("the key has a segment longer than 255 bytes"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_under_the_root() {
        for key in ["a", "t/_log/0.json", "t/data/dt=2026-11-21/a..b/x", "t/_staging/x", &"x".repeat(255)] {
            assert!(check_key("get", key).is_ok(), "{key}");
        }
        let long = ["x/"; 600].concat() + "y";
        let segment = "x".repeat(256);
        for key in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b", "_staging/x", "_staging", &long, &segment] {
            assert!(check_key("get", key).is_err(), "{key}");
        }
    }

    #[test]
    fn prefixes_may_end_anywhere() {
        for prefix in ["", "a", "a/", "a/b", "t/data/dt="] {
            assert!(check_prefix("list", prefix).is_ok(), "{prefix}");
        }
        for prefix in ["/", "../", "a/../", "/etc", "a//"] {
            assert!(check_prefix("list", prefix).is_err(), "{prefix}");
        }
    }
}

//! How files are encoded: shared with all that write files of the lake.
pub use lake_file::{Dictionaries, EncodeOptions, EncodedFile, FileEncoder, Footer};

use service_runtime::settings::Compression;

/// The codec that the settings name.
pub fn codec(compression: Compression) -> lake_file::Compression {
    match compression {
        Compression::Zstd => lake_file::Compression::Zstd,
        Compression::Snappy => lake_file::Compression::Snappy,
    }
}

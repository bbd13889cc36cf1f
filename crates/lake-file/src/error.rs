/// What can go wrong with a file of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeFileError {
    /// A file is not the Parquet that the log describes, or it cannot be read.
    #[error("cannot read file `{key}`: {detail}")]
    File {
        /// Its key.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// Rows could not be encoded: a defect, since schemas are checked before.
    #[error("{what}: {detail}")]
    Encode {
        /// Verb and object.
        what: &'static str,
        /// Values.
        detail: String,
    },
}

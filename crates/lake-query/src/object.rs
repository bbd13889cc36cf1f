//! The lake's store as an `object_store::ObjectStore`, read-only, so that DataFusion reads through the same port as everything else.
use crate::error::MissingObjects;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::{
    self, Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lake_store::LakeStore;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Read-only view of a lake. Everything that would write answers `NotImplemented`.
#[derive(Debug)]
pub(crate) struct LakeObjects {
    store: Arc<dyn LakeStore>,
    missing: Arc<MissingObjects>,
}

impl LakeObjects {
    pub(crate) fn new(store: Arc<dyn LakeStore>, missing: Arc<MissingObjects>) -> Self {
        Self { store, missing }
    }

    fn not_found(&self, location: &Path) -> Error {
        self.missing.note(location.as_ref());
        Error::NotFound { path: location.to_string(), source: "no such object".into() }
    }

    async fn meta(&self, location: &Path) -> object_store::Result<ObjectMeta> {
        let found = self.store.head(location.as_ref()).await.map_err(store_error)?.ok_or_else(|| self.not_found(location))?;
        Ok(ObjectMeta { location: location.clone(), last_modified: found.modified.into(), size: found.bytes, e_tag: None, version: None })
    }

    async fn bytes(&self, location: &Path, range: Range<u64>) -> object_store::Result<Bytes> {
        self.store.get(location.as_ref(), Some(range)).await.map_err(store_error)?.ok_or_else(|| self.not_found(location))
    }
}

fn store_error(error: lake_store::StoreError) -> Error {
    Error::Generic { store: "lake", source: Box::new(error) }
}

fn read_only(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "a read-only lake".to_owned() }
}

impl fmt::Display for LakeObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lake at {}", self.store.root())
    }
}

#[async_trait]
impl ObjectStore for LakeObjects {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let meta = self.meta(location).await?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|e| Error::Generic { store: "lake", source: Box::new(e) })?,
            None => 0..meta.size,
        };
        let body = if options.head { Bytes::new() } else { self.bytes(location, range.clone()).await? };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(body) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            parts.push(self.bytes(location, range.clone()).await?);
        }
        Ok(parts)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    fn delete_stream(&self, locations: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        locations.map(|_| Err(read_only("delete"))).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        stream::once(async { Err(read_only("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(read_only("list_with_delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(read_only("copy"))
    }
}

//! A lake in memory, for tests: strongly consistent, with injected faults and a virtual clock.
//!
//! A [`MemoryStore`] is one client's handle; [`MemoryStore::client`] makes another client of the same lake, with faults of its own. A request
//! that lands late does so even if its client has crashed.
mod fault;
mod world;

pub use fault::{Fault, FaultPlan, FaultRates};
pub use world::StagedUpload;

use crate::object_key::{check_key, check_prefix};
use crate::{CreateOutcome, LakeStore, ObjectMeta, PublishOutcome, StagedObject, StagedWrite, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use fault::Script;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table_log::record::Upload;
use world::World;

/// One client of a lake in memory. Clones are the same client.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    world: Arc<Mutex<World>>,
    client: Arc<Mutex<Client>>,
}

#[derive(Debug)]
struct Client {
    plan: FaultPlan,
    script: Script,
    random: ChaCha8Rng,
    crashed: bool,
    clock_ahead_seconds: f64,
}

/// How a call with an effect goes on after its fault was drawn.
enum Course {
    Plain,
    LoseReply,
    Land(Option<Duration>),
    Slow(Duration),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty lake and a client of it without faults.
    pub fn new() -> Self {
        Self::of(Arc::new(Mutex::new(World::new())), FaultPlan::default(), 0)
    }

    /// Another client of the same lake, with faults drawn from `seed`.
    pub fn client(&self, plan: FaultPlan, seed: u64) -> Self {
        Self::of(Arc::clone(&self.world), plan, seed)
    }

    fn of(world: Arc<Mutex<World>>, plan: FaultPlan, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let client = Client { plan, script: Script::default(), random, crashed: false, clock_ahead_seconds: 0.0 };
        Self { world, client: Arc::new(Mutex::new(client)) }
    }

    /// The next call of `operation` (the port's method name; `write` and `finish` of a staging too) on a key that contains `key_part` meets this fault. Used before the plan's.
    pub fn inject(&self, operation: &'static str, key_part: &str, fault: Fault) {
        lock(&self.client).script.add(operation, key_part, fault);
    }

    /// Replaces the faults that are drawn from now on.
    pub fn set_faults(&self, plan: FaultPlan) {
        lock(&self.client).plan = plan;
    }

    /// Every later call of this client fails; what is under way may still land.
    pub fn crash(&self) {
        lock(&self.client).crashed = true;
    }

    /// What `clock_offset` answers.
    pub fn set_clock_offset(&self, ahead_seconds: f64) {
        lock(&self.client).clock_ahead_seconds = ahead_seconds;
    }

    /// Finished stagings that are neither published nor discarded.
    pub fn staged_uploads(&self) -> Vec<StagedUpload> {
        lock(&self.world).staged()
    }

    /// The store's time.
    pub fn now(&self) -> std::time::SystemTime {
        lock(&self.world).now()
    }

    fn draw(&self, operation: &'static str, key: &str) -> Result<Option<Fault>, StoreError> {
        let mut client = lock(&self.client);
        if client.crashed {
            return Err(StoreError::denied(operation, key, "the client has crashed"));
        }
        let Client { plan, script, random, .. } = &mut *client;
        Ok(script.take(operation, key).or_else(|| plan.draw(operation, random)))
    }

    fn alive(&self, operation: &'static str, key: &str) -> Result<(), StoreError> {
        if lock(&self.client).crashed { Err(StoreError::denied(operation, key, "the client has crashed")) } else { Ok(()) }
    }

    async fn course(&self, operation: &'static str, key: &str) -> Result<Course, StoreError> {
        // A place where other clients get their turn, also without faults.
        tokio::task::yield_now().await;
        Ok(match self.draw(operation, key)? {
            None => Course::Plain,
            Some(Fault::Error) => return Err(StoreError::unavailable(operation, key, "injected error")),
            Some(Fault::Refusal) => return Err(StoreError::denied(operation, key, "injected refusal")),
            Some(Fault::LostReply) => Course::LoseReply,
            Some(Fault::LandLate(after)) => Course::Land(Some(after)),
            Some(Fault::LandNever) => Course::Land(None),
            Some(Fault::Delay(delay)) => Course::Slow(delay),
        })
    }

    async fn read<T>(&self, operation: &'static str, key: &str, look: impl FnOnce(&World) -> T) -> Result<T, StoreError> {
        match self.course(operation, key).await? {
            Course::Plain => {}
            Course::LoseReply | Course::Land(_) => return Err(StoreError::unavailable(operation, key, "injected error")),
            Course::Slow(delay) => {
                tokio::time::sleep(delay / 2).await;
                let found = look(&lock(&self.world));
                tokio::time::sleep(delay / 2).await;
                return self.alive(operation, key).map(|()| found);
            }
        }
        Ok(look(&lock(&self.world)))
    }

    /// Runs an effect as the drawn fault wants it.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        effect: impl FnOnce(&mut World) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.course(operation, key).await? {
            Course::Plain => effect(&mut lock(&self.world)),
            Course::LoseReply => {
                let _ = effect(&mut lock(&self.world));
                Err(StoreError::unknown(operation, key, "injected lost reply"))
            }
            Course::Land(after) => {
                if let Some(after) = after {
                    let world = Arc::clone(&self.world);
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        let _ = effect(&mut lock(&world));
                    });
                }
                Err(StoreError::unknown(operation, key, "injected time-out"))
            }
            Course::Slow(delay) => {
                // The request is under way: it lands even if the caller walks away or crashes meanwhile.
                let world = Arc::clone(&self.world);
                let landing = tokio::spawn(async move {
                    tokio::time::sleep(delay / 2).await;
                    effect(&mut lock(&world))
                });
                let landed = landing.await.map_err(|e| StoreError::unknown(operation, key, e))?;
                tokio::time::sleep(delay / 2).await;
                self.alive(operation, key)?;
                landed
            }
        }
    }
}

#[async_trait]
impl LakeStore for MemoryStore {
    async fn create(&self, key: &str, body: Bytes) -> Result<CreateOutcome, StoreError> {
        check_key("create", key)?;
        let owned = key.to_owned();
        self.change("create", key, move |world| Ok(world.create(&owned, body))).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError> {
        check_key("get", key)?;
        let body = self.read("get", key, |world| world.body(key)).await?;
        Ok(body.map(|body| match range {
            Some(range) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(body.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                body.slice(start..end)
            }
            None => body,
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        check_key("head", key)?;
        self.read("head", key, |world| world.head(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, StoreError> {
        check_prefix("list", prefix)?;
        self.read("list", prefix, |world| world.list(prefix, after.unwrap_or(""), limit)).await
    }

    async fn put_hint(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        check_key("put_hint", key)?;
        let owned = key.to_owned();
        self.change("put_hint", key, move |world| {
            world.put(&owned, body, None);
            Ok(())
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        check_key("delete", key)?;
        let owned = key.to_owned();
        self.change("delete", key, move |world| {
            world.delete(&owned);
            Ok(())
        })
        .await
    }

    async fn stage(&self, key: &str) -> Result<Box<dyn StagedWrite>, StoreError> {
        check_key("stage", key)?;
        let token = self.read("stage", key, |_| ()).await.map(|()| lock(&self.world).new_token())?;
        Ok(Box::new(StagedBuffer { store: self.clone(), key: key.to_owned(), token, body: Vec::new() }))
    }

    async fn publish(&self, key: &str, upload: &Upload, bytes: u64) -> Result<PublishOutcome, StoreError> {
        check_key("publish", key)?;
        let (owned, upload) = (key.to_owned(), upload.clone());
        self.change("publish", key, move |world| world.publish(&owned, &upload, bytes)).await
    }

    async fn discard(&self, key: &str, upload: &Upload) -> Result<(), StoreError> {
        check_key("discard", key)?;
        let upload = upload.clone();
        self.change("discard", key, move |world| {
            world.discard(&upload);
            Ok(())
        })
        .await
    }

    async fn list_staged(&self, table: &str, limit: usize) -> Result<Vec<StagedObject>, StoreError> {
        let of_table = |world: &World| {
            let of_table = world.staged().into_iter().filter(|staged| staged.key.split('/').next() == Some(table));
            of_table.take(limit).map(|s| StagedObject { key: Some(s.key), upload: s.upload, modified: s.modified }).collect()
        };
        self.read("list_staged", table, of_table).await
    }

    async fn clock_offset(&self) -> Result<(f64, Duration), StoreError> {
        self.read("clock_offset", "", |_| ()).await?;
        Ok((lock(&self.client).clock_ahead_seconds, Duration::ZERO))
    }

    fn root(&self) -> String {
        "memory".to_owned()
    }
}

/// A file being staged.
struct StagedBuffer {
    store: MemoryStore,
    key: String,
    token: String,
    body: Vec<u8>,
}

#[async_trait]
impl StagedWrite for StagedBuffer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.store.read("write", &self.key, |_| ()).await?;
        self.body.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(Upload, u64), StoreError> {
        let Self { store, key, token, body } = *self;
        let bytes = body.len() as u64;
        let upload = world::upload_of(&token);
        let owned = key.clone();
        store
            .change("finish", &key, move |world| {
                world.put_staged(&owned, &token, Bytes::from(body));
                Ok(())
            })
            .await?;
        Ok((upload, bytes))
    }

    async fn abort(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

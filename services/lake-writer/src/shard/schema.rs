//! Schemas that a shard meets: waiting for one that is not known yet, taking up one that adds to the table's, following the log's.
use super::{REVOKE_DRAIN, Shard, on_the_wire};
use crate::{
    bootstrap,
    error::{StoppedTable, WriterError},
    rules::TableRules,
    take::SchemaChange,
};
use event_schema::{BatchDecoder, Evolution, SchemaError, SchemaLookup};
use kafka_io::{KafkaIoError, StartAt, TopicPartition};
use std::sync::Arc;
use table_log::TableState;
use tokio::time::Instant;

/// kafka_partitions that a report names.
const NAMED: usize = 3;

impl Shard {
    /// A decoder of the table's schema.
    pub(super) fn decoder(context: &crate::context::TableContext, rules: &TableRules) -> BatchDecoder {
        BatchDecoder::new(Arc::clone(&rules.schema), context.schemas.clone(), context.settings.limits.clone())
    }

    /// Stops reading what waits for a schema since the last take, and asks for the schemas behind it.
    pub(super) fn suspend_awaiting(&mut self) {
        for schema_id in self.intake.take_ahead() {
            self.context().schemas.lookup(schema_id);
        }
        for progress in self.owned.iter().filter(|progress| progress.awaits_schema().is_some()) {
            let partition = on_the_wire(&progress.source);
            if self.suspended.contains(&partition) {
                continue;
            }
            if let Err(error) = self.consumer.suspend(&partition) {
                // It is read on; what is read is dropped, for it waits all the same.
                tracing::warn!(?partition, %error, "kafka_partition that waits for a schema cannot be suspended");
            }
            self.suspended.insert(partition);
        }
    }

    /// Reads on, at their own next offset, what need not wait any longer. Not while a batch is held: it may have records behind that offset,
    /// which would look like the next ones.
    pub(super) fn resume_known(&mut self) {
        if self.suspended.is_empty() || self.held.is_some() {
            return;
        }
        for partition in self.suspended.clone() {
            let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else {
                self.suspended.remove(&partition);
                continue;
            };
            let waits_for = self.owned.at(index).awaits_schema();
            let waits = waits_for.is_some_and(|id| matches!(self.context().schemas.lookup(id), SchemaLookup::Pending));
            if !waits && self.restart(&partition) {
                self.suspended.remove(&partition);
            }
        }
    }

    /// Assigns a kafka_partition again at its own next offset. Returns whether there is nothing left to do for it.
    pub(super) fn restart(&mut self, partition: &TopicPartition) -> bool {
        let Some(index) = self.owned.find(&partition.topic, partition.kafka_partition) else { return true };
        let now = self.now();
        let progress = self.owned.at(index);
        let at = StartAt { offset: progress.next().0, leader_epoch: progress.leader_epoch() };
        match self.consumer.reassign(partition, at) {
            Ok(()) => self.owned.at(index).restarted(now),
            Err(KafkaIoError::NotAssigned { .. }) => {}
            Err(error) => {
                tracing::warn!(?partition, %error, "kafka_partition cannot be assigned again yet");
                return false;
            }
        }
        true
    }

    /// Says what waits for which schema, and why.
    pub(super) fn show_waiting(&mut self) {
        let waiting = || self.owned.iter().filter_map(|progress| Some((progress, progress.awaits_schema()?)));
        let named = waiting().take(NAMED).map(|(progress, schema_id)| {
            let why = self.context().schemas.pending_reason(schema_id).unwrap_or_else(|| "its schema is known now".to_owned());
            format!("`{}` at offset {} for schema id `{schema_id}`: {why}", progress.source, progress.next())
        });
        let named: Vec<String> = named.collect();
        let count = waiting().count();
        if count > 0 && !self.waiting_is_said {
            tracing::warn!(table = self.context().name(), shard = self.setup.number, count, ?named, "kafka_partitions wait for schemas");
        }
        self.waiting_is_said = count > 0;
        let why = (count > 0).then(|| format!("{count} kafka_partition(s) wait: {}", named.join("; ")));
        self.context().health.set_not_ready(&self.waiting_component(), why);
    }

    /// Under which health shows what waits.
    pub(super) fn waiting_component(&self) -> String {
        format!("{}/shard-{}/schemas", crate::table::component(self.context()), self.setup.number)
    }

    /// Takes up a schema that adds to the table's: what was taken so far is committed with the old one, then the log gets the new one, and the
    /// batch that is held goes on with it.
    ///
    /// # Errors
    /// The schemas do not fit: the table stops.
    pub(super) fn take_up(&mut self, change: &SchemaChange) -> Result<(), StoppedTable> {
        match self.rules.schema.evolve(&change.writer) {
            Ok(Evolution::Adds { .. }) => {}
            Ok(Evolution::Covers) => {
                let detail = format!("schema id `{}` is covered by the table's schema but was not decoded by it", change.schema_id);
                return Err(StoppedTable::Bug { table: self.context().name().to_owned(), detail });
            }
            Err(error) => return Err(self.schema_changed(change, &error)),
        }
        if !self.commit_all()? {
            return Ok(());
        }
        let context = Arc::clone(self.context());
        let took = self.setup.runtime.block_on(context.persist("take up a new schema", &self.setup.give_up, || {
            bootstrap::take_up_schema(&context, &change.writer, &self.setup.give_up)
        }))?;
        match took {
            None => Ok(()),
            Some(Ok(())) => self.adopt(&context.log.state()),
            Some(Err(error)) => Err(self.schema_changed(change, &error)),
        }
    }

    /// Takes over newer rules from the log. With another schema, what was taken before is committed first.
    pub(super) fn follow(&mut self, state: &TableState) -> Result<(), StoppedTable> {
        let same = state.table.as_ref().is_none_or(|newest| self.rules.schema.same_as(&newest.avro_schema));
        if same || self.commit_all()? { self.adopt(state) } else { Ok(()) }
    }

    /// Whether the log has newer rules.
    pub(super) fn is_behind(&self, state: &TableState) -> bool {
        state.table.as_ref().is_some_and(|newest| newest.schema_version != self.rules.body.schema_version)
    }

    /// Commits all that was taken. `false`: that did not end in time, and all is read again from the log.
    fn commit_all(&mut self) -> Result<bool, StoppedTable> {
        self.drain(Instant::now() + REVOKE_DRAIN)?;
        let done = !self.owned.is_pending();
        if !done {
            self.reset();
        }
        Ok(done)
    }

    fn adopt(&mut self, state: &TableState) -> Result<(), StoppedTable> {
        let misconfigured =
            |error: WriterError| StoppedTable::Misconfigured { table: self.context().name().to_owned(), detail: error.to_string() };
        let rules = Arc::new(TableRules::from_state(&self.context().table.table, state).map_err(misconfigured)?);
        for progress in self.owned.iter_mut() {
            progress.watermark = rules.watermark(progress.watermark.current());
        }
        if rules.schema.same_as(&self.rules.body.avro_schema) {
            self.intake.set_rules(Arc::clone(&rules));
        } else {
            tracing::info!(
                table = self.context().name(),
                shard = self.setup.number,
                schema_version = rules.body.schema_version,
                "schema adopted"
            );
            self.intake.set_schema(Arc::clone(&rules), Self::decoder(self.context(), &rules));
        }
        self.rules = rules;
        Ok(())
    }

    fn schema_changed(&self, change: &SchemaChange, error: &SchemaError) -> StoppedTable {
        StoppedTable::SchemaChanged {
            table: self.context().name().to_owned(),
            topic: change.source.topic.clone(),
            kafka_partition: change.source.kafka_partition,
            offset: change.offset,
            schema_id: change.schema_id,
            why: error.faults.iter().map(|fault| format!("`{}`: {}", fault.path, fault.what)).collect::<Vec<_>>().join("; "),
            writer_schema: change.writer.as_str().into(),
            table_schema: self.rules.schema.avro_json().into(),
        }
    }
}

//! What is known of ids that have no schema (yet), and which one is asked next. Pure: times are given.
//!
//! ```text
//!           ┌── trouble: asked again with backoff, for ever ◀─┐
//! seen ─▶ asking ── found ─▶ (cache)                          │
//!           ├── not there ─▶ asked again until the wait is over ─▶ refused
//!           └── not Avro ───────────────────────────────────────▶ refused
//! ```
//! Only two answers refuse: the registry does not have the id, at the end of the wait for it, or it has another kind of schema. The wait begins with
//! the first such answer, so that time in which the registry did not answer does not count. When a wait fails, ids that came during it or
//! come within [`NO_WAIT_AFTER_FAILURE`] are refused at their first such answer: somebody writes ids that nobody registers, and each would
//! stall its kafka_partition anew.
use crate::{RefusalCode, SchemaLookup};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::time::Instant;

/// Ids asked for at a time. A further one is not remembered; its record waits, and asks again later.
pub(super) const MAX_ASKING: usize = 1_000;
/// Refused ids that are remembered; the oldest is forgotten first.
pub(super) const MAX_REFUSED: usize = 100_000;
/// After this a refused id is asked for again when it is seen again: somebody may have registered it at last.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// After a failed wait new ids get none for so long.
const NO_WAIT_AFTER_FAILURE: Duration = Duration::from_secs(600);
/// First and longest wait between two calls for the same thing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Characters of what a registry says that are kept.
const MAX_TEXT_CHARS: usize = 300;

/// What a registry answered for an id. A found one goes to the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is in the cache now.
    Found,
    /// The registry does not have it.
    NotThere,
    /// It is of another type.
    NotAvro(String),
    /// No answer that says anything of the id.
    Trouble(Trouble),
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whether any other call would meet it too: then all calls pause.
    pub everywhere: bool,
    /// What happened.
    pub detail: String,
}

/// How the trouble of the registry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Calls fail from now on.
    Begins(String),
    /// Calls succeed again.
    Ends,
    /// The first trouble with one id.
    OfId(u32, String),
    /// A wait for an id failed.
    WaitFailed(u32),
}

#[derive(Debug)]
struct Asking {
    due: Instant,
    in_flight: bool,
    tries: u32,
    first_not_there: Option<Instant>,
    /// Refused at the first answer that it is not there.
    without_wait: bool,
    detail: String,
}

#[derive(Debug)]
struct Refused {
    until: Instant,
    code: RefusalCode,
    /// Type of a schema that is not Avro.
    kind: Box<str>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Ledger {
    wait: Duration,
    asking: HashMap<u32, Asking>,
    due: BTreeSet<(Instant, u32)>,
    refused: HashMap<u32, Refused>,
    refused_order: VecDeque<u32>,
    no_wait_until: Option<Instant>,
    /// Set while calls fail.
    trouble: Option<String>,
    troubles: u32,
    pause_until: Option<Instant>,
    jitter: RandomState,
}

impl Ledger {
    pub(super) fn new(unknown_schema_wait: Duration) -> Self {
        Self {
            wait: unknown_schema_wait,
            asking: HashMap::new(),
            due: BTreeSet::new(),
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
            no_wait_until: None,
            trouble: None,
            troubles: 0,
            pause_until: None,
            jitter: RandomState::new(),
        }
    }

    /// An id that is not in the cache was seen. Also returns whether there is more to ask now.
    pub(super) fn seen(&mut self, id: u32, now: Instant) -> (SchemaLookup, bool) {
        if self.asking.contains_key(&id) {
            return (SchemaLookup::Pending, false);
        }
        let known = self.refused.get(&id);
        if let Some(refused) = known
            && now < refused.until
        {
            return (lookup_of(id, refused), false);
        }
        if self.asking.len() >= MAX_ASKING {
            return (SchemaLookup::Pending, false);
        }
        // One that had its wait gets no second one.
        let without_wait = known.is_some() || self.no_wait_until.is_some_and(|until| now < until);
        let asking = Asking { due: now, in_flight: false, tries: 0, first_not_there: None, without_wait, detail: String::new() };
        self.asking.insert(id, asking);
        self.due.insert((now, id));
        (SchemaLookup::Pending, true)
    }

    /// The next id to ask for, which is in flight from now on. `Err`: when to look again; `None`: not before something is seen or answered.
    pub(super) fn next(&mut self, now: Instant) -> Result<u32, Option<Instant>> {
        let Some((due, id)) = self.due.first().copied() else { return Err(None) };
        let due_at = self.pause_until.map_or(due, |pause| pause.max(due));
        if now < due_at {
            return Err(Some(due_at));
        }
        self.due.pop_first();
        self.asking.get_mut(&id).expect("what is due is asked for").in_flight = true;
        Ok(id)
    }

    /// An answer for an id in flight.
    pub(super) fn answered(&mut self, id: u32, answer: Answer, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        if !matches!(answer, Answer::Trouble(Trouble { everywhere: true, .. })) {
            self.troubles = 0;
            self.pause_until = None;
            changes.extend(self.trouble.take().map(|_| Change::Ends));
        }
        match answer {
            Answer::Found => {
                self.asking.remove(&id);
                self.refused.remove(&id);
            }
            Answer::NotAvro(kind) => self.refuse(id, RefusalCode::NotAvro, &kind, now),
            Answer::NotThere => changes.extend(self.not_there(id, now)),
            Answer::Trouble(trouble) => changes.extend(self.troubled(id, trouble, now)),
        }
        changes
    }

    fn not_there(&mut self, id: u32, now: Instant) -> Option<Change> {
        let wait = self.wait;
        let asking = self.asking.get_mut(&id)?;
        let deadline = *asking.first_not_there.get_or_insert(now) + wait;
        if asking.without_wait {
            self.refuse(id, RefusalCode::UnknownSchema, "", now);
            return None;
        }
        if now < deadline {
            asking.detail = "the registry does not have it yet".to_owned();
            self.again(id, Some(deadline), now);
            return None;
        }
        self.refuse(id, RefusalCode::UnknownSchema, "", now);
        self.no_wait_until = Some(now + NO_WAIT_AFTER_FAILURE);
        let mut refused = Vec::new();
        for (other, asking) in &mut self.asking {
            asking.without_wait = true;
            if asking.first_not_there.is_some() && !asking.in_flight {
                refused.push(*other);
            }
        }
        for other in refused {
            self.refuse(other, RefusalCode::UnknownSchema, "", now);
        }
        Some(Change::WaitFailed(id))
    }

    fn troubled(&mut self, id: u32, trouble: Trouble, now: Instant) -> Option<Change> {
        let detail = shortened(&trouble.detail);
        let first = self.asking.get_mut(&id).is_some_and(|asking| {
            asking.detail.clone_from(&detail);
            asking.tries == 0
        });
        self.again(id, None, now);
        if !trouble.everywhere {
            return first.then_some(Change::OfId(id, detail));
        }
        self.pause_until = Some(now + self.backoff(0, self.troubles));
        self.troubles = self.troubles.saturating_add(1);
        let begins = self.trouble.is_none().then(|| Change::Begins(detail.clone()));
        self.trouble = Some(detail);
        begins
    }

    /// Asks again after a backoff, at the latest at `by`.
    fn again(&mut self, id: u32, by: Option<Instant>, now: Instant) {
        let Some(tries) = self.asking.get(&id).map(|asking| asking.tries) else { return };
        let after = now + self.backoff(id, tries);
        let due = by.map_or(after, |by| by.min(after));
        let asking = self.asking.get_mut(&id).expect("found above");
        asking.tries = tries.saturating_add(1);
        asking.in_flight = false;
        asking.due = due;
        self.due.insert((due, id));
    }

    /// Doubles with each try; half of it is jitter.
    fn backoff(&self, id: u32, tries: u32) -> Duration {
        let (first, longest) = BACKOFF;
        let full = first.saturating_mul(1 << tries.min(16)).min(longest);
        let spread = self.jitter.hash_one((id, tries)) % 1_000;
        full / 2 + full.mul_f64(spread as f64 / 2_000.0)
    }

    fn refuse(&mut self, id: u32, code: RefusalCode, kind: &str, now: Instant) {
        if let Some(asking) = self.asking.remove(&id) {
            self.due.remove(&(asking.due, id));
        }
        let refused = Refused { until: now + REFUSED_FOR, code, kind: shortened(kind).into() };
        if self.refused.insert(id, refused).is_none() {
            self.refused_order.push_back(id);
        }
        // Ids that were found since are in the order only.
        while self.refused_order.len() > MAX_REFUSED {
            if let Some(oldest) = self.refused_order.pop_front() {
                self.refused.remove(&oldest);
            }
        }
    }

    /// Why an id is pending.
    pub(super) fn reason(&self, id: u32) -> Option<String> {
        let Some(asking) = self.asking.get(&id) else {
            return (self.asking.len() >= MAX_ASKING).then(|| format!("`{MAX_ASKING}` other schema ids are asked for"));
        };
        match &self.trouble {
            Some(trouble) => Some(format!("the schema registry is in trouble: {trouble}")),
            None if asking.detail.is_empty() => Some("the schema registry is asked".to_owned()),
            None => Some(asking.detail.clone()),
        }
    }

    /// What keeps all calls from succeeding.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Ids being asked for, and refused ones that are remembered.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.asking.len(), self.refused.len())
    }
}

fn lookup_of(id: u32, refused: &Refused) -> SchemaLookup {
    let detail = match refused.code {
        RefusalCode::NotAvro => format!("the schema with the id `{id}` is of type `{}`, not Avro", refused.kind),
        _ => format!("the schema registry has no schema with the id `{id}`"),
    };
    SchemaLookup::Refused { code: refused.code, detail }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests;

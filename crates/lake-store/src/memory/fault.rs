//! What goes wrong, and how often.
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One thing that goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `Unavailable`, without effect.
    Error,
    /// `Denied`, without effect.
    Refusal,
    /// The effect happens, the answer is `UnknownOutcome`. A read fails with `Unavailable`.
    LostReply,
    /// `UnknownOutcome` now; the effect happens after this long, whoever is still alive then. A read fails with `Unavailable`.
    LandLate(Duration),
    /// `UnknownOutcome`, and the effect never happens. A read fails with `Unavailable`.
    LandNever,
    /// The call takes this long, half before its effect and half after it.
    Delay(Duration),
}

/// How often calls of one operation go wrong, as shares of 1; what remains goes well at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// [`Fault::Error`].
    pub error: f64,
    /// [`Fault::LostReply`].
    pub lost_reply: f64,
    /// [`Fault::LandLate`].
    pub land_late: f64,
    /// [`Fault::LandNever`].
    pub land_never: f64,
    /// [`Fault::Delay`].
    pub delay: f64,
}

/// Seeded faults: the same seed and calls give the same faults.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// Of operations that are not in `by_operation`.
    pub rates: FaultRates,
    /// Exceptions, by the name of the port's method.
    pub by_operation: BTreeMap<&'static str, FaultRates>,
    /// Longest [`Fault::Delay`]. Drawn uniformly.
    pub longest_delay: Duration,
    /// Latest landing of [`Fault::LandLate`]. Drawn uniformly.
    pub latest_landing: Duration,
}

impl FaultPlan {
    pub(super) fn draw(&self, operation: &str, random: &mut ChaCha8Rng) -> Option<Fault> {
        let rates = self.by_operation.get(operation).unwrap_or(&self.rates);
        let mut left: f64 = random.random();
        let mut hits = |rate: f64| {
            left -= rate;
            left < 0.0
        };
        if hits(rates.error) {
            Some(Fault::Error)
        } else if hits(rates.lost_reply) {
            Some(Fault::LostReply)
        } else if hits(rates.land_late) {
            Some(Fault::LandLate(self.latest_landing.mul_f64(random.random())))
        } else if hits(rates.land_never) {
            Some(Fault::LandNever)
        } else if hits(rates.delay) {
            Some(Fault::Delay(self.longest_delay.mul_f64(random.random())))
        } else {
            None
        }
    }
}

/// Faults for chosen calls, each used once, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Script(VecDeque<(&'static str, String, Fault)>);

impl Script {
    pub(super) fn add(&mut self, operation: &'static str, key_part: &str, fault: Fault) {
        self.0.push_back((operation, key_part.to_owned(), fault));
    }

    pub(super) fn take(&mut self, operation: &str, key: &str) -> Option<Fault> {
        let place = self.0.iter().position(|(name, part, _)| *name == operation && key.contains(part.as_str()))?;
        self.0.remove(place).map(|(_, _, fault)| fault)
    }
}

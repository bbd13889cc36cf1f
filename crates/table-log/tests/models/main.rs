//! Exhaustive models of the protocol, and seeded deep walks: abstract store and processes around the production `TableState::apply` and
//! `plan`. See `world.rs` for what is modelled and what is reduced, `model.rs` for the invariants.
#[cfg(test)]
mod audit;
#[cfg(test)]
mod check;
#[cfg(test)]
mod client;
#[cfg(test)]
mod log;
#[cfg(test)]
mod model;
#[cfg(test)]
mod offer;
#[cfg(all(test, feature = "planted-bugs"))]
mod planted;
#[cfg(test)]
mod registrar;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sealer;
#[cfg(test)]
mod walks;
#[cfg(test)]
mod world;
#[cfg(test)]
mod writer;

//! Keeps batch calls and changes of the assignment apart.
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One taker goes in and out; a change waits until the taker is out and keeps it out meanwhile.
///
/// Why: a batch call that pops a record before an unassign but ends after the next assign would move the new assignment's position past
/// records that were never delivered. A change has precedence, so a taker that loops cannot starve it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: bool,
    changes: u32,
}

impl Gate {
    /// Runs a batch call, after all waiting changes.
    pub(crate) fn take<T>(&self, call: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        while state.changes > 0 || state.inside {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.inside = true;
        drop(state);
        let result = call();
        self.lock().inside = false;
        self.changed.notify_all();
        result
    }

    /// Runs a change while no batch call is inside; `wake` makes a waiting batch call return early.
    pub(crate) fn change<T>(&self, wake: impl FnOnce(), change: impl FnOnce() -> T) -> T {
        let mut state = self.lock();
        state.changes += 1;
        if state.inside {
            wake();
        }
        while state.inside {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let result = change();
        self.lock().changes -= 1;
        self.changed.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    };

    use super::*;

    #[test]
    fn a_change_gets_in_between_calls_of_a_looping_taker() {
        let gate = Arc::new(Gate::default());
        let (stop, inside, overlaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let taker = {
            let (gate, stop, inside) = (gate.clone(), stop.clone(), inside.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    gate.take(|| {
                        inside.store(true, Ordering::SeqCst);
                        std::hint::black_box((0..1_000).sum::<u64>());
                        inside.store(false, Ordering::SeqCst);
                    });
                }
            })
        };
        for _ in 0..1_000 {
            gate.change(|| (), || overlaps.fetch_add(u32::from(inside.load(Ordering::SeqCst)), Ordering::SeqCst));
        }
        stop.store(true, Ordering::SeqCst);
        taker.join().expect("the taker does not panic");
        assert_eq!(overlaps.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_change_wakes_a_waiting_call() {
        let gate = Arc::new(Gate::default());
        let (wake, woken) = mpsc::channel();
        let (entered, is_inside) = mpsc::channel();
        let taker = {
            let gate = gate.clone();
            std::thread::spawn(move || {
                gate.take(|| {
                    entered.send(()).expect("the test waits");
                    woken.recv().expect("the change wakes");
                });
            })
        };
        is_inside.recv().expect("the taker enters");
        gate.change(|| wake.send(()).expect("the taker waits"), || ());
        taker.join().expect("the taker does not panic");
    }
}

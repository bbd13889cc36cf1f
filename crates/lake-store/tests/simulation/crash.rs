//! Crashes at fail points: a process is doomed to end when it passes a named step for the nth time.
use futures::FutureExt;
use futures::future::BoxFuture;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The steps of the log client and of the processes here, each before and after an effect.
pub const POINTS: [&str; 22] = [
    "before-create",
    "after-create",
    "lost-reply",
    "before-publish",
    "after-publish",
    "before-help",
    "after-help",
    "before-checkpoint",
    "after-checkpoint",
    "after-latest",
    "before-stage",
    "after-stage",
    "before-discard",
    "after-discard",
    "before-read",
    "after-read",
    "before-delete",
    "after-delete",
    "before-sweep",
    "after-sweep",
    "before-register",
    "before-flush",
];

/// Where a process ends: a step, and how often it is passed before.
#[derive(Clone, Copy, Debug)]
pub struct Doom {
    point: &'static str,
    passes_left: u32,
}

impl Doom {
    pub fn new(point: &'static str, passes_left: u32) -> Self {
        Self { point, passes_left }
    }
}

thread_local! {
    /// Of the process that is polled now.
    static DOOM: RefCell<Option<Doom>> = const { RefCell::new(None) };
}

/// What the unwinding carries.
struct Crash(&'static str);

/// A process passes a step.
pub fn pass(point: &'static str) {
    let crashes = DOOM.with_borrow_mut(|doom| match doom {
        Some(doom) if doom.point == point && doom.passes_left == 0 => true,
        Some(doom) if doom.point == point => {
            doom.passes_left -= 1;
            false
        }
        _ => false,
    });
    if crashes {
        resume_unwind(Box::new(Crash(point)));
    }
}

/// A process that ends by itself (`None`) or at the step that it is doomed to.
pub struct Doomed {
    life: BoxFuture<'static, ()>,
    doom: Option<Doom>,
}

impl Doomed {
    pub fn new(life: BoxFuture<'static, ()>, doom: Option<Doom>) -> Self {
        Self { life, doom }
    }
}

impl Future for Doomed {
    type Output = Option<&'static str>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        DOOM.set(self.doom);
        let polled = catch_unwind(AssertUnwindSafe(|| self.life.poll_unpin(context)));
        self.doom = DOOM.take();
        match polled {
            Ok(polled) => polled.map(|()| None),
            Err(payload) => match payload.downcast::<Crash>() {
                Ok(crash) => Poll::Ready(Some(crash.0)),
                Err(payload) => resume_unwind(payload),
            },
        }
    }
}

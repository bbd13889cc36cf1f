use super::*;

const WAIT: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(1);

fn everywhere() -> Answer {
    Answer::Trouble(Trouble { everywhere: true, detail: "503".into() })
}

/// Drives a ledger by its own times: `answer` says what the registry answers for an id at a time. Returns the times of the calls.
fn drive(ledger: &mut Ledger, from: Instant, until: Instant, mut answer: impl FnMut(u32, Instant) -> Answer) -> Vec<(Instant, u32)> {
    let (mut calls, mut now) = (Vec::new(), from);
    loop {
        match ledger.next(now) {
            Ok(id) => {
                calls.push((now, id));
                ledger.answered(id, answer(id, now), now);
            }
            Err(Some(at)) if at < until => now = at,
            Err(_) => return calls,
        }
    }
}

fn is_pending(ledger: &mut Ledger, id: u32, now: Instant) -> bool {
    matches!(ledger.seen(id, now).0, SchemaLookup::Pending)
}

fn is_refused(ledger: &mut Ledger, id: u32, now: Instant) -> bool {
    matches!(ledger.seen(id, now).0, SchemaLookup::Refused { .. })
}

#[test]
fn an_unknown_id_is_refused_when_its_wait_is_over_and_not_before() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    assert!(is_pending(&mut ledger, 7, start));
    let calls = drive(&mut ledger, start, start + WAIT - SECOND, |_, _| Answer::NotThere);
    assert!(calls.len() > 10 && calls.len() < 40, "{} calls", calls.len());
    assert!(is_pending(&mut ledger, 7, start + WAIT - SECOND));
    let calls = drive(&mut ledger, start + WAIT - SECOND, start + WAIT + SECOND, |_, _| Answer::NotThere);
    assert_eq!(calls.last(), Some(&(start + WAIT, 7)), "the last answer is of the end of the wait");
    let (lookup, _) = ledger.seen(7, start + WAIT);
    assert!(matches!(&lookup, SchemaLookup::Refused { code: RefusalCode::UnknownSchema, detail } if detail.contains("`7`")), "{lookup:?}");
}

#[test]
fn trouble_never_refuses_and_does_not_count_as_waiting() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(7, start);
    let back = start + 10 * WAIT;
    let mut answers = |_, now| if now < back { everywhere() } else { Answer::NotThere };
    let calls = drive(&mut ledger, start, back, &mut answers);
    assert!(calls.len() < 300, "{} calls in twenty minutes of trouble", calls.len());
    assert!(is_pending(&mut ledger, 7, back) && ledger.trouble() == Some("503"));
    drive(&mut ledger, back, back + WAIT - SECOND, &mut answers);
    assert!(is_pending(&mut ledger, 7, back + WAIT - SECOND) && ledger.trouble().is_none());
    // Trouble at the end of the wait: still not refused.
    drive(&mut ledger, back + WAIT - SECOND, back + 2 * WAIT, |_, _| everywhere());
    assert!(is_pending(&mut ledger, 7, back + 2 * WAIT));
    drive(&mut ledger, back + 2 * WAIT, back + 3 * WAIT, |_, _| Answer::NotThere);
    assert!(is_refused(&mut ledger, 7, back + 3 * WAIT - 60 * SECOND));
}

#[test]
fn an_id_that_is_registered_late_is_found() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(7, start);
    let registered = start + 60 * SECOND;
    let calls = drive(&mut ledger, start, start + 2 * WAIT, |_, now| if now < registered { Answer::NotThere } else { Answer::Found });
    assert!(calls.last().is_some_and(|(at, _)| *at < registered + 11 * SECOND));
    assert_eq!(ledger.sizes(), (0, 0));
}

#[test]
fn ids_of_a_failed_wait_and_after_it_get_none_of_their_own() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(1, start);
    drive(&mut ledger, start, start + 100 * SECOND, |_, _| Answer::NotThere);
    ledger.seen(2, start + 100 * SECOND);
    drive(&mut ledger, start + 100 * SECOND, start + WAIT + SECOND, |_, _| Answer::NotThere);
    let failed = start + WAIT;
    assert!(is_refused(&mut ledger, 1, failed) && is_refused(&mut ledger, 2, failed), "first seen during the failed wait");
    // Within ten minutes: one answer is enough, but it takes that one.
    let later = failed + 599 * SECOND;
    assert!(is_pending(&mut ledger, 3, later));
    assert_eq!(drive(&mut ledger, later, later + WAIT, |_, _| Answer::NotThere), [(later, 3)]);
    assert!(is_refused(&mut ledger, 3, later));
    // After ten minutes: a wait again.
    let after = failed + 601 * SECOND;
    assert!(is_pending(&mut ledger, 4, after));
    drive(&mut ledger, after, after + WAIT - SECOND, |_, _| Answer::NotThere);
    assert!(is_pending(&mut ledger, 4, after + WAIT - SECOND));
}

#[test]
fn a_refused_id_is_asked_again_without_a_second_wait() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(1, start);
    drive(&mut ledger, start, start + WAIT + SECOND, |_, _| Answer::NotThere);
    let hours_later = start + 100 * WAIT;
    assert!(is_pending(&mut ledger, 1, hours_later));
    assert_eq!(drive(&mut ledger, hours_later, hours_later + WAIT, |_, _| Answer::NotThere).len(), 1);
    assert!(is_refused(&mut ledger, 1, hours_later));
    let registered = hours_later + 61 * SECOND;
    assert!(is_pending(&mut ledger, 1, registered));
    drive(&mut ledger, registered, registered + SECOND, |_, _| Answer::Found);
    assert_eq!(ledger.sizes(), (0, 0), "found at last");
}

#[test]
fn trouble_with_one_id_does_not_hold_up_others() {
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(1, start);
    ledger.seen(2, start);
    let huge = || Answer::Trouble(Trouble { everywhere: false, detail: "more than `10` bytes".into() });
    let calls = drive(&mut ledger, start, start + 10 * WAIT, |id, _| if id == 1 { huge() } else { Answer::Found });
    assert_eq!(calls[1], (start, 2));
    assert!(is_pending(&mut ledger, 1, start + 10 * WAIT) && ledger.reason(1).is_some_and(|why| why.contains("10")));
    // The same for a registry that fails for one id in a way that looks like trouble everywhere: others get their turn.
    let (mut ledger, start) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(1, start);
    ledger.seen(2, start);
    let calls = drive(&mut ledger, start, start + SECOND, |id, _| if id == 1 { everywhere() } else { Answer::Found });
    assert_eq!(calls[1].1, 2);
}

#[test]
fn trouble_is_told_once_and_pauses_all_calls() {
    let (mut ledger, now) = (Ledger::new(WAIT), Instant::now());
    for id in 0..10 {
        ledger.seen(id, now);
    }
    let first = ledger.next(now).expect("due");
    assert_eq!(ledger.answered(first, everywhere(), now), [Change::Begins("503".into())]);
    let later = ledger.next(now).expect_err("all calls pause").expect("there is more to ask");
    let second = ledger.next(later).expect("due");
    assert_eq!(ledger.answered(second, everywhere(), later), []);
    let calls = drive(&mut ledger, later, later + 600 * SECOND, |_, _| everywhere());
    assert!(calls.len() < 150, "{} calls for ten ids in ten minutes of trouble", calls.len());
    let at = ledger.next(later + 700 * SECOND).expect("due");
    assert_eq!(ledger.answered(at, Answer::Found, later + 700 * SECOND), [Change::Ends]);
}

#[test]
fn a_flood_of_ids_keeps_its_bounds() {
    let (mut ledger, start) = (Ledger::new(Duration::ZERO), Instant::now());
    let mut now = start;
    for id in 0..u32::try_from(MAX_REFUSED).expect("fits") + 5_000 {
        assert!(is_pending(&mut ledger, id, now));
        if ledger.sizes().0 == MAX_ASKING {
            assert!(is_pending(&mut ledger, 1 << 30, now) && ledger.sizes().0 == MAX_ASKING, "no more than the bound");
            drive(&mut ledger, now, now + SECOND, |_, _| Answer::NotThere);
            now += SECOND;
        }
    }
    let (asking, refused) = ledger.sizes();
    assert!(asking <= MAX_ASKING && refused <= MAX_REFUSED, "{asking} {refused}");
}

#[test]
fn another_type_of_schema_is_refused_at_once() {
    let (mut ledger, now) = (Ledger::new(WAIT), Instant::now());
    ledger.seen(5, now);
    drive(&mut ledger, now, now + SECOND, |_, _| Answer::NotAvro("PROTOBUF".into()));
    let (lookup, _) = ledger.seen(5, now);
    assert!(matches!(&lookup, SchemaLookup::Refused { code: RefusalCode::NotAvro, detail } if detail.contains("PROTOBUF")), "{lookup:?}");
    assert!(is_pending(&mut ledger, 6, now), "it says nothing of other ids");
    drive(&mut ledger, now, now + SECOND, |_, _| Answer::NotThere);
    assert!(is_pending(&mut ledger, 6, now + SECOND));
}

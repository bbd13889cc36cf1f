//! Members that come and go lose nothing and leave no hole.
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kafka_io::{OffsetQuery, Producer};
use test_kit::{KafkaServer, wait_until};

use crate::{
    DEADLINE,
    ledger::{Ledger, Member},
    new_group, new_topic, numbered, options, partition, produce,
};

const PARTITIONS: i32 = 6;

/// Produces numbered records to all kafka_partitions until told to stop.
fn produce_steadily(server: &'static KafkaServer, topic: &str, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<i64> {
    let (topic, stop) = (topic.to_owned(), stop.clone());
    std::thread::spawn(move || {
        let mut producer = Producer::new(&server.config(), &[]).expect("a producer");
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            for _ in 0..50 {
                for kafka_partition in 0..PARTITIONS {
                    producer.send(numbered(&topic, kafka_partition, number)).expect("queued");
                }
                number += 1;
            }
            producer.flush(DEADLINE).expect("acknowledged");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        number
    })
}

fn check(server: &KafkaServer, topic: &str, ledger: &Mutex<Ledger>) {
    let ends = server.admin().offsets(topic, PARTITIONS, OffsetQuery::Latest).expect("the broker answers");
    wait_until(DEADLINE, "all records to be committed", || {
        let ledger = ledger.lock().expect("no panic");
        (0..PARTITIONS).all(|number| ledger.next(&partition(topic, number)) == ends[number as usize])
    });
    let ledger = ledger.lock().expect("no panic");
    assert_eq!(ledger.holes, [], "no offset is jumped over");
    assert_eq!(ledger.fenced, [], "nobody commits what another has");
    assert_eq!(ledger.errors, []);
    for number in 0..PARTITIONS {
        assert_eq!(ledger.records.get(&partition(topic, number)), Some(&ends[number as usize]));
    }
}

/// Rounds of a second member that joins, shares, and leaves, while records keep coming.
fn come_and_go(rounds: u32, second: impl Fn(u32) -> String) {
    let (server, topic) = new_topic("rebalance", PARTITIONS);
    let (group, ledger, stop) = (new_group(), Arc::new(Mutex::new(Ledger::default())), Arc::new(AtomicBool::new(false)));
    let producer = produce_steadily(server, &topic, &stop);
    let first = Member::start(&server.config(), options(&group, "first", &[&topic]), &ledger);
    wait_until(DEADLINE, "the first member to own everything", || first.owned() == PARTITIONS as usize);
    for round in 0..rounds {
        let member = Member::start(&server.config(), options(&group, &second(round), &[&topic]), &ledger);
        wait_until(DEADLINE, "both members to share", || {
            member.owned() == PARTITIONS as usize / 2 && first.owned() == PARTITIONS as usize / 2
        });
        let before = ledger.lock().expect("no panic").records.values().sum::<i64>();
        wait_until(DEADLINE, "records to go on", || ledger.lock().expect("no panic").records.values().sum::<i64>() > before + 3_000);
        member.stop();
        wait_until(DEADLINE, "the first member to own everything again", || first.owned() == PARTITIONS as usize);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(producer.join().expect("the producer does not panic") > 0);
    check(server, &topic, &ledger);
    assert!(ledger.lock().expect("no panic").rebalances > rounds * 2);
    first.stop();
}

#[test]
fn static_members_that_come_and_go_lose_nothing() {
    come_and_go(4, |round| format!("second-{round}"));
}

#[test]
fn dynamic_members_that_come_and_go_lose_nothing() {
    come_and_go(4, |_| String::new());
}

#[test]
fn a_static_member_that_restarts_gets_its_partitions_at_once() {
    let (server, topic) = new_topic("restart", 4);
    let (group, ledger) = (new_group(), Arc::new(Mutex::new(Ledger::default())));
    let with_long_session = || {
        let mut options = options(&group, "only", &[&topic]);
        options.session_timeout = Duration::from_secs(45);
        options
    };
    let mut next = 0;
    for round in 0..4 {
        let started = Instant::now();
        let member = Member::start(&server.config(), with_long_session(), &ledger);
        wait_until(DEADLINE, "the assignment", || member.owned() == 4);
        let assigned_after = started.elapsed();
        for number in 0..4 {
            produce(server, &topic, number, next..next + 100);
        }
        next += 100;
        wait_until(DEADLINE, "the records", || ledger.lock().expect("no panic").records.values().sum::<i64>() == next * 4);
        member.stop();
        // Well below the session timeout of 45 s: nobody waits for the old member to expire.
        assert!(round == 0 || assigned_after < Duration::from_secs(10), "round {round}: {assigned_after:?}");
    }
    let ledger = ledger.lock().expect("no panic");
    assert_eq!((&ledger.holes[..], &ledger.fenced[..]), (&[][..], &[][..]));
}

#[test]
fn new_kafka_partitions_are_read_from_their_beginning() {
    let (server, topic) = new_topic("grow", 2);
    let (group, ledger) = (new_group(), Arc::new(Mutex::new(Ledger::default())));
    let mut quick = options(&group, "only", &[&topic]);
    quick.properties.push(("topic.metadata.refresh.interval.ms".into(), "500".into()));
    let member = Member::start(&server.config(), quick, &ledger);
    wait_until(DEADLINE, "the assignment", || member.owned() == 2);
    server.admin().add_partitions(&topic, 3).expect("a third one");
    produce(server, &topic, 2, 0..500);
    wait_until(DEADLINE, "the records of the new one", || ledger.lock().expect("no panic").next(&partition(&topic, 2)) == 500);
    member.stop();
    assert_eq!(ledger.lock().expect("no panic").records[&partition(&topic, 2)], 500);
}

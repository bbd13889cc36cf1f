//! A log that lost its end, as an unclean election leaves it: segments cut at a batch while the broker is down.
use crate::place::{LONG, Place, Table};
use std::{fs, path::Path};
use test_kit::{KafkaServer, unique_name, wait_until};

/// Cuts the only segment of a kafka_partition behind the batch that reaches `offset`. Returns the offset at which the log ends now.
fn cut(data: &Path, topic: &str, offset: i64) -> i64 {
    let folder = data.join(format!("{topic}-0"));
    let segment = folder.join("00000000000000000000.log");
    let bytes = fs::read(&segment).expect("read the segment");
    let (mut at, mut end) = (0, 0);
    while at + 12 <= bytes.len() && end < offset {
        let base = i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let length = i32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes"));
        let last_delta = i32::from_be_bytes(bytes[at + 23..at + 27].try_into().expect("four bytes"));
        at += 12 + length as usize;
        end = base + i64::from(last_delta) + 1;
    }
    fs::write(&segment, &bytes[..at]).expect("cut the segment");
    for entry in fs::read_dir(&folder).expect("list the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| ["index", "timeindex", "snapshot", "txnindex"].iter().any(|known| extension == *known))
        {
            fs::remove_file(path).expect("remove an index");
        }
    }
    for checkpoint in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
        // Not all of them are there after a kill.
        let _ = fs::remove_file(data.join(checkpoint));
    }
    end
}

/// `refill`: records sent after the cut, so that the log ends before or beyond what the table has taken.
fn a_truncated_log(server: &mut KafkaServer, refill: u64, situation_text: &str) {
    let topic = unique_name("cut");
    let place = Place::new(server.config(), &[Table { name: "readings", topics: &[(&topic, "earliest")] }], "1s");
    place.create_topic(&topic, 1);
    let mut writer = place.start();
    for seed in 1..=10 {
        place.produce(&topic, 1, 10, seed);
    }
    place.wait_for_taken("readings", 100);
    writer.terminate();
    server.stop().expect("stop the broker");
    let end = cut(&server.data_folder(), &topic, 55);
    assert!((55..100).contains(&end), "the log is cut at {end}");
    server.restart().expect("start the broker again");
    wait_until(LONG, "the broker to have the cut log", || {
        place.admin.offsets(&topic, 1, kafka_io::OffsetQuery::Latest).is_ok_and(|found| found == [end])
    });
    place.produce(&topic, 1, refill, 20);

    let message = place.start().wait_for_exit_4();
    assert!(message.contains(situation_text), "{message}");
    assert!(message.contains(&format!("--at next --offset 0={end}")), "the next generation begins at the cut: {message}");
    assert!(message.contains(&format!("these {} offset(s)", 100 - end)), "{message}");
    place.follow("readings", &message);
    let mut writer = place.start();
    place.produce(&topic, 1, 20, 30);
    place.wait_for_taken("readings", 100 + refill + 20);
    writer.terminate();
    place.verify("readings", "--deep --kafka");
}

#[test]
fn a_truncated_log_goes_on_at_the_cut_and_no_row_is_there_twice() {
    let mut server = KafkaServer::start(&[]).expect("start a broker");
    // It ends beyond what the table has taken: only the leader epoch tells.
    a_truncated_log(&mut server, 300, "was truncated before the offsets");
}

#[test]
fn a_log_that_ends_too_early_goes_on_where_it_ends() {
    let mut server = KafkaServer::start(&[]).expect("start a broker");
    a_truncated_log(&mut server, 0, "ends before the offsets");
}

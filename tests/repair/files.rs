//! Files that a record names and that are gone.
use crate::{
    one_table,
    place::{self, LONG, Place, text},
};
use std::fs;
use table_log::{Body, record::AppendBody};
use test_kit::wait_until;

/// Appends whose newest record nobody has confirmed as published, and a writer that is gone. Returns that record's body.
fn unconfirmed(place: &Place, topic: &str) -> AppendBody {
    let malformed = place.produce_with_malformed(topic, 200, 1);
    assert!(malformed > 0);
    let mut writer = place.start();
    place.wait_for_taken("readings", 200);
    let newest = *place.state("readings").unpublished().last().expect("the newest record is not confirmed");
    let Body::Append(body) = place.record("readings", newest).body.clone() else { panic!("no append at {newest}") };
    let in_place = || body.files.iter().chain(&body.quarantine).all(|file| place.in_lake(&file.key).is_file());
    wait_until(LONG, "the files to be in place", in_place);
    writer.kill();
    body
}

fn lose(place: &Place, keys: &[&str]) {
    for key in keys {
        fs::remove_file(place.in_lake(key)).expect("the file is in place");
    }
}

#[test]
fn lost_data_and_quarantine_files_are_made_again_by_the_command_of_the_message() {
    let (place, topic) = one_table();
    let body = unconfirmed(&place, &topic);
    let (data, quarantine) = (&body.files[0], &body.quarantine[0]);
    let before = place.run("sql 'select sum(counter) as s, count(*) as n from readings' -o json");
    lose(&place, &[&data.key, &quarantine.key]);

    let message = place.start().wait_for_exit_4();
    let rows = data.rows + quarantine.rows;
    assert!(message.contains(&format!("{rows} row(s) in 2 file(s)")) && message.contains(&data.key), "{message}");
    assert_eq!(place.command_of_status("readings"), Some(place::command_in(&message)));
    let missing = place.run("verify readings --deep");
    assert!(missing.status.code() == Some(3) && text(&missing).contains("repair refile readings"), "{}", text(&missing));

    let (dry, _) = place.follow("readings", &message);
    assert!(dry.contains("read again from Kafka") && dry.contains(&format!("{} row(s) of file", data.rows)), "{dry}");
    place.verify("readings", "--deep --kafka");
    let after = place.run("sql 'select sum(counter) as s, count(*) as n from readings' -o json");
    assert_eq!(text(&after), text(&before), "the same rows");
    assert_eq!(place.state("readings").totals().lost, 0);
    let shown = place.run(&format!("inspect {topic}/0/0 -o json"));
    assert!(text(&shown).contains("\"row\"") || text(&shown).contains("\"quarantine\""), "{}", text(&shown));

    place.produce(&topic, 2, 20, 2);
    let mut writer = place.start();
    place.wait_for_taken("readings", 220);
    writer.terminate();
    place.verify("readings", "--deep --kafka");
}

#[test]
fn what_kafka_no_longer_has_is_declared_lost_by_the_command_of_the_refusal() {
    let (place, topic) = one_table();
    let body = unconfirmed(&place, &topic);
    let data = &body.files[0];
    lose(&place, &[&data.key]);
    place.delete_records(&topic, 0, 200);

    let message = place.start().wait_for_exit_4();
    let refused = place.shell(&place::command_in(&message));
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("Kafka no longer has all offsets"), "{}", text(&refused));
    place.follow("readings", &text(&refused));
    assert_eq!(place.state("readings").totals().lost, data.rows);
    let (code, status) = place.status();
    assert_eq!((code, status["tables"][0]["lost"].as_u64()), (0, Some(data.rows)));
    let verified = place.verify("readings", "--deep");
    assert!(verified.contains(&data.rows.to_string()), "{verified}");

    // A file beside it that is missing is still found.
    lose(&place, &[&body.quarantine[0].key]);
    let missing = place.run("verify readings --deep");
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
}

#[test]
fn files_that_are_in_place_cannot_be_declared_lost() {
    let (place, topic) = one_table();
    let body = unconfirmed(&place, &topic);
    let nothing = place.run("repair lost readings --reason test --apply");
    assert!(nothing.status.success() && text(&nothing).contains("no file is lost"), "{}", text(&nothing));
    let named = place.run(&format!("repair lost readings --file {} --reason test --apply", body.files[0].key));
    assert!(named.status.code() == Some(2) && text(&named).contains("is not lost"), "{}", text(&named));
    assert_eq!(place.state("readings").totals().lost, 0);
}

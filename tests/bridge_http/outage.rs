//! Kafka away for a while, with clients that go on posting.
use crate::{
    reading::{decoded, document},
    scene::{JSON, LONG, Options, PARTITIONS, Scene, TOKEN},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use test_kit::{KafkaServer, Signal, stored_records, wait_for, wait_until};

const RECORDS: usize = 200;
const CLIENTS: &str = include_str!("clients.py");
/// How long Kafka is away: many requests time out and come again meanwhile.
const AWAY: Duration = Duration::from_secs(60);

/// Python's own HTTP client, in a process of its own.
struct Clients<'a> {
    scene: &'a Scene,
    process: Child,
}

impl<'a> Clients<'a> {
    fn start(scene: &'a Scene) -> Self {
        let output = File::create(scene.path("clients.out")).expect("a file");
        let mut python = Command::new("python3");
        python.args(["-c", CLIENTS, &scene.address, &scene.records_path(), TOKEN, "8", &RECORDS.to_string(), &scene.path("stop")]);
        let process = python.stdout(output).stderr(Stdio::inherit()).spawn().expect("run python3");
        Self { scene, process }
    }

    /// Answers so far: status and first number.
    fn answers(&self) -> Vec<(i32, i64)> {
        let text = std::fs::read_to_string(self.scene.path("clients.out")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).expect("a number");
        whole.lines().map(|line| line.split(' ')).map(|mut parts| (number(parts.next()) as i32, number(parts.next()))).collect()
    }

    fn count(&self, status: i32) -> usize {
        self.answers().iter().filter(|(known, _)| *known == status).count()
    }

    fn stop(mut self) -> Vec<(i32, i64)> {
        self.scene.write("stop", "");
        assert!(self.process.wait().expect("it ends").success());
        self.answers()
    }
}

impl Drop for Clients<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Resident memory of this process, which holds the bridge and no client.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1_024
}

#[test]
fn while_kafka_is_away_memory_is_flat_and_nothing_acknowledged_is_lost() {
    let mut server = KafkaServer::start(&[]).expect("a broker of its own");
    let options = Options {
        bridge: "queue_bytes: 8MiB, unavailable_after: 3s,",
        http: "limits: {request_timeout: 2s, max_in_flight_bytes: 16MiB},",
        alone: true,
        ..Options::default()
    };
    let scene = Scene::start(&server, &options);
    let clients = Clients::start(&scene);
    wait_until(LONG, "a flow", || clients.count(200) >= 100);
    server.kill();
    let away = Instant::now();
    wait_until(LONG, "answers of 503", || clients.count(503) >= 20);
    wait_until(LONG, "a process that is not ready", || !scene.health.not_ready().is_empty());
    let told = scene.post(JSON, document(1, 1));
    assert_eq!((told.status, told.error().as_str()), (503, "unavailable"), "at once, without taking the record: {}", told.body);
    let (before, accepted) = (resident_bytes(), clients.count(200));
    let mut highest = before;
    wait_until(AWAY + LONG, "the time away", || {
        highest = highest.max(resident_bytes());
        away.elapsed() >= AWAY
    });
    let grown = (highest - before) >> 20;
    assert!(grown <= 32, "memory grew by {grown} MiB from {} MiB", before >> 20);
    assert!(clients.count(200) <= accepted + 8, "nothing is acknowledged while it is away");
    let during = clients.answers().len();
    server.restart().expect("it starts again");
    let accepted = clients.count(200);
    wait_until(LONG, "a flow again", || clients.count(200) >= accepted + 100);
    let answers = clients.stop();

    let mut statuses: BTreeMap<i32, usize> = BTreeMap::new();
    answers.iter().for_each(|(status, _)| *statuses.entry(*status).or_default() += 1);
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    let acknowledged: BTreeSet<i64> =
        answers.iter().filter(|(status, _)| *status == 200).flat_map(|(_, first)| *first..first + RECORDS as i64).collect();
    let stored = stored_records(&server, &scene.topic, PARTITIONS);
    let found: BTreeSet<i64> = stored.iter().map(|record| decoded(record).seq).collect();
    let lost: Vec<&i64> = acknowledged.difference(&found).take(5).collect();
    assert!(lost.is_empty(), "acknowledged and not in Kafka: {lost:?}");
    let of_one_number: BTreeMap<i64, BTreeSet<Option<String>>> = stored.iter().map(decoded).fold(BTreeMap::new(), |mut ids, reading| {
        ids.entry(reading.seq).or_default().insert(reading.message_id);
        ids
    });
    assert!(of_one_number.values().all(|ids| ids.len() == 1), "a record that was sent again has the same message_id");
    println!(
        "{statuses:?}, {during} answers until the end of the outage, {} records acknowledged, {} stored, memory {} + {grown} MiB",
        acknowledged.len(),
        stored.len(),
        before >> 20
    );
}

#[test]
fn a_full_queue_is_told_at_once_and_empties_by_itself() {
    let server = KafkaServer::start(&[]).expect("a broker of its own");
    let options =
        Options { bridge: "queue_bytes: 4MiB, unavailable_after: 10m,", http: "limits: {request_timeout: 1s},", ..Options::default() };
    let scene = Scene::start(&server, &options);
    assert_eq!(scene.post(JSON, document(1, 0)).status, 200);
    server.signal(Signal::Stop).expect("it runs");
    let lines: String = (0..4_000).map(|seq| format!("{}\n", document(1, seq))).collect();
    let first = scene.posting(crate::scene::LINES, lines.clone()).send().expect("an answer");
    assert_eq!((first.status, first.error().as_str()), (503, "not_acknowledged"));
    assert_eq!(first.headers.get("retry-after").map(String::as_str), Some("5"));
    let full = wait_for(LONG, "a full queue", || {
        let answer = scene.posting(crate::scene::LINES, lines.clone()).must();
        (answer.status == 429).then_some(answer)
    });
    assert_eq!((full.error().as_str(), full.headers.get("retry-after").map(String::as_str)), ("overloaded", Some("1")));
    server.signal(Signal::Continue).expect("it is there");
    wait_until(LONG, "room", || scene.post(JSON, document(1, 1)).status == 200);
    let stored = stored_records(&server, &scene.topic, PARTITIONS).len();
    assert!(stored >= 4_002, "what was taken gets there: {stored}");
}

#[test]
fn a_stop_waits_for_the_answers_that_are_due() {
    let server = KafkaServer::shared();
    let mut scene = Scene::start(server, &Options::default());
    let request = scene.posting(crate::scene::LINES, (0..50_000).map(|seq| format!("{}\n", document(1, seq))).collect::<String>());
    let sending = std::thread::spawn(move || request.send());
    wait_until(LONG, "the request", || scene.metric("tributary_bridge_http_in_flight_bytes", &[]) > 0.0);
    scene.stop();
    let answer = sending.join().expect("it does not panic").expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(scene.request("GET", "/v1/openapi.json").send().is_err(), "nothing listens any more");
    assert_eq!(stored_records(server, &scene.topic, PARTITIONS).len(), 50_000);
}

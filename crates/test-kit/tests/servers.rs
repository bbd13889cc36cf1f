//! The servers start, and leave nothing behind.
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use test_kit::{KafkaServer, PythonReaders, Signal, Tributary, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// Set in the process that starts a broker and aborts; names the file for the broker's process id and folder.
const ABANDON: &str = "TEST_KIT_ABANDON_BROKER";

fn runs(process_id: &str) -> bool {
    // A broker whose keeper died would be adopted and waited for by init.
    Path::new("/proc").join(process_id).exists()
}

#[test]
fn a_broker_keeps_its_data_over_a_restart_and_none_after_its_end() {
    let mut server = KafkaServer::start(&[("num.partitions", "3")]).expect("it starts");
    let (folder, cluster) = (server.data_folder(), server.admin().cluster_id());
    let topic = server.create_topic("kept", 2).expect("a topic");
    for is_orderly in [true, false] {
        if is_orderly {
            server.stop().expect("it stops")
        } else {
            server.kill()
        }
        assert!(server.signal(Signal::Continue).is_err(), "it is gone");
        server.restart().expect("it starts again");
        assert_eq!(server.admin().cluster_id(), cluster);
        assert!(server.admin().topics(std::slice::from_ref(&topic)).expect("it answers")[0].is_some());
    }
    drop(server);
    assert!(!folder.exists());
}

#[test]
fn a_test_that_aborts_leaves_no_broker() {
    if let Some(file) = std::env::var_os(ABANDON) {
        let server = KafkaServer::start(&[]).expect("it starts");
        std::fs::write(file, format!("{} {}", server.process_id(), server.data_folder().display())).expect("written");
        std::process::abort();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broker");
    let mut abandoning = Command::new(std::env::current_exe().expect("this test"));
    abandoning.args(["--exact", "a_test_that_aborts_leaves_no_broker"]).env(ABANDON, &file);
    let status = abandoning.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs");
    assert!(!status.success());
    let text = std::fs::read_to_string(&file).expect("the broker had started");
    let (process_id, data) = text.split_once(' ').expect("two parts");
    wait_until(DEADLINE, "the broker's end", || !runs(process_id));
    wait_until(DEADLINE, "the end of its data", || !Path::new(data).exists());
}

#[test]
fn independent_readers_answer() {
    let readers = PythonReaders::prepare().expect("they are installed");
    assert_eq!(readers.duckdb("select 1, null, 'a' union all select 2, true, 'b' order by 1").expect("it answers"), "1|NULL|a\n2|True|b\n");
    let versions = readers.run_python("import pyarrow, sys; print(pyarrow.__version__, sys.argv[1])", &["x"]).expect("it answers");
    assert_eq!(versions, "26.0.1 x\n");
    let error = readers.duckdb("select nothing").expect_err("there is no such column");
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[test]
fn a_process_is_stopped_continued_and_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "echo started; while true; do sleep 0.05; echo line; done";
    let mut process = Tributary::start(Path::new("sh"), &["-c", script], &[], folder.path()).expect("it starts");
    wait_until(DEADLINE, "its output", || process.output().contains("line"));
    process.signal(Signal::Stop).expect("it runs");
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", process.process_id())).expect("it exists");
    wait_until(DEADLINE, "it to freeze", || state().contains(") T "));
    process.signal(Signal::Continue).expect("it runs");
    let before = process.output().len();
    wait_for(DEADLINE, "more output", || (process.output().len() > before).then_some(()));
    assert!(process.wait(Duration::from_millis(50)).is_err(), "it still runs");
    process.signal(Signal::Kill).expect("it runs");
    assert!(!process.wait(DEADLINE).expect("it ended").success());
    assert!(process.ended().expect("it ended").is_some());
}

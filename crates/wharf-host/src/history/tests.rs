use std::sync::atomic::{AtomicU32, Ordering};

use wharf_table::rows::{End, Network, OwnerLink, OwnerSpan, ProcessId, Row, Rows, State, Transport};

use super::*;
use crate::watch::{Event, Ledger};

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-history-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("a record?.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_796_000_000 + seconds)
}

/// A listener of two processes on an interface, as a sample shows it.
fn rows(listeners: &[(u64, u16)]) -> Rows {
    let mut rows = Rows::default();
    let interfaces = [(3, "eth0".to_owned())].into();
    rows.networks.push(Network { name: "host".into(), inode: 7, interfaces, ..Network::default() });
    rows.users.insert(33, "www-data".into());
    for &(cookie, port) in listeners {
        let mut row = Row::new(
            Transport::Tcp,
            End { zone: 3, port, ..End::new("[fe80::1]:80".parse().unwrap()) },
            State::Listen,
        );
        (row.cookie, row.uid) = (cookie, Some(33));
        row.owners = OwnerSpan { first: rows.links.len() as u32, count: 2 };
        for pid in [800, 801] {
            rows.links.push(OwnerLink { process: ProcessId(rows.processes.len() as u32), descriptor: 6 });
            let command = Some("nginx".into());
            rows.processes.push(wharf_table::Owner {
                pid: Some(pid),
                command,
                uid: Some(33),
                ..Default::default()
            });
        }
        rows.rows.push(row);
    }
    rows
}

/// Records: port 80 from the beginning to 20, port 81 from 10 on; until 30.
fn record(path: &Path) -> Recorder {
    let about = About { every: Duration::from_secs(10), version: "0".into(), selector: None };
    let mut recorder = Recorder::begin(path, &about, at(0)).unwrap();
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[(1, 80)]), at(0), &mut events);
    let present: Vec<Event> = ledger.present().collect();
    present.iter().for_each(|event| recorder.write(event).unwrap());
    ledger.sample(rows(&[(1, 80), (2, 81)]), at(10), &mut events);
    ledger.sample(rows(&[(2, 81)]), at(20), &mut events);
    events.iter().for_each(|event| recorder.write(event).unwrap());
    recorder.commit(at(30)).unwrap();
    recorder
}

fn ports(history: &History, seconds: u64) -> (Vec<u16>, Covered) {
    let answer = history.at(at(seconds), &(0..=u16::MAX)).unwrap();
    (answer.rows.rows.iter().map(|row| row.local.port).collect(), answer.covered)
}

#[test]
fn a_record_knows_who_was_there() {
    let scratch = Scratch::new();
    record(&scratch.file()).end(at(30)).unwrap();
    let history = History::open(&scratch.file()).unwrap();
    assert_eq!(ports(&history, 0), (vec![80], Covered::Yes));
    assert_eq!(ports(&history, 9), (vec![80], Covered::Yes));
    assert_eq!(ports(&history, 10), (vec![80, 81], Covered::Yes));
    assert_eq!(ports(&history, 20), (vec![81], Covered::Yes));
    assert_eq!(ports(&history, 30), (vec![81], Covered::Yes));
    assert_eq!(ports(&history, 31), (vec![], Covered::No { before: Some(at(30)), after: None }));
    let answer = history.at(at(15), &(80..=80)).unwrap();
    let row = &answer.rows.rows[0];
    assert_eq!(answer.lives, [Life { since: at(0), closed: Some(at(20)) }]);
    assert_eq!((row.local.port, row.state, row.age()), (80, State::Listen, Some(Duration::from_secs(15))));
    let owners: Vec<_> = answer.rows.owners(row).map(|(owner, link)| (owner.pid, link.descriptor)).collect();
    assert_eq!(owners, [(Some(800), 6), (Some(801), 6)]);
    assert_eq!(answer.rows.user(row), Some("www-data"));
    assert_eq!(answer.rows.network(row).unwrap().interfaces[&row.local.zone], "eth0");
    assert_eq!(history.latest().unwrap(), Some(at(30)));
    // One file and nothing beside it.
    drop(history);
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1);
}

#[test]
fn it_is_read_while_it_is_written_and_by_one_writer_only() {
    let scratch = Scratch::new();
    let mut recorder = record(&scratch.file());
    let history = History::open(&scratch.file()).unwrap();
    assert_eq!(ports(&history, 30).0, [81]);
    let again = Recorder::begin(&scratch.file(), &About::default(), at(31)).unwrap_err();
    assert!(matches!(again, HistoryError::Busy { .. }), "{again}");
    recorder.commit(at(40)).unwrap();
    assert_eq!(ports(&history, 40), (vec![81], Covered::Yes));
    recorder.end(at(50)).unwrap();
    // Time passed without anybody who looked.
    let second = Recorder::begin(&scratch.file(), &About::default(), at(100)).unwrap();
    assert_eq!(ports(&history, 70), (vec![], Covered::No { before: Some(at(50)), after: Some(at(100)) }));
    second.end(at(101)).unwrap();
}

#[test]
fn who_is_killed_loses_what_was_not_committed() {
    let scratch = Scratch::new();
    let mut recorder = record(&scratch.file());
    let (mut ledger, mut events) = (Ledger::new(), Vec::new());
    ledger.sample(rows(&[]), at(30), &mut events);
    ledger.sample(rows(&[(9, 99)]), at(31), &mut events);
    recorder.write(&events[0]).unwrap();
    // As they are on the disk at this moment.
    let copy = Scratch::new();
    for entry in std::fs::read_dir(&scratch.0).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
    }
    let history = History::open(&copy.file()).unwrap();
    assert_eq!(ports(&history, 30), (vec![81], Covered::Yes));
    assert!(ports(&history, 31).0.is_empty());
}

#[test]
fn what_is_no_record_is_told() {
    let scratch = Scratch::new();
    let missing = History::open(&scratch.file()).unwrap_err().to_string();
    assert!(missing.contains("wharf watch --record makes one"), "{missing}");
    let other = scratch.0.join("text");
    std::fs::write(
        &other,
        "a text that is long enough to be read as the head of a database, which it is not at all, and more",
    )
    .unwrap();
    for error in
        [History::open(&other).map(drop), Recorder::begin(&other, &About::default(), at(0)).map(drop)]
    {
        assert!(matches!(error, Err(HistoryError::NoRecord { .. })), "{error:?}");
    }
    assert!(std::fs::read_to_string(&other).unwrap().starts_with("a text"));
    // Another program's database, and one of a later form.
    let path = scratch.0.join("other.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Recorder::begin(&path, &About::default(), at(0)), Err(HistoryError::NoRecord { .. })));
    drop(database);
    record(&scratch.file()).end(at(30)).unwrap();
    rusqlite::Connection::open(scratch.file()).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let newer = History::open(&scratch.file()).unwrap_err().to_string();
    assert!(newer.ends_with("has the form 2, and this wharf knows 1 (use a newer wharf)"), "{newer}");
}

#[test]
fn people_can_ask_it_themselves() {
    let scratch = Scratch::new();
    record(&scratch.file()).end(at(30)).unwrap();
    let database = rusqlite::Connection::open(scratch.file()).unwrap();
    let sql = "SELECT at, event, local_port, command FROM event JOIN endpoint ON endpoint.id = event.endpoint \
        JOIN owner ON owner.endpoint = endpoint.id WHERE pid = 800 ORDER BY at_us";
    let mut ask = database.prepare(sql).unwrap();
    let lines = ask.query_map([], |line| {
        Ok(format!(
            "{} {} {} {}",
            line.get::<_, String>(0)?,
            line.get::<_, String>(1)?,
            line.get::<_, u16>(2)?,
            line.get::<_, String>(3)?
        ))
    });
    let lines: Vec<_> = lines.unwrap().map(Result::unwrap).collect();
    let expected = [
        "2026-11-30T00:53:20.000Z listening 80 nginx",
        "2026-11-30T00:53:30.000Z listening 81 nginx",
        "2026-11-30T00:53:40.000Z closed 80 nginx",
    ];
    assert_eq!(lines, expected);
}

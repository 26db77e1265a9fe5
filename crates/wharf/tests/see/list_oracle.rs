//! `wharf list` against ss and `/proc`, on random sockets of fifty processes of three users (`list_oracle/sockets.py`).
//!
//! Shared by forks and passed to others, in both families, with zones, dual-stack, in every state that stays; equal as sets, with
//! all owners.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// A socket as both sides tell of it: protocol, local end, remote end, state, owners by name, number and descriptor.
type Told = (String, String, Option<String>, String, BTreeSet<(String, u64, u64)>);

/// What `sockets.py` printed.
struct World(Value);

impl World {
    /// Makes sockets from a seed and runs commands beside them. `None`, with a printed reason, where that can't be.
    fn make(seed: u32, commands: &[&str]) -> Option<World> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root, to make a network namespace and processes of three users");
            return None;
        }
        for tool in ["ss", "ip", "python3", "setpriv"] {
            if Command::new(tool).arg("-V").output().is_err() {
                println!("skipped: there is no {tool}");
                return None;
            }
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/see/list_oracle/sockets.py");
        let done = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "python3", script])
            .args([&seed.to_string(), "50", "20"])
            .args(commands)
            .output()
            .expect("unshare is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(World(serde_json::from_slice(&done.stdout).expect("the script prints JSON")))
    }

    fn printed(&self, command: usize) -> &str {
        self.0["printed"][command].as_str().expect("each command's output is there")
    }

    fn rows(&self, command: usize) -> Vec<Value> {
        serde_json::from_str(self.printed(command)).expect("wharf prints JSON")
    }

    /// Users of the processes that hold sockets.
    fn users(&self) -> BTreeMap<u64, u64> {
        let holders = self.0["holders"].as_array().expect("a list");
        holders.iter().map(|holder| (number(&holder["pid"]), number(&holder["uid"]))).collect()
    }

    /// Processes by the number of their sockets, as `/proc` has it.
    fn of_proc(&self) -> BTreeMap<u64, BTreeSet<u64>> {
        let mut holders: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for pair in self.0["proc"].as_array().expect("a list") {
            holders.entry(number(&pair[0])).or_default().insert(number(&pair[1]));
        }
        holders
    }
}

fn wharf() -> &'static str {
    env!("CARGO_BIN_EXE_wharf")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A row of wharf's.
fn told_by_wharf(row: &Value) -> Told {
    let owners = row["owners"].as_array().expect("a list");
    let owners = owners
        .iter()
        .map(|owner| (text(&owner["command"]), number(&owner["pid"]), number(&owner["descriptor"])));
    let remote = Some(&row["remote"]).filter(|remote| !remote.is_null()).map(|remote| {
        // ss leaves the zone of a remote end out.
        let (whole, zone) = (text(&remote["text"]), remote["zone"].as_str());
        zone.map_or(whole.clone(), |zone| whole.replace(&format!("%{zone}"), ""))
    });
    (text(&row["protocol"]), text(&row["local"]["text"]), remote, text(&row["state"]), owners.collect())
}

/// A line of `ss -Htunap`, in wharf's words.
fn told_by_ss(line: &str) -> Told {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("too few words: {line}")).to_owned();
    let (protocol, state, _, _, local, remote) = (word(), word(), word(), word(), word(), word());
    let state = match state.as_str() {
        "ESTAB" => "established".into(),
        "UNCONN" => "bound".into(),
        "SYN-RECV" => "syn_received".into(),
        "FIN-WAIT-1" => "fin_wait_1".into(),
        "FIN-WAIT-2" => "fin_wait_2".into(),
        other => other.to_lowercase().replace('-', "_"),
    };
    let remote = (!remote.ends_with(":*")).then(|| end_of_ss(&remote));
    let mut owners = BTreeSet::new();
    for part in line.split_once("users:(").map_or("", |(_, users)| users).split("(\"").skip(1) {
        let (name, rest) = part.split_once("\",pid=").expect("a name and a number");
        let (pid, rest) = rest.split_once(",fd=").expect("a descriptor");
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next().expect("digits");
        owners.insert((name.to_owned(), pid.parse().expect("a number"), digits.parse().expect("a number")));
    }
    (protocol, end_of_ss(&local), remote, state, owners)
}

/// `[fe80::1]%v0:22`, `*:80`, `[::ffff:127.0.0.1]:80` as wharf writes them.
fn end_of_ss(end: &str) -> String {
    let (address, port) = end.rsplit_once(':').expect("a port");
    let (address, zone) = match address.split_once('%') {
        Some((address, zone)) => (address, format!("%{zone}")),
        None => (address, String::new()),
    };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.strip_prefix("::ffff:").unwrap_or(bare) {
        "*" => format!("[::{zone}]:{port}"),
        six if six.contains(':') => format!("[{six}{zone}]:{port}"),
        four => format!("{four}{zone}:{port}"),
    }
}

fn ss(world: &World, command: usize) -> BTreeSet<Told> {
    world.printed(command).lines().map(told_by_ss).map(lowest_descriptors).collect()
}

/// wharf names a process once, with its lowest descriptor; ss once for each.
fn lowest_descriptors(mut told: Told) -> Told {
    let all = told.4.clone();
    told.4.retain(|one| all.iter().all(|other| (&other.0, other.1) != (&one.0, one.1) || other.2 >= one.2));
    told
}

#[test]
fn the_same_sockets_as_ss_with_the_same_owners() {
    for seed in [1, 2] {
        let list = format!("{} list --json --in pid:1", wharf());
        let Some(world) = World::make(seed, &[&list, "ss -Htunap"]) else { return };
        let rows = world.rows(0);
        assert!(rows.len() > 900, "{} rows", rows.len());
        // ss does not show sockets that only have a port, nor these connections of Multipath TCP.
        let common = |row: &&Value| {
            let (protocol, state) = (row["protocol"].as_str(), row["state"].as_str());
            protocol == Some("udp") || protocol == Some("tcp") && state != Some("bound")
        };
        let ours: BTreeSet<Told> = rows.iter().filter(common).map(told_by_wharf).collect();
        let theirs = ss(&world, 1);
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).collect();
        assert!(
            only_ours.is_empty() && only_theirs.is_empty(),
            "wharf: {only_ours:#?}\nss: {only_theirs:#?}"
        );
        for state in ["listen", "established", "time_wait", "fin_wait_2", "close_wait", "syn_sent", "bound"] {
            assert!(ours.iter().any(|told| told.3 == state), "no {state} among them");
        }
        assert!(ours.iter().any(|told| told.1.contains("%v0")) && ours.iter().any(|told| told.4.len() > 1));
    }
}

#[test]
fn every_process_that_proc_shows_is_an_owner() {
    let Some(world) = World::make(3, &[&format!("{} list --json --in pid:1", wharf())]) else { return };
    let (of_proc, users) = (world.of_proc(), world.users());
    let mut sharing = 0;
    let rows = world.rows(0);
    for row in &rows {
        let owners = row["owners"].as_array().expect("a list");
        let pids: BTreeSet<u64> = owners.iter().map(|owner| number(&owner["pid"])).collect();
        let Some(inode) = row["inode"].as_u64() else {
            assert!(pids.is_empty() && row["ownerless"].is_string(), "{row}");
            continue;
        };
        assert_eq!(Some(&pids), of_proc.get(&inode), "{row}");
        assert!(row["ownerless"].is_null());
        for owner in owners {
            assert_eq!(Some(&number(&owner["uid"])), users.get(&number(&owner["pid"])), "{owner}");
        }
        sharing += usize::from(pids.len() > 1);
    }
    assert!(sharing > 50, "{sharing}");
    // Sockets that only have a port are told by those who hold them.
    let bound: BTreeSet<u64> = rows
        .iter()
        .filter(|row| row["state"] == "bound" && row["protocol"] == "tcp")
        .map(|row| number(&row["inode"]))
        .collect();
    let holders = world.0["holders"].as_array().expect("a list");
    let expected: BTreeSet<u64> =
        holders.iter().flat_map(|holder| holder["bound"].as_array().expect("a list")).map(number).collect();
    assert_eq!(bound, expected);
}

#[test]
fn an_ordinary_user_sees_all_sockets_its_own_owners_and_the_groups_of_others() {
    let place = tempfile("wharf-list-oracle");
    let list = format!("{place} list --json --in host");
    let as_nobody = format!("setpriv --reuid 65534 --regid 65534 --clear-groups {list}");
    let world = World::make(4, &[&format!("{place} list --json --in pid:1"), &as_nobody]);
    std::fs::remove_file(&place).expect("the copy is there");
    let Some(world) = world else { return };
    let users = world.users();
    let ends = |rows: &[Value]| -> BTreeSet<_> {
        let without = |row| {
            let (protocol, local, remote, state, _) = told_by_wharf(row);
            (protocol, local, remote, state)
        };
        rows.iter().map(without).collect()
    };
    let (all, seen) = (world.rows(0), world.rows(1));
    assert_eq!(ends(&all), ends(&seen));
    let (mut own, mut hidden) = (0, 0);
    for row in seen.iter().filter(|row| !row["inode"].is_null()) {
        let owners = row["owners"].as_array().expect("a list");
        own += owners.len();
        assert!(owners.iter().all(|owner| users.get(&number(&owner["pid"])) == Some(&65534)), "{row}");
        if owners.is_empty() {
            hidden += 1;
            assert!(text(&row["ownerless"]).starts_with("hidden"), "{row}");
            assert!(row["uid"].is_number());
            assert!(row["cgroup"].is_string() || row["protocol"] == "mptcp", "{row}");
        }
    }
    assert!(own > 100 && hidden > 300, "{own} {hidden}");
}

/// A copy of wharf that every user may run.
fn tempfile(name: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let place = std::env::temp_dir().join(format!("{name}.{}", std::process::id()));
    std::fs::copy(wharf(), &place).expect("room for a copy");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    place.display().to_string()
}

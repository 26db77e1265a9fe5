use wharf_table::rows::{End, Row, State, Transport};

use super::*;

fn owner(pid: u32) -> Owner {
    Owner { pid: Some(pid), ..Owner::default() }
}

fn rows(inodes: &[u64]) -> Rows {
    let row = |&inode: &u64| {
        let mut row = Row::new(Transport::Tcp, End::new("127.0.0.1:1".parse().unwrap()), State::Listen);
        row.inode = std::num::NonZero::new(inode);
        row
    };
    Rows { rows: inodes.iter().map(row).collect(), ..Rows::default() }
}

fn held(rows: &Rows, row: usize) -> Vec<(u32, u32)> {
    let owners = rows.owners(&rows.rows[row]);
    owners.map(|(owner, link)| (owner.pid.unwrap(), link.descriptor)).collect()
}

#[test]
fn what_threads_found_is_put_together() {
    let mut rows = rows(&[10, 11, 12, 0]);
    let hit = |row, process, descriptor| Hit { row, process, descriptor };
    let parts = vec![
        Part {
            processes: vec![owner(9), owner(5)],
            hits: vec![hit(0, 0, 4), hit(1, 1, 3), hit(1, 1, 7)],
            hidden: 0,
        },
        // A process that was looked at again is the same one.
        Part {
            processes: vec![owner(7), owner(9)],
            hits: vec![hit(0, 0, 3), hit(1, 0, 3), hit(0, 1, 4)],
            hidden: 0,
        },
    ];
    link_all(parts, &mut rows);
    let pids: Vec<_> = rows.processes.iter().filter_map(|owner| owner.pid).collect();
    assert_eq!(pids, [5, 7, 9]);
    assert_eq!(held(&rows, 0), [(7, 3), (9, 4)]);
    assert_eq!(held(&rows, 1), [(5, 3), (7, 3)]);
    assert!(held(&rows, 2).is_empty() && held(&rows, 3).is_empty());
}

#[test]
fn rows_of_one_socket_have_the_same_owners() {
    let mut rows = rows(&[10, 11, 10]);
    let index = Index::of(&rows.rows);
    let hits = vec![Hit { row: index.row(10).unwrap(), process: 0, descriptor: 3 }];
    join(vec![Part { processes: vec![owner(5)], hits, hidden: 0 }], &index, &mut rows);
    assert_eq!((held(&rows, 0), held(&rows, 2)), (vec![(5, 3)], vec![(5, 3)]));
    assert_eq!((rows.rows[2].ownerless, rows.rows[1].owners.count), (None, 0));
    assert!(rows.rows[1].ownerless.is_some());
}

#[test]
fn a_hidden_process_is_named_as_the_reason() {
    let mut rows = rows(&[10]);
    let index = Index::of(&rows.rows);
    join(vec![Part { hidden: 3, ..Part::default() }], &index, &mut rows);
    assert_eq!(rows.rows[0].ownerless, Some(Ownerless::Hidden));
    assert!(rows.hidden[0].starts_with("the sockets of 3 processes of other users are hidden"));
}

#[test]
fn what_nobody_was_seen_to_have_is_left() {
    let rows = rows(&[10, 11, 12]);
    let index = Index::of(&rows.rows);
    let missing = index.without([0, 2].into_iter());
    assert_eq!((missing.row(10), missing.row(11), missing.row(12)), (None, Some(1), None));
    assert!(index.without(0..3).is_empty());
}

//! Many look-ups at once tell what one at a time tells.

use super::*;

const FLOWS: u32 = 30_000;

/// Of client `number`, whose port on the far side is another.
fn near(number: u32) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        local: Endpoint::new(Addr::v4([192, 0, 2, 1]), 80),
        remote: Endpoint::new(
            core::net::Ipv4Addr::from(0x0a00_0000 + number / 100),
            1024 + (number % 100) as u16,
        ),
    }
}

fn far(number: u32) -> Tuple {
    let wire = near(number);
    Tuple { local: Endpoint::new(Addr::v4([198, 51, 100, 7]), wire.local.port), ..wire }
}

#[test]
fn a_batch_of_any_length_is_answered_as_its_tuples_are() {
    let mut table = Table::new(HashKey::new([9; 16]));
    let listener = listen(&mut table, None, 80);
    for number in 0..FLOWS {
        let side = if number % 3 == 0 { Far::Wire(far(number)) } else { Far::Application(number) };
        let id = table.open(near(number), side, Origin::Child(listener), Instant::ZERO).unwrap();
        if number % 7 == 1 {
            table.to_waiting(id, WaitingPayload::default(), Instant::from_millis(1)).unwrap();
        }
    }
    let asked: Vec<Tuple> = (0..2 * FLOWS).flat_map(|number| [near(number), far(number)]).collect();
    let answers: Vec<Found> = asked.iter().map(|tuple| table.find(tuple, &mut Silent)).collect();
    let count = |is: fn(&Found) -> bool| answers.iter().filter(|found| is(found)).count();
    // A row that waits has no far side any more.
    assert_eq!(count(|found| matches!(found, Found::Waiting(_))), FLOWS.div_ceil(7) as usize);
    assert!(count(|found| matches!(found, Found::Flow(_))) > FLOWS as usize);
    assert!(count(|found| matches!(found, Found::Binding(_))) > FLOWS as usize);
    let mut found = [Found::Nothing; 200];
    let mut from = 0;
    for length in (0..200).cycle() {
        let Some(tuples) = asked.get(from..from + length) else { break };
        table.find_batch(tuples, &mut found);
        assert_eq!(found[..length], answers[from..from + length]);
        from += length;
    }
}

#[test]
fn what_has_no_counterpart_is_left() {
    let mut table = Table::new(HashKey::new([9; 16]));
    for number in 0..100 {
        table.open(near(number), Far::Application(0), Origin::Transit, Instant::ZERO).unwrap();
    }
    let asked: Vec<Tuple> = (0..100).map(near).collect();
    let count = |found: &[Found]| found.iter().filter(|&&found| found != Found::Nothing).count();
    for (tuples, places) in [(100, 40), (40, 100), (100, 70), (70, 100), (0, 10), (10, 0)] {
        let mut found = [Found::Nothing; 100];
        table.find_batch(&asked[..tuples], &mut found[..places]);
        assert_eq!(count(&found), tuples.min(places));
    }
    let mut empty = [Found::Nothing; 3];
    Table::new(HashKey::new([9; 16])).find_batch(&asked, &mut empty);
    assert_eq!(empty, [Found::Nothing; 3]);
}

use super::*;

struct Known;

impl Names for Known {
    fn value(&mut self, name: &str) -> Option<i64> {
        match name {
            "tcpi_snd_cwnd" => Some(10),
            "tcpi_rtt" => Some(100_500),
            "TCP_CA_Open" => Some(0),
            "tcpi_ca_state" => Some(0),
            _ => None,
        }
    }
}

fn outcome(code: &str) -> Result<(), String> {
    run(code, &mut HashMap::new(), &mut Known)
}

#[test]
fn what_holds_holds() {
    for code in [
        "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd",
        "assert tcpi_snd_cwnd == 10, 'cwnd=%d' % tcpi_snd_cwnd; assert tcpi_ca_state == TCP_CA_Open",
        "assert 100*1000 <= tcpi_rtt <= 101 * 1000",
        "assert not (tcpi_snd_cwnd < 10 or tcpi_snd_cwnd > 10)",
        "print tcpi_snd_cwnd\nassert (tcpi_snd_cwnd\n == 5 * 2)",
        "x = tcpi_snd_cwnd - 3\nassert x == 7 and abs(x - 9) == 2",
        "assert min(3, 2, 5) == 2 and max(1, 4) == 4 and 7 // 2 == 3 and 7 % 4 == 3",
    ] {
        assert_eq!(outcome(code), Ok(()), "{code}");
    }
}

#[test]
fn what_does_not_hold_says_what_was_seen() {
    let error = outcome("assert tcpi_snd_cwnd == 11, 'no'").unwrap_err();
    assert!(error.contains("tcpi_snd_cwnd is 10"), "{error}");
}

#[test]
fn what_is_not_understood_is_no_truth() {
    for code in
        ["assert tcpi_nonsense == 1", "for x in y: pass", "assert 1 == 1 2", "assert (1 == 1", "assert"]
    {
        assert!(outcome(code).is_err(), "{code}");
    }
}

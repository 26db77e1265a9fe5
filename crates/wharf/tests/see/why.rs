//! `wharf why` against set-ups that are broken, each in one way, and against such that are well: it names what is wrong, and
//! after exactly what it says a real `curl` succeeds.
//!
//! Every test makes network namespaces of its own, and takes them away.

mod broken;
mod healthy;
mod lab;
mod probe;
mod run;

#[test]
fn its_help_fits_a_screen_and_wrong_words_are_told() {
    let wharf = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"));
        let out = command.arg("why").args(words).env_remove("COLUMNS").output().expect("wharf runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, help, _) = wharf(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.starts_with("Examples:\n  wharf why ") && help.lines().count() <= 24, "{help}");
    assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
    for (words, told) in [
        (&[][..], "why what?"),
        (&["localhost"], "\"localhost\": a port is missing"),
        (&["localhost:99999"], "99999"),
        (&["999999999"], "no process 999999999"),
        (&["localhost:80", "--from", "me"], "--from \"me\": not an address"),
        (&["localhost:80", "--in", "nowhere-such"], "no run or network \"nowhere-such\""),
        (&["--bind", "127.0.0.1"], "a port is missing"),
    ] {
        let (code, out, error) = wharf(words);
        assert_eq!((code, out.as_str(), error.lines().count()), (Some(2), "", 1), "{words:?}: {error}");
        assert!(error.starts_with("wharf: ") && error.contains(told), "{words:?}: {error}");
    }
}

//! A policy as a file: the words of the options, with room for reasons.
//!
//! ```toml
//! default = "deny"
//! denied = "refused"
//!
//! [[rule]]
//! allow = "example.org:443"
//! reason = "the index of packages"
//!
//! [[rule]]
//! deny = "*.example.net"
//! ```

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use wharf_table::notation::Services;
use wharf_table::policy::{Action, Hidden, Rule, Rules, Target};

use super::Denial;

/// The most bytes of a file.
const FILE_MAX: u64 = 16 << 20;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// What holds where none of them stands for a flow, if it says so.
    pub default: Option<Action>,
    /// What a program notices of a denial, if it says so.
    pub denied: Option<Denial>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    default: Option<Word>,
    denied: Option<Denied>,
    #[serde(default)]
    rule: Vec<toml::Spanned<WrittenRule>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Denied {
    Refused,
    Prohibited,
    Silent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    allow: Option<String>,
    deny: Option<String>,
    program: Option<String>,
    hidden: Option<HiddenWord>,
    #[serde(default)]
    reason: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HiddenWord {
    Strict,
    Lenient,
}

impl PolicyFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// In words: what is wrong, and in which line.
    pub fn read(path: &Path, services: Services<'_>) -> Result<PolicyFile, String> {
        use std::io::Read;
        let shown = path.display();
        let file = std::fs::File::open(path).map_err(|error| format!("open {shown}: {error}"))?;
        let mut text = String::new();
        let read = file.take(FILE_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| format!("read {shown}: {error}"))?;
        if text.len() as u64 > FILE_MAX {
            return Err(format!("{shown}: a policy has {} MiB at most", FILE_MAX >> 20));
        }
        PolicyFile::parse(&text, services).map_err(|(line, why)| format!("{shown}:{line}: {why}"))
    }

    /// The rules by themselves: what is not named is denied where something is allowed, unless the file says otherwise.
    pub fn into_rules(self) -> Rules {
        let allows = self.rules.iter().any(|rule| rule.action == Action::Allow);
        let default = self.default.unwrap_or(if allows { Action::Deny } else { Action::Allow });
        Rules::new(self.rules, default)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The line, from 1, and what is wrong there.
    pub fn parse(text: &str, services: Services<'_>) -> Result<PolicyFile, (usize, String)> {
        let line_of = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        let written: Written = toml::from_str(text).map_err(|error| {
            (line_of(error.span().map_or(0, |span| span.start)), error.message().replace('\n', " "))
        })?;
        let mut rules = Vec::with_capacity(written.rule.len());
        for rule in written.rule {
            let line = line_of(rule.span().start);
            rules.push(lower(rule.into_inner(), services).map_err(|why| (line, why))?);
        }
        let default = written.default.map(|word| match word {
            Word::Allow => Action::Allow,
            Word::Deny => Action::Deny,
        });
        let denied = written.denied.map(|denied| match denied {
            Denied::Refused => Denial::Refused,
            Denied::Prohibited => Denial::Prohibited,
            Denied::Silent => Denial::Silent,
        });
        Ok(PolicyFile { rules, default, denied })
    }
}

impl fmt::Display for PolicyFile {
    /// As a file, with ports as numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(default) = self.default {
            writeln!(f, "default = \"{default}\"")?;
        }
        for rule in &self.rules {
            let target = toml_string(&rule.target.to_string());
            writeln!(f, "\n[[rule]]\n{} = {target}", rule.action)?;
            if rule.hidden == Hidden::Lenient {
                writeln!(f, "hidden = \"lenient\"")?;
            }
            if !rule.reason.is_empty() {
                writeln!(f, "reason = {}", toml_string(&rule.reason))?;
            }
        }
        Ok(())
    }
}

/// A basic string of TOML.
fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", control as u32)),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn lower(written: WrittenRule, services: Services<'_>) -> Result<Rule, String> {
    let (action, target) = match (&written.allow, &written.deny) {
        (Some(target), None) => (Action::Allow, target),
        (None, Some(target)) => (Action::Deny, target),
        (None, None) => return Err("a rule needs allow = \"TARGET\" or deny = \"TARGET\"".to_owned()),
        (Some(_), Some(_)) => return Err("a rule has allow or deny, not both (write two rules)".to_owned()),
    };
    let mut target =
        Target::parse(target, services).map_err(|error| format!("{action} {target:?}: {error}"))?;
    if written.program.is_some() && target.program.is_some() {
        return Err("the program is named twice (leave program = out)".to_owned());
    }
    target.program = target.program.or(written.program);
    let mut rule = Rule::new(action, target);
    if let Some(word) = written.hidden {
        if !rule.is_by_name() || action == Action::Deny {
            return Err("hidden = belongs to rules that allow a name".to_owned());
        }
        rule.hidden = match word {
            HiddenWord::Strict => Hidden::Strict,
            HiddenWord::Lenient => Hidden::Lenient,
        };
    }
    rule.reason = written.reason;
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_table::notation::no_services;

    #[test]
    fn rules_are_read_in_order() {
        let text = "default = \"deny\"\ndenied = \"silent\"\n[[rule]]\nallow = \"example.org:443\"\nreason = \"why\"\n\
                    hidden = \"lenient\"\n[[rule]]\ndeny = \"10.0.0.0/8\"\nprogram = \"curl\"\n";
        let file = PolicyFile::parse(text, &no_services).unwrap();
        let rules: Vec<String> = file.rules.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["allow example.org:443", "deny curl:10.0.0.0/8"]);
        assert_eq!(file.rules[0].reason, "why");
        let again = PolicyFile::parse(&file.to_string(), &no_services).unwrap();
        assert_eq!(again.rules, file.rules, "{file}");
        assert_eq!(
            (file.rules[0].hidden, file.default, file.denied),
            (Hidden::Lenient, Some(Action::Deny), Some(Denial::Silent))
        );
    }

    #[test]
    fn an_error_has_its_line() {
        for (text, line, part) in [
            ("default = \"maybe\"", 1, "maybe"),
            ("\n[[rule]]\nallow = \"example.org:70000\"", 2, "70000"),
            ("[[rule]]\nalow = \"x\"", 2, "alow"),
            ("[[rule]]\nreason = \"x\"", 1, "needs allow"),
            ("[[rule]]\nallow = \"a.test\"\ndeny = \"b.test\"", 1, "not both"),
            ("[[rule]]\nallow = \"lan\"\nhidden = \"lenient\"", 1, "belongs to rules that allow a name"),
            ("[[rule]]\nallow = \"a.test", 2, "string"),
        ] {
            let (at, why) = PolicyFile::parse(text, &no_services).unwrap_err();
            assert!(at == line && why.contains(part) && !why.contains('\n'), "{text:?}: {at} {why}");
        }
    }

    #[test]
    fn what_was_learned_is_a_policy() {
        let mut learned = super::super::Learned::default();
        let name = wharf_table::policy::Hostname::parse("example.org").unwrap();
        let note = |learned: &mut super::super::Learned, protocol, at: &str, name| {
            learned.note(protocol, at.parse().unwrap(), name, false);
        };
        use wharf_table::Protocol::{Icmp, Tcp};
        note(&mut learned, Tcp, "192.0.2.1:443", Some((&name, Hidden::Strict)));
        note(&mut learned, Tcp, "192.0.2.1:80", Some((&name, Hidden::Strict)));
        note(&mut learned, Tcp, "[2001:db8::1]:22", None);
        note(&mut learned, Icmp, "192.0.2.9:7", None);
        let file = PolicyFile::parse(&learned.to_string(), &no_services).unwrap();
        let rules: Vec<String> = file.rules.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            ["allow example.org:80,443/tcp", "allow 192.0.2.9/icmp", "allow [2001:db8::1]:22/tcp"]
        );
        assert_eq!(file.default, Some(Action::Deny));
    }
}

//! Assertions between `%{` and `}%`: a small part of Python, enough for what scripts ask of `TCP_INFO`.
//!
//! Statements are `assert EXPRESSION, message`, `NAME = EXPRESSION` and `print`, which is passed over. Expressions have
//! numbers, strings, names, arithmetic, comparisons (chained, too), `and`, `or`, `not`, and `abs`, `min`, `max`, `int`.
//! Anything else is an error rather than a truth.

mod lexer;

use std::collections::HashMap;

use lexer::{Word, words};

/// What names mean outside the code.
pub(super) trait Names {
    /// The number that a name stands for.
    fn value(&mut self, name: &str) -> Option<i64>;
}

/// Runs the assertions; what earlier code assigned is kept in `variables`.
///
/// # Errors
/// An assertion does not hold, with the numbers in it; or the code is beyond what is understood.
pub(super) fn run(
    code: &str,
    variables: &mut HashMap<String, f64>,
    names: &mut dyn Names,
) -> Result<(), String> {
    let words = words(code)?;
    for statement in words.split(|word| *word == Word::EndOfStatement) {
        let Some(first) = statement.first() else { continue };
        let mut evaluation = Evaluation { words: statement, at: 0, variables, names, seen: Vec::new() };
        match first {
            Word::Name(name) if name == "assert" => {
                evaluation.at = 1;
                let holds = evaluation.or()?;
                if holds == 0.0 {
                    let seen: Vec<String> =
                        evaluation.seen.iter().map(|(name, value)| format!("{name} is {value}")).collect();
                    return Err(format!("the assertion does not hold: {}", seen.join(", ")));
                }
                evaluation.end_of_assertion()?;
            }
            Word::Name(name) if name == "print" => {}
            Word::Name(name) if statement.get(1) == Some(&Word::Sign("=")) => {
                evaluation.at = 2;
                let value = evaluation.or()?;
                evaluation.end()?;
                variables.insert(name.clone(), value);
            }
            _ => return Err("only assert, print and assignments are understood".to_owned()),
        }
    }
    Ok(())
}

struct Evaluation<'a> {
    words: &'a [Word],
    at: usize,
    variables: &'a HashMap<String, f64>,
    names: &'a mut dyn Names,
    /// Names met on the way, for the message.
    seen: Vec<(String, f64)>,
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

impl Evaluation<'_> {
    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.words.get(self.at), Some(Word::Sign(known)) if *known == sign);
        self.at += usize::from(found);
        found
    }

    fn name(&mut self, name: &str) -> bool {
        let found = matches!(self.words.get(self.at), Some(Word::Name(known)) if known == name);
        self.at += usize::from(found);
        found
    }

    fn end(&self) -> Result<(), String> {
        match self.words.get(self.at) {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is not understood here")),
        }
    }

    /// Behind a comma stands a message, whatever it is.
    fn end_of_assertion(&mut self) -> Result<(), String> {
        if self.sign(",") { Ok(()) } else { self.end() }
    }

    fn or(&mut self) -> Result<f64, String> {
        let mut left = self.and()?;
        while self.name("or") {
            let right = self.and()?;
            left = if left == 0.0 { right } else { left };
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<f64, String> {
        let mut left = self.not()?;
        while self.name("and") {
            let right = self.not()?;
            left = if left == 0.0 { left } else { right };
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<f64, String> {
        if self.name("not") { Ok(truth(self.not()? == 0.0)) } else { self.comparison() }
    }

    /// `a < b <= c` means both.
    fn comparison(&mut self) -> Result<f64, String> {
        type Compare = fn(&f64, &f64) -> bool;
        const SIGNS: [(&str, Compare); 6] = [
            ("==", f64::eq),
            ("!=", f64::ne),
            ("<=", f64::le),
            (">=", f64::ge),
            ("<", f64::lt),
            (">", f64::gt),
        ];
        let mut left = self.bits()?;
        let mut result = None;
        while let Some((_, compare)) = SIGNS.into_iter().find(|(sign, _)| self.sign(sign)) {
            let right = self.bits()?;
            result = Some(result.unwrap_or(true) && compare(&left, &right));
            left = right;
        }
        Ok(result.map_or(left, truth))
    }

    fn bits(&mut self) -> Result<f64, String> {
        let mut left = self.sum()?;
        loop {
            if self.sign("&") {
                left = (left as i64 & self.sum()? as i64) as f64;
            } else if self.sign("|") {
                left = (left as i64 | self.sum()? as i64) as f64;
            } else {
                return Ok(left);
            }
        }
    }

    fn sum(&mut self) -> Result<f64, String> {
        let mut left = self.product()?;
        loop {
            if self.sign("+") {
                left += self.product()?;
            } else if self.sign("-") {
                left -= self.product()?;
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut left = self.signed()?;
        loop {
            if self.sign("*") {
                left *= self.signed()?;
            } else if self.sign("//") {
                left = (left / self.signed()?).floor();
            } else if self.sign("/") {
                left /= self.signed()?;
            } else if self.sign("%") {
                left = left.rem_euclid(self.signed()?);
            } else {
                return Ok(left);
            }
        }
    }

    fn signed(&mut self) -> Result<f64, String> {
        if self.sign("-") { Ok(-self.signed()?) } else { self.operand() }
    }

    fn operand(&mut self) -> Result<f64, String> {
        if self.sign("(") {
            let value = self.or()?;
            return if self.sign(")") { Ok(value) } else { Err("a closing bracket is missing".to_owned()) };
        }
        let word = self.words.get(self.at).ok_or_else(|| "the code ends too early".to_owned())?.clone();
        self.at += 1;
        match word {
            Word::Number(value) => Ok(value),
            Word::Name(name) if self.sign("(") => self.function(&name),
            Word::Name(name) => self.lookup(&name),
            word => Err(format!("{word:?} is not understood here")),
        }
    }

    fn lookup(&mut self, name: &str) -> Result<f64, String> {
        let value = match name {
            "True" => return Ok(1.0),
            "False" | "None" => return Ok(0.0),
            _ => match self.variables.get(name) {
                Some(value) => *value,
                None => self.names.value(name).ok_or_else(|| format!("`{name}` is not known"))? as f64,
            },
        };
        self.seen.push((name.to_owned(), value));
        Ok(value)
    }

    fn function(&mut self, name: &str) -> Result<f64, String> {
        let mut arguments = vec![self.or()?];
        while self.sign(",") {
            arguments.push(self.or()?);
        }
        if !self.sign(")") {
            return Err("a closing bracket is missing".to_owned());
        }
        let mut each = arguments.into_iter();
        let first = each.next().unwrap_or(0.0);
        match name {
            "abs" => Ok(first.abs()),
            "int" => Ok(first.trunc()),
            "min" => Ok(each.fold(first, f64::min)),
            "max" => Ok(each.fold(first, f64::max)),
            _ => Err(format!("`{name}()` is not understood")),
        }
    }
}

#[cfg(test)]
mod tests;

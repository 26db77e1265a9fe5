//! The `wharf` command: what is typed becomes a verb, a verb becomes work of `wharf_host`, and how that ended an exit code.
//!
//! [`args`] says what can be typed, [`verbs`] has one file for each verb, [`exit`] knows the codes and how errors look.
//! Nothing is decided here that another interface would have to decide again.

#![forbid(unsafe_code)]

mod args;
mod exit;
mod render;
mod services;
#[cfg(feature = "tui")]
mod tui;
mod verbs;

use std::alloc::System;
use std::process::ExitCode;

use wharf_host::HugePages;

use self::args::{Args, Verb};

#[global_allocator]
static ALLOCATOR: HugePages<System> = HugePages::above(System);

fn main() -> ExitCode {
    let result = match Args::read() {
        Ok(Args { verb: Verb::Run(typed) }) => verbs::run::run(typed),
        Ok(Args { verb: Verb::Host(typed) }) => verbs::host::host(typed),
        Ok(Args { verb: Verb::Port(typed) }) => verbs::port::port(typed),
        Ok(Args { verb: Verb::List(typed) }) => verbs::list::list(typed),
        Ok(Args { verb: Verb::Who(typed) }) => verbs::who::who(typed),
        Ok(Args { verb: Verb::Flows(typed) }) => verbs::flows::flows(typed),
        Ok(Args { verb: Verb::Policy(typed) }) => verbs::policy::policy(typed),
        Ok(Args { verb: Verb::Ps(typed) }) => verbs::ps::ps(typed),
        Ok(Args { verb: Verb::Why(typed) }) => verbs::why::why(typed),
        Ok(Args { verb: Verb::Free(typed) }) => verbs::free::free(typed),
        Ok(Args { verb: Verb::Watch(typed) }) => verbs::watch::watch(typed),
        #[cfg(feature = "tui")]
        Ok(Args { verb: Verb::Top(typed) }) => verbs::top::top(typed),
        Err(error) => exit::usage(&error),
    };
    result.unwrap_or_else(|failure| failure.report())
}

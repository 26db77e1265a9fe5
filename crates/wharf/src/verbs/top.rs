//! `wharf top`: ports with their talkers, on a page of the terminal.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use wharf_host::snapshot::Networks;
use wharf_host::traffic::Order;
use wharf_table::selector::Selector;

use super::read::{one, seconds};
use crate::args::TopArgs;
use crate::exit::Failure;
use crate::services::LocalServices;
use crate::tui::{self, Config};

/// Everything is not looked at more often than this.
const LEAST: Duration = Duration::from_millis(100);

/// Shows the page until it is left: 0.
///
/// # Errors
/// [`Failure`], 2: wrong usage, no terminal, or the kernel does not list its sockets.
pub(crate) fn top(args: TopArgs) -> Result<ExitCode, Failure> {
    let local = LocalServices::default();
    let services = |name: &str, protocol| local.port(name, protocol);
    // What was typed is read first, so that it is told as it is by every verb.
    Selector::parse_words(&args.selector, &services).map_err(Failure::usage)?;
    let config = Config {
        filter: args.selector.join(" "),
        order: one("--sort", args.sort.as_deref(), order)?.unwrap_or_default(),
        every: one("--every", args.every.as_deref(), seconds)?.unwrap_or(Duration::from_secs(1)).max(LEAST),
        networks: if args.r#in.is_empty() { Networks::All } else { Networks::Named(args.r#in) },
    };
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let why = "show ports on a page: this is no terminal (wharf list prints them, wharf watch tells what changes)";
        return Err(Failure::usage(why));
    }
    tui::run(config).map_err(Failure::usage)?;
    Ok(ExitCode::SUCCESS)
}

fn order(text: &str) -> Result<Order, String> {
    let found = Order::ALL.into_iter().find(|order| order.name() == text);
    found.ok_or_else(|| format!("{text:?}: no such order (write traffic, change, port or connections)"))
}

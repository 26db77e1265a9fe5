//! What the first bytes of a flow show of the name that is meant.

use wharf_table::policy::Hostname;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Look {
    /// More bytes are needed to tell.
    NeedMore,
    /// This name.
    Name(Hostname),
    /// A protocol that would show a name, and hides it or shows what is none.
    Hidden,
    /// A protocol that shows no name.
    Nothing,
}

pub(in crate::run) fn look(bytes: &[u8]) -> Look {
    if bytes.is_empty() { Look::NeedMore } else { Look::Nothing }
}

//! The stack behind the shared-library interface of packetdrill: `packetdrill --so_filename=libwharf_packetdrill.so script.pkt`.
//!
//! packetdrill loads the library, calls [`packetdrill_interface_init`], and from then on makes the script's system calls
//! through a table of functions, hands over the packets that arrive and asks for those that leave. Time is virtual: it
//! stands still but for what packetdrill's clock asks of it, and jumps to the next time-out when packetdrill waits for a
//! packet. The file of each part:
//!
//! - [`interface`]: the table as C sees it, and the functions in it;
//! - [`lab`]: the same calls for the laboratory's own scripts;
//! - [`world`]: the clock, the packets, and calls that block;
//! - [`descriptor`]: which descriptor is which socket;
//! - [`address`], [`message`], [`option`], [`info`]: the structures of the socket interface;
//! - [`readiness`]: poll and epoll;
//! - [`sysctl`]: the settings of the network namespace, read anew for each socket.
//!
//! Deliberately not here: protocols. Sockets and their errors are [`wharf_stack::socket`]'s.

#![allow(rustdoc::private_intra_doc_links)] // The map of the files is for who reads them.

mod address;
mod calls;
mod descriptor;
mod errno;
mod flags;
mod info;
pub mod interface;
pub mod lab;
mod message;
mod option;
mod profile;
mod readiness;
mod sysctl;
mod world;

use std::ffi::{CStr, c_char};

use interface::Interface;

/// Fills `interface` with a stack of its own. `flags` is what `--so_flags` said, or null: words separated by commas, each
/// `name=value`; see [`flags`].
///
/// A flag that is not understood is reported on standard error and ends the process with status 2: a script that runs
/// with other settings than it was meant to says nothing.
///
/// # Safety
/// `flags` is null or a C string; `interface` points to a writable table of this layout, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    if interface.is_null() {
        return;
    }
    let text = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller gives a C string.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let settings = match flags::parse(&text) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("wharf: --so_flags: {error}");
            std::process::exit(2);
        }
    };
    // SAFETY: the caller gives a writable table.
    unsafe { interface.write(Interface::new(settings)) };
}

//! The table of functions as C sees it: the order of its members is the interface's, and no member may move.
//!
//! Each function is the POSIX or Linux call of its name with the table's `userdata` put first. What a pointer must be is
//! what the call of that name asks for; null is answered with EFAULT where Linux does.

#![allow(clippy::missing_safety_doc, reason = "the module says it for all of them")]

use std::time::Duration;

use libc::{
    c_int, c_uint, c_ulong, c_void, epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t, sockaddr,
    socklen_t, ssize_t, timeval, useconds_t,
};

use crate::address;
use crate::errno::{Errno, Result, answer};
use crate::flags::Settings;
use crate::message::{self, Buffers};
use crate::readiness;
use crate::world::World;

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $name:ident: fn($($type:ty),*) -> $result:ty,)+) => {
        /// The table.
        #[repr(C)]
        #[derive(Debug)]
        pub struct Interface {
            /// Given to every function as its first argument.
            pub userdata: *mut c_void,
            /// Ends it all.
            pub free: unsafe extern "C" fn(*mut c_void),
            $($(#[doc = $doc])+ pub $name: unsafe extern "C" fn(*mut c_void, $($type),*) -> $result,)+
        }

        impl Interface {
            /// A host of its own behind a table. The calling thread drives it.
            pub(crate) fn new(settings: Settings) -> Interface {
                let world = Box::new(World::new(settings));
                Interface { userdata: Box::into_raw(world).cast(), free, $($name,)+ }
            }
        }
    };
}

table! {
    /// socket(2)
    socket: fn(c_int, c_int, c_int) -> c_int,
    /// bind(2)
    bind: fn(c_int, *const sockaddr, socklen_t) -> c_int,
    /// listen(2)
    listen: fn(c_int, c_int) -> c_int,
    /// accept(2)
    accept: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    /// connect(2)
    connect: fn(c_int, *const sockaddr, socklen_t) -> c_int,
    /// read(2)
    read: fn(c_int, *mut c_void, size_t) -> ssize_t,
    /// readv(2)
    readv: fn(c_int, *const iovec, c_int) -> ssize_t,
    /// recv(2)
    recv: fn(c_int, *mut c_void, size_t, c_int) -> ssize_t,
    /// recvfrom(2)
    recvfrom: fn(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
    /// recvmsg(2)
    recvmsg: fn(c_int, *mut msghdr, c_int) -> ssize_t,
    /// write(2)
    write: fn(c_int, *const c_void, size_t) -> ssize_t,
    /// writev(2)
    writev: fn(c_int, *const iovec, c_int) -> ssize_t,
    /// send(2)
    send: fn(c_int, *const c_void, size_t, c_int) -> ssize_t,
    /// sendto(2)
    sendto: fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
    /// sendmsg(2)
    sendmsg: fn(c_int, *const msghdr, c_int) -> ssize_t,
    /// fcntl(2), whose third argument is passed as if it were fixed
    fcntl: fn(c_int, c_int, c_ulong) -> c_int,
    /// ioctl(2), whose third argument is passed as if it were fixed
    ioctl: fn(c_int, c_ulong, *mut c_void) -> c_int,
    /// close(2)
    close: fn(c_int) -> c_int,
    /// shutdown(2)
    shutdown: fn(c_int, c_int) -> c_int,
    /// getsockopt(2)
    getsockopt: fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    /// setsockopt(2)
    setsockopt: fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    /// poll(2)
    poll: fn(*mut pollfd, nfds_t, c_int) -> c_int,
    /// A raw IP packet arrives: 0, or -1
    netdev_send: fn(*const c_void, size_t) -> c_int,
    /// The next raw IP packet that the stack sends, its length and its time in microseconds: 0, or -1 when there is none
    netdev_receive: fn(*mut c_void, *mut size_t, *mut i64) -> c_int,
    /// usleep(3) by the script's clock
    usleep: fn(useconds_t) -> c_int,
    /// gettimeofday(2) by the script's clock
    gettimeofday: fn(*mut timeval, *mut c_void) -> c_int,
    /// epoll_create(2)
    epoll_create: fn(c_int) -> c_int,
    /// epoll_ctl(2)
    epoll_ctl: fn(c_int, c_int, c_int, *mut epoll_event) -> c_int,
    /// epoll_wait(2)
    epoll_wait: fn(c_int, *mut epoll_event, c_int, c_int) -> c_int,
    /// pipe(2)
    pipe: fn(*mut c_int) -> c_int,
    /// splice(2) between a pipe and a socket
    splice: fn(c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> ssize_t,
}

/// The world behind a table.
unsafe fn world<'a>(userdata: *mut c_void) -> &'a World {
    // SAFETY: `userdata` comes from `Interface::new` and is used until `free` only.
    unsafe { &*userdata.cast::<World>() }
}

unsafe extern "C" fn free(userdata: *mut c_void) {
    if !userdata.is_null() {
        // SAFETY: as above, and nothing of it is used after `free`.
        drop(unsafe { Box::from_raw(userdata.cast::<World>()) });
    }
}

unsafe extern "C" fn socket(userdata: *mut c_void, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the caller's pointers are those of socket(2).
    answer(unsafe { world(userdata) }.socket(domain, kind, protocol))
}

unsafe extern "C" fn bind(
    userdata: *mut c_void,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller's pointers are those of bind(2).
    answer(unsafe { address::read(address, len).and_then(|named| world(userdata).bind(fd, named)) })
}

unsafe extern "C" fn listen(userdata: *mut c_void, fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: `userdata` is the table's.
    answer(unsafe { world(userdata) }.listen(fd, backlog))
}

unsafe extern "C" fn accept(
    userdata: *mut c_void,
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's pointers are those of accept(2).
    answer(unsafe { world(userdata) }.accept(fd).map(|(new, domain, peer)| {
        // SAFETY: as above.
        unsafe { address::write(address, len, domain, peer) };
        i64::from(new)
    }))
}

unsafe extern "C" fn connect(
    userdata: *mut c_void,
    fd: c_int,
    address: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller's pointers are those of connect(2).
    answer(unsafe { address::read(address, len).and_then(|named| world(userdata).connect(fd, named)) })
}

unsafe extern "C" fn read(userdata: *mut c_void, fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's pointers are those of read(2).
    unsafe { recvfrom(userdata, fd, buffer, len, 0, std::ptr::null_mut(), std::ptr::null_mut()) }
}

unsafe extern "C" fn readv(userdata: *mut c_void, fd: c_int, buffers: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's pointers are those of readv(2).
    answer(unsafe {
        Buffers::new(buffers, count).and_then(|buffers| {
            let received = world(userdata).receive(fd, buffers.len(), 0)?;
            Ok(buffers.scatter(&received.bytes))
        })
    })
}

unsafe extern "C" fn recv(
    userdata: *mut c_void,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of recv(2).
    unsafe { recvfrom(userdata, fd, buffer, len, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
}

unsafe extern "C" fn recvfrom(
    userdata: *mut c_void,
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
    address: *mut sockaddr,
    address_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of recvfrom(2).
    answer(unsafe { world(userdata) }.receive(fd, len, flags).map(|received| {
        // SAFETY: as above.
        unsafe {
            address::put(buffer, len, &received.bytes);
            match received.from {
                Some((domain, from)) => address::write(address, address_len, domain, from),
                None if !address_len.is_null() => *address_len = 0,
                None => {}
            }
        }
        received.answer
    }))
}

unsafe extern "C" fn recvmsg(userdata: *mut c_void, fd: c_int, header: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's pointers are those of recvmsg(2).
    answer(unsafe { message::receive(world(userdata), fd, header, flags) })
}

unsafe extern "C" fn write(userdata: *mut c_void, fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's pointers are those of write(2).
    answer(unsafe { slice(buffer, len).and_then(|bytes| world(userdata).write(fd, bytes)) })
}

unsafe extern "C" fn writev(
    userdata: *mut c_void,
    fd: c_int,
    buffers: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of writev(2).
    answer(unsafe {
        Buffers::new(buffers, count).and_then(|buffers| world(userdata).write(fd, &buffers.gather()))
    })
}

unsafe extern "C" fn send(
    userdata: *mut c_void,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of send(2).
    unsafe { sendto(userdata, fd, buffer, len, flags, std::ptr::null(), 0) }
}

unsafe extern "C" fn sendto(
    userdata: *mut c_void,
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of sendto(2).
    answer(unsafe {
        slice(buffer, len).and_then(|bytes| {
            let to = if address.is_null() { None } else { Some(address::read(address, address_len)?) };
            world(userdata).send(fd, bytes, flags, to)
        })
    })
}

unsafe extern "C" fn sendmsg(
    userdata: *mut c_void,
    fd: c_int,
    header: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's pointers are those of sendmsg(2).
    answer(unsafe { message::send(world(userdata), fd, header, flags) })
}

unsafe extern "C" fn fcntl(userdata: *mut c_void, fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    // SAFETY: `userdata` is the table's.
    answer(unsafe { world(userdata) }.fcntl(fd, command, argument as c_int))
}

unsafe extern "C" fn ioctl(
    userdata: *mut c_void,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's pointers are those of ioctl(2): a number for the requests that are known.
    answer(unsafe { world(userdata) }.ioctl(fd, request).and_then(|number| {
        if argument.is_null() {
            return Err(Errno::FAULT);
        }
        // SAFETY: as above.
        unsafe { argument.cast::<c_int>().write_unaligned(number) };
        Ok(0)
    }))
}

unsafe extern "C" fn close(userdata: *mut c_void, fd: c_int) -> c_int {
    // SAFETY: `userdata` is the table's.
    answer(unsafe { world(userdata) }.close(fd))
}

unsafe extern "C" fn shutdown(userdata: *mut c_void, fd: c_int, how: c_int) -> c_int {
    // SAFETY: `userdata` is the table's.
    answer(unsafe { world(userdata) }.shutdown(fd, how))
}

unsafe extern "C" fn getsockopt(
    userdata: *mut c_void,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    if value.is_null() || len.is_null() {
        return answer(Err(Errno::FAULT));
    }
    // SAFETY: the caller's pointers are those of getsockopt(2).
    answer(unsafe { world(userdata) }.option(fd, level, name).map(|bytes| {
        // SAFETY: as above.
        unsafe { *len = address::put(value, *len as usize, &bytes) as socklen_t };
        0
    }))
}

unsafe extern "C" fn setsockopt(
    userdata: *mut c_void,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the caller's pointers are those of setsockopt(2).
    answer(unsafe {
        slice(value, len as usize).and_then(|bytes| world(userdata).set_option(fd, level, name, bytes))
    })
}

unsafe extern "C" fn poll(userdata: *mut c_void, fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    if fds.is_null() && count > 0 {
        return answer(Err(Errno::FAULT));
    }
    // SAFETY: the caller's pointers are those of poll(2).
    let fds =
        if count == 0 { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(fds, count as usize) } };
    // SAFETY: `userdata` is the table's.
    answer(readiness::poll(unsafe { world(userdata) }, fds, timeout))
}

unsafe extern "C" fn netdev_send(userdata: *mut c_void, packet: *const c_void, len: size_t) -> c_int {
    // SAFETY: the caller gives a packet of `len` bytes.
    answer(unsafe {
        slice(packet, len).map(|packet| {
            world(userdata).receive_packet(packet);
            0
        })
    })
}

unsafe extern "C" fn netdev_receive(
    userdata: *mut c_void,
    buffer: *mut c_void,
    len: *mut size_t,
    time: *mut i64,
) -> c_int {
    if buffer.is_null() || len.is_null() || time.is_null() {
        return answer(Err(Errno::FAULT));
    }
    // SAFETY: `userdata` is the table's.
    let Some((packet, at)) = unsafe { world(userdata) }.next_packet() else {
        return answer(Err(Errno(libc::ETIMEDOUT)));
    };
    // SAFETY: the caller gives a buffer of `*len` bytes and a place for the time.
    unsafe {
        *len = address::put(buffer, *len, &packet);
        *time = at;
    }
    0
}

unsafe extern "C" fn usleep(userdata: *mut c_void, span: useconds_t) -> c_int {
    // SAFETY: `userdata` is the table's.
    unsafe { world(userdata) }.sleep(Duration::from_micros(span.into()));
    0
}

unsafe extern "C" fn gettimeofday(userdata: *mut c_void, time: *mut timeval, _zone: *mut c_void) -> c_int {
    // SAFETY: `userdata` is the table's.
    let now = unsafe { world(userdata) }.time_of_day();
    if !time.is_null() {
        // SAFETY: the caller gives a place for the time.
        unsafe { time.write(timeval { tv_sec: now / 1_000_000, tv_usec: now % 1_000_000 }) };
    }
    0
}

unsafe extern "C" fn epoll_create(userdata: *mut c_void, size: c_int) -> c_int {
    // SAFETY: `userdata` is the table's.
    answer(readiness::epoll_create(unsafe { world(userdata) }, size))
}

unsafe extern "C" fn epoll_ctl(
    userdata: *mut c_void,
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the caller's pointers are those of epoll_ctl(2).
    let event = if event.is_null() { None } else { Some(unsafe { event.read_unaligned() }) };
    // SAFETY: `userdata` is the table's.
    answer(readiness::epoll_ctl(unsafe { world(userdata) }, epoll, operation, fd, event))
}

unsafe extern "C" fn epoll_wait(
    userdata: *mut c_void,
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
) -> c_int {
    if events.is_null() {
        return answer(Err(Errno::FAULT));
    }
    // SAFETY: `userdata` is the table's.
    answer(readiness::epoll_wait(unsafe { world(userdata) }, epoll, max, timeout).map(|ready| {
        for (at, event) in ready.iter().enumerate() {
            // SAFETY: the caller's array has room for `max` events, and there are no more.
            unsafe { events.add(at).write_unaligned(*event) };
        }
        ready.len() as i64
    }))
}

unsafe extern "C" fn pipe(_userdata: *mut c_void, ends: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer is that of pipe(2).
    unsafe { libc::pipe(ends) }
}

unsafe extern "C" fn splice(
    userdata: *mut c_void,
    from: c_int,
    from_offset: *mut loff_t,
    to: c_int,
    to_offset: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if !from_offset.is_null() || !to_offset.is_null() {
        return answer(Err(Errno(libc::ESPIPE)));
    }
    // SAFETY: `userdata` is the table's.
    answer(unsafe { world(userdata) }.splice(from, to, len, flags))
}

/// A caller's bytes.
unsafe fn slice<'a>(bytes: *const c_void, len: usize) -> Result<&'a [u8]> {
    match (bytes.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::FAULT),
        // SAFETY: the caller says that so many bytes are there.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(bytes.cast(), len) }),
    }
}

//! Bytes from socket to socket without a copy in this process: `splice(2)` through a pipe.
//!
//! A pipe holds references to the pages that a socket has received; the next socket sends them from there. A pipe has
//! a number of places for pages, not of bytes, so how much it takes depends on how the data came.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// How large a pipe is asked for, in bytes: 64 places for pages. The kernel may give less (`pipe(7)`,
/// `/proc/sys/fs/pipe-user-pages-soft`).
const PIPE_BYTES: usize = 256 * 1024;
const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// A pipe of this process alone, and how much is in it.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    length: usize,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    /// No descriptor is left, or the kernel's memory for pipes is used up.
    pub fn new() -> io::Result<Pipe> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one does as well, in more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES);
        Ok(Pipe { reader, writer, length: 0 })
    }

    /// How many bytes are in it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves up to `most` bytes out of `socket` into the pipe; 0 is the socket's end of input.
    ///
    /// # Errors
    /// [`Errno::AGAIN`]: nothing has come, or only urgent data, at which this stops and `recv` does not; or the pipe is full.
    /// Otherwise the socket's error.
    pub fn fill(&mut self, socket: impl AsFd, most: usize) -> Result<usize, Errno> {
        let count = splice(socket, &self.writer, most)?;
        self.length += count;
        Ok(count)
    }

    /// Moves what is in the pipe to `socket`, as far as that takes it.
    ///
    /// # Errors
    /// [`Errno::AGAIN`]: it takes nothing now. Otherwise the socket's error.
    pub fn drain(&mut self, socket: impl AsFd) -> Result<usize, Errno> {
        let count = splice(&self.reader, socket, self.length)?;
        self.length = self.length.saturating_sub(count);
        Ok(count)
    }
}

fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> Result<usize, Errno> {
    loop {
        match rustix::pipe::splice(&from, None, &to, None, most, FLAGS) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_pass_from_socket_to_socket_and_so_does_the_end() {
        let (mut client, near) = connection();
        let (far, mut server) = connection();
        let mut pipe = Pipe::new().unwrap();
        near.set_nonblocking(true).unwrap();
        assert_eq!(pipe.fill(&near, 100), Err(Errno::AGAIN));
        client.write_all(b"some words").unwrap();
        near.set_nonblocking(false).unwrap();
        assert_eq!(pipe.fill(&near, 4), Ok(4));
        assert_eq!(pipe.fill(&near, 100), Ok(6));
        assert_eq!(pipe.len(), 10);
        assert_eq!(pipe.drain(&far), Ok(10));
        assert!(pipe.is_empty());
        let mut words = [0; 10];
        server.read_exact(&mut words).unwrap();
        assert_eq!(&words, b"some words");
        drop(client);
        assert_eq!(pipe.fill(&near, 100), Ok(0));
    }
}

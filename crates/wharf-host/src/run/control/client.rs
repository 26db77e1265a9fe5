//! One who asks: lines in, lines out, both bounded.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use wharf_sys::epoll::Ready;
use wharf_table::Instant;

use super::Content;
use super::answer::Answer;

/// The longest request, in bytes: a policy of some ten thousand rules.
pub(super) const LINE_MAX: usize = 1 << 20;
/// How much is read at a time.
const READ: usize = 16 << 10;
/// With so many bytes unread no more of an answer is made. One piece comes on top.
const OUTPUT_HIGH: usize = 64 * 1024;

/// What comes of a request line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// It is longer than any request; nothing more is read.
    TooLong,
}

/// One who asks.
pub(super) struct Client {
    socket: OwnedFd,
    pub(super) serial: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of `output` is gone.
    written: usize,
    readable: bool,
    writable: bool,
    /// No more requests come.
    ended: bool,
    /// It takes nothing any more.
    gone: bool,
    /// When it last asked or took something.
    pub(super) used: Instant,
    pub(super) answer: Option<Answer>,
}

impl Client {
    pub(super) fn new(now: Instant, socket: OwnedFd, serial: u32) -> Client {
        Client {
            socket,
            serial,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            readable: true,
            writable: true,
            ended: false,
            gone: false,
            used: now,
            answer: None,
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.gone |= ready.hang_up;
    }

    /// What another lane has answered is part of the answer.
    pub(super) fn on_content(&mut self, content: Content) {
        if let Some(answer) = &mut self.answer {
            answer.on_content(content);
        }
    }

    /// When it is given up, if it reads nothing until then.
    pub(super) fn given_up_at(&self, patience: Duration) -> Option<Instant> {
        self.has_output().then(|| self.used + patience)
    }

    fn has_output(&self) -> bool {
        self.written < self.output.len()
    }

    /// Whether more of an answer may be made.
    pub(super) fn has_room(&self) -> bool {
        !self.gone && self.output.len() - self.written < OUTPUT_HIGH
    }

    /// Where an answer is written.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether everything is said, or nobody listens.
    pub(super) fn is_over(&self) -> bool {
        self.gone || self.ended && self.input.is_empty() && self.answer.is_none() && !self.has_output()
    }

    /// Whether something can go on without a new event.
    pub(super) fn has_work(&self) -> bool {
        let may_read = self.readable && !self.ended;
        match &self.answer {
            _ if self.is_over() => true,
            _ if !self.has_room() => self.writable && self.has_output(),
            Some(answer) => answer.has_work(),
            None => may_read || self.input.contains(&b'\n') || self.ended && !self.input.is_empty(),
        }
    }

    /// Writes what is held, as far as that is taken.
    pub(super) fn flush(&mut self, now: Instant) {
        while self.has_output() && self.writable {
            match rustix::net::send(&self.socket, &self.output[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.written += count;
                    self.used = now;
                }
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        if !self.has_output() {
            self.output.clear();
            self.written = 0;
            // One long answer does not keep its memory.
            self.output.shrink_to(OUTPUT_HIGH);
        } else if self.written >= OUTPUT_HIGH {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    /// The next request, as far as one is there or can be read without waiting.
    pub(super) fn next_line(&mut self, now: Instant) -> Option<Line> {
        loop {
            if let Some(at) = self.input.iter().position(|&byte| byte == b'\n') {
                let rest = self.input.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                line.truncate(line.trim_ascii_end().len());
                if line.is_empty() {
                    continue;
                }
                self.used = now;
                return Some(Line::Whole(line));
            }
            if self.input.len() > LINE_MAX {
                self.input.clear();
                (self.ended, self.readable) = (true, false);
                return Some(Line::TooLong);
            }
            if self.ended {
                // A last line may lack its end.
                let line = std::mem::take(&mut self.input);
                return (!line.trim_ascii().is_empty()).then_some(Line::Whole(line));
            }
            if !self.readable || self.read().is_err() {
                return None;
            }
        }
    }

    /// Reads what is there, or the end; an error when that is nothing now.
    fn read(&mut self) -> io::Result<()> {
        let mut room = [0; READ];
        match rustix::net::recv(&self.socket, &mut room[..], RecvFlags::empty()) {
            Ok((0, _)) => self.ended = true,
            Ok((count, _)) => self.input.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                self.readable = false;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(error) => {
                self.gone = true;
                return Err(error.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn client() -> (Client, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (Client::new(Instant::ZERO, near.into(), 1), far)
    }

    fn line(client: &mut Client) -> Option<Line> {
        client.readable = true;
        client.next_line(Instant::ZERO)
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let (mut client, mut far) = client();
        far.write_all(b"{\"do\":").unwrap();
        assert_eq!(line(&mut client), None);
        far.write_all(b"1}\r\n\n  \nsecond\nthi").unwrap();
        assert_eq!(line(&mut client), Some(Line::Whole(b"{\"do\":1}".to_vec())));
        assert!(client.has_work(), "another line is there");
        assert_eq!(line(&mut client), Some(Line::Whole(b"second".to_vec())));
        assert_eq!(line(&mut client), None);
        drop(far);
        assert_eq!(line(&mut client), Some(Line::Whole(b"thi".to_vec())), "the last one may lack its end");
        assert!(client.is_over());
    }

    #[test]
    fn a_line_without_end_costs_bounded_memory() {
        let (mut client, mut far) = client();
        let writer = std::thread::spawn(move || drop(far.write_all(&vec![b'x'; 3 * LINE_MAX])));
        let mut largest = 0;
        let read = loop {
            let read = line(&mut client);
            largest = largest.max(client.input.capacity());
            if read.is_some() {
                break read;
            }
        };
        assert_eq!(read, Some(Line::TooLong));
        assert!(largest <= 4 * LINE_MAX, "{largest}");
        assert_eq!(line(&mut client), None, "nothing more is read");
        assert!(client.is_over());
        drop(client);
        writer.join().unwrap();
    }

    #[test]
    fn who_does_not_read_gets_no_more_and_is_given_up() {
        let (mut client, mut far) = client();
        let patience = Duration::from_secs(30);
        assert_eq!(client.given_up_at(patience), None);
        let mut made = 0;
        for _ in 0..1000 {
            if client.has_room() {
                client.output().extend_from_slice(&[b'y'; 10_000]);
                made += 10_000;
            }
            client.flush(Instant::from_millis(5));
        }
        assert!(client.output.len() <= 2 * OUTPUT_HIGH, "{}", client.output.len());
        assert!(!client.has_work(), "it waits for its reader");
        assert_eq!(client.given_up_at(patience), Some(Instant::from_millis(30_005)));
        let mut got = 0;
        let mut room = vec![0; 1 << 16];
        while got < made {
            got += far.read(&mut room).unwrap();
            client.writable = true;
            client.flush(Instant::from_millis(9));
        }
        assert_eq!(got, made);
        assert!(client.has_room() && client.given_up_at(patience).is_none());
    }
}

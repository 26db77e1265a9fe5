//! One question to many runs at once, and their answers: as long as there is patience, and so much of each and no more.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// A question to one of them.
pub(super) struct Call {
    socket: OwnedFd,
    /// What of the question is not sent yet.
    question: Vec<u8>,
    answer: Vec<u8>,
    most: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    Failed,
}

impl Call {
    /// Asks; the answer has at most so many bytes.
    pub(super) fn new(socket: OwnedFd, question: &str, most: usize) -> Call {
        let question = question.as_bytes().to_vec();
        let mut call = Call { socket, question, answer: Vec::new(), most, state: State::Waiting };
        call.send();
        call
    }

    /// Sends what is left of the question, as far as that is taken.
    fn send(&mut self) {
        while !self.question.is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, &self.question, flags) {
                Ok(count) => drop(self.question.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.state = State::Failed;
                    return;
                }
            }
        }
    }

    /// What it waits for.
    fn awaits(&self) -> PollFlags {
        if self.question.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Reads what has come.
    fn read(&mut self, room: &mut [u8]) {
        match rustix::net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.state = State::Failed,
            Ok((count, _)) => {
                self.answer.extend_from_slice(room.get(..count).unwrap_or_default());
                if self.answer.last() == Some(&b'\n') {
                    self.state = State::Answered;
                } else if self.answer.len() > self.most {
                    self.state = State::Failed;
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.state = State::Failed,
        }
    }
}

/// The answers, in the order of the calls; `None` of those that did not come within `patience`.
pub(super) fn hold(mut calls: Vec<Call>, patience: Duration) -> Vec<Option<Vec<u8>>> {
    let end = Instant::now() + patience;
    let mut room = vec![0; 256 << 10];
    loop {
        let open: Vec<usize> = (0..calls.len()).filter(|&at| calls[at].state == State::Waiting).collect();
        let left = end.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            break;
        }
        let ready: Vec<usize> = {
            let mut polled: Vec<PollFd<'_>> =
                open.iter().map(|&at| PollFd::new(&calls[at].socket, calls[at].awaits())).collect();
            match rustix::event::poll(&mut polled, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            let ready = open.iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
            ready.map(|(&at, _)| at).collect()
        };
        for at in ready {
            calls[at].send();
            calls[at].read(&mut room);
        }
    }
    calls.into_iter().map(|call| (call.state == State::Answered).then_some(call.answer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_answers_is_heard_and_who_does_not_holds_up_nobody() {
        let pair = || UnixStream::pair().unwrap();
        let ((a, mut good), (b, _silent), (c, gone), (d, mut endless)) = (pair(), pair(), pair(), pair());
        drop(gone);
        let endless = std::thread::spawn(move || while endless.write_all(&[b'x'; 1000]).is_ok() {});
        let calls: Vec<Call> =
            [a, b, c, d].into_iter().map(|near| Call::new(near.into(), "?\n", 5000)).collect();
        let mut asked = [0; 2];
        good.read_exact(&mut asked).unwrap();
        good.write_all(b"{\"a\"").unwrap();
        good.write_all(b":1}\n").unwrap();
        let begin = Instant::now();
        let answers = hold(calls, Duration::from_millis(200));
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(answers, [Some(b"{\"a\":1}\n".to_vec()), None, None, None]);
        endless.join().unwrap();
    }
}

//! A channel between two processes of one run: whole messages, perhaps with a descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// The most bytes of one message.
pub const MESSAGE_BYTES: usize = 64;

/// The most descriptors of one message. The kernel takes 253 (`SCM_MAX_FD`).
pub const DESCRIPTORS: usize = 64;

/// One end of a channel. When the other end is gone, receiving says so; sending never raises a signal.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// A message as it arrived.
#[derive(Debug)]
pub struct Message {
    bytes: [u8; MESSAGE_BYTES],
    length: usize,
    /// The descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

impl Message {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// How to wait for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until there is one.
    Block,
    /// Not at all.
    Never,
}

impl Channel {
    /// The two ends of a new channel.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let kind = SocketType::SEQPACKET;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { fd: one }, Channel { fd: other }))
    }

    /// Sends a message of up to [`MESSAGE_BYTES`], perhaps with a descriptor.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.send_all(bytes, descriptor.as_slice())
    }

    /// Sends a message of up to [`MESSAGE_BYTES`] with up to [`DESCRIPTORS`] descriptors.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send_all(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        loop {
            match rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives a message. `None` when the other end is gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits and none is waited for.
    pub fn receive(&self, wait: Wait) -> io::Result<Option<Message>> {
        let mut descriptor = None;
        let message = self.receive_all(wait, |fd| {
            descriptor.get_or_insert(fd);
        })?;
        Ok(message.map(|message| Message { descriptor, ..message }))
    }

    /// Receives a message, and gives each descriptor that came with it to `take`. `None` when the other end is gone.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_all(&self, wait: Wait, take: impl FnMut(OwnedFd)) -> io::Result<Option<Message>> {
        let mut bytes = [0; MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC
            | match wait {
                Wait::Block => RecvFlags::empty(),
                Wait::Never => RecvFlags::DONTWAIT,
            };
        let length = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.fd, &mut slices, &mut control, flags) {
                Ok(got) => break got.bytes,
                // The other end was closed with a message of ours unread. That is told once, and before what it sent.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let descriptors = control.drain().filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        descriptors.flatten().for_each(take);
        Ok((length > 0).then_some(Message { bytes, length, descriptor: None }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_travels_with_its_message() {
        let (one, other) = Channel::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        one.send(b"pipe", Some(reader.as_fd())).unwrap();
        drop(reader);
        let message = other.receive(Wait::Block).unwrap().unwrap();
        assert_eq!(message.bytes(), b"pipe");
        writer.write_all(b"x").unwrap();
        let mut byte = [0];
        io::PipeReader::from(message.descriptor.unwrap()).read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn many_descriptors_travel_together() {
        let (one, other) = Channel::pair().unwrap();
        let pipe = io::pipe().unwrap().0;
        let copies = vec![pipe.as_fd(); DESCRIPTORS];
        one.send_all(b"many", &copies).unwrap();
        let mut count = 0;
        let message = other.receive_all(Wait::Block, |_| count += 1).unwrap().unwrap();
        assert_eq!((message.bytes(), count), (&b"many"[..], DESCRIPTORS));
    }

    #[test]
    fn the_end_of_the_other_side_is_seen() {
        let (one, other) = Channel::pair().unwrap();
        assert_eq!(one.receive(Wait::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(other);
        assert!(one.receive(Wait::Block).unwrap().is_none());
        assert_eq!(one.send(b"x", None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn last_words_are_heard_though_ours_were_not() {
        let (one, other) = Channel::pair().unwrap();
        one.send(b"unread", None).unwrap();
        other.send(b"last words", None).unwrap();
        drop(other);
        assert_eq!(one.receive(Wait::Block).unwrap().unwrap().bytes(), b"last words");
        assert!(one.receive(Wait::Block).unwrap().is_none());
    }
}

//! Tracepoints of the kernel: their numbers and the layout of their records, as tracefs tells them (tracefs(5)).
//!
//! Where tracefs is not mounted it is mounted for the moment of reading, at no place: the mount is a descriptor of this
//! process and goes with it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Where tracefs is where it is mounted.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// A tracepoint.
#[derive(Clone, Debug)]
pub struct Tracepoint {
    id: u64,
    fields: Vec<(String, Field)>,
}

/// A field of a tracepoint's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    offset: usize,
    size: usize,
}

impl Tracepoint {
    /// The tracepoint `name` of the group `group`.
    ///
    /// # Errors
    /// The kernel has no such tracepoint, or the rights are missing.
    pub fn find(group: &str, name: &str) -> io::Result<Tracepoint> {
        let read = |file: &str| {
            let below = format!("events/{group}/{name}/{file}");
            let mut first = None;
            for place in PLACES {
                match fs::read_to_string(format!("{place}/{below}")) {
                    Ok(text) => return Ok(text),
                    Err(error) => first = first.or(Some(error)),
                }
            }
            read_below(&mounted_nowhere()?, &below).map_err(|error| first.unwrap_or(error))
        };
        let id = read("id")?.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Tracepoint { id, fields: fields(&read("format")?) })
    }

    /// Its number.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Where a field stands in its records.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.iter().find(|(field, _)| field == name).map(|&(_, field)| field)
    }
}

impl Field {
    /// Its bytes in a record; empty where the record is too short.
    pub fn bytes(self, record: &[u8]) -> &[u8] {
        record.get(self.offset..self.offset + self.size).unwrap_or_default()
    }

    /// Its value in a record, for fields of up to eight bytes; of signed ones the bits.
    pub fn number(self, record: &[u8]) -> u64 {
        let mut whole = [0; 8];
        match whole.get_mut(..self.size) {
            Some(part) if self.bytes(record).len() == self.size => part.copy_from_slice(self.bytes(record)),
            _ => return 0,
        }
        // The kernel's numbers have the order of bytes of the machine.
        if cfg!(target_endian = "big") {
            u64::from_be_bytes(whole) >> (8 * (8 - self.size))
        } else {
            u64::from_le_bytes(whole)
        }
    }
}

/// Tracefs as a mount that stands nowhere.
fn mounted_nowhere() -> io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn read_below(root: &OwnedFd, path: &str) -> io::Result<String> {
    let file = openat(root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(fs::File::from(file))
}

/// The fields of a `format` file: `field:__u16 sport; offset:24; size:2; signed:0;`.
fn fields(text: &str) -> Vec<(String, Field)> {
    let read = |line: &str| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
        let name = parts.next()?.rsplit([' ', '*']).next()?;
        let name = name.split('[').next()?.to_owned();
        let mut number = |key| parts.next()?.strip_prefix(key)?.parse::<usize>().ok();
        Some((name, Field { offset: number("offset:")?, size: number("size:")? }))
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: inet_sock_set_state\nID: 2287\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\nprint fmt: \"x\"\n";

    #[test]
    fn fields_are_where_the_format_says() {
        let point = Tracepoint { id: 2287, fields: fields(FORMAT) };
        assert_eq!(point.field("skaddr"), Some(Field { offset: 8, size: 8 }));
        assert_eq!(point.field("saddr"), Some(Field { offset: 32, size: 4 }));
        assert_eq!(point.field("dport"), None);
        let mut record = [0; 36];
        record[24..26].copy_from_slice(&8080u16.to_ne_bytes());
        record[32..].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(point.field("sport").unwrap().number(&record), 8080);
        assert_eq!(point.field("saddr").unwrap().bytes(&record), [127, 0, 0, 1]);
        // A record that is too short has no such field.
        assert_eq!(point.field("sport").unwrap().number(&record[..25]), 0);
        assert_eq!(point.field("saddr").unwrap().bytes(&record[..34]), [0; 0]);
    }

    #[test]
    fn what_the_kernel_does_not_have_is_an_error_and_no_mount_stays() {
        let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
        let before = mounts();
        assert!(Tracepoint::find("sock", "there_is_none").is_err());
        match Tracepoint::find("sock", "inet_sock_set_state") {
            Ok(point) => assert_eq!(point.field("sport").unwrap().size, 2),
            Err(error) => println!("skipped: tracefs can't be read: {error}"),
        }
        assert_eq!(mounts(), before);
    }
}

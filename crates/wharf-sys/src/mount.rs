//! Changes to what is mounted where, in a mount namespace of one's own.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

/// Cuts this mount namespace off from the host's: what is mounted here is not seen there. What the host mounts or
/// unmounts later is still seen here, so that a run holds no disk of the host's.
///
/// # Errors
/// No `CAP_SYS_ADMIN` here.
pub fn separate() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

/// Mounts a `/proc` that shows the process namespace of this process.
///
/// # Errors
/// `EPERM` where parts of the present `/proc` are masked, as in containers.
pub fn fresh_proc() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", "/proc", "proc", flags, None)?)
}

/// Where a file system of our own stands for a moment: any directory that is always there does.
const SCRATCH: &str = "/proc";

/// Files that live in memory and go with the mount namespace, to be laid over files of the host.
///
/// Nothing is written to the host's file systems. While this exists, `/proc` is covered.
#[derive(Debug)]
pub struct Overlay(());

impl Overlay {
    /// Makes the file system.
    ///
    /// # Errors
    /// No `CAP_SYS_ADMIN` here, or the kernel has no tmpfs.
    pub fn open() -> io::Result<Overlay> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("wharf", SCRATCH, "tmpfs", flags, Some(c"mode=0755,size=1m"))?;
        Ok(Overlay(()))
    }

    /// Lays a file with this content over `target`; where that is a symbolic link, over what it leads to.
    ///
    /// # Errors
    /// `ENOENT` when there is no such file.
    pub fn cover(&self, target: &Path, content: &[u8]) -> io::Result<()> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let source = Path::new(SCRATCH).join(name);
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&source)?;
        file.write_all(content)?;
        // The mode of a new file is cut by the umask; everybody must be able to read this one.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok(mount_bind(&source, target)?)
    }

    /// Brings a `/proc` back that shows the process namespace of this process. Where that may not be mounted, the
    /// one from before appears again, and the error says why.
    ///
    /// # Errors
    /// As [`fresh_proc`].
    pub fn close(self) -> io::Result<()> {
        // Mounted on top rather than after an unmount: that would wait for the kernel's readers.
        match fresh_proc() {
            Ok(()) => Ok(()),
            Err(error) => {
                unmount(SCRATCH, UnmountFlags::DETACH)?;
                Err(error)
            }
        }
    }
}

use super::*;

const NUMBER: &str = "3f4e1c2b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00f";
const SHORT: &str = "3f4e1c2b5a69";

#[test]
fn paths_are_read_as_their_writers_write_them() {
    for (path, unit, container) in [
        ("/", None, None),
        ("/init.scope", Some("init.scope"), None),
        ("/system.slice/nginx.service", Some("nginx.service"), None),
        ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service"), None),
        ("/system.slice/nginx.service/worker", Some("nginx.service"), None),
        ("/user.slice/user-1000.slice/session-3.scope", Some("session-3.scope"), None),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope"), None),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-web\\x2dserver.service",
            Some("app-web-server.service"),
            None,
        ),
        ("/user.slice/user-1000.slice/user@1000.service", Some("user@1000.service"), None),
        ("/system.slice/docker-NUMBER.scope", Some("docker-NUMBER.scope"), Some(SHORT)),
        ("/docker/NUMBER", None, Some(SHORT)),
        ("/docker/NUMBER/system.slice/nginx.service", None, Some(SHORT)),
        ("/machine.slice/libpod-NUMBER.scope/container", Some("libpod-NUMBER.scope"), Some(SHORT)),
        ("/machine.slice/libpod-conmon-NUMBER.scope", Some("libpod-conmon-NUMBER.scope"), None),
        ("/libpod_parent/libpod-NUMBER", None, Some(SHORT)),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-NUMBER.scope",
            Some("libpod-NUMBER.scope"),
            Some(SHORT),
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a.slice/cri-containerd-NUMBER.scope",
            Some("cri-containerd-NUMBER.scope"),
            Some(SHORT),
        ),
        ("/kubepods.slice/kubepods-pod1a.slice/crio-NUMBER.scope", Some("crio-NUMBER.scope"), Some(SHORT)),
        ("/kubepods/burstable/pod1a/NUMBER", None, Some(SHORT)),
        (
            "/system.slice/containerd.service/kubepods-pod1a:cri-containerd:NUMBER",
            Some("containerd.service"),
            Some(SHORT),
        ),
        ("/lxc.payload.web/init.scope", None, Some("web")),
        ("/lxc/web/system.slice", None, Some("web")),
        ("/lxc.monitor.web", None, None),
        (
            "/machine.slice/systemd-nspawn@my\\x2dbox.service/payload",
            Some("systemd-nspawn@my-box.service"),
            Some("my-box"),
        ),
        ("/machine.slice/machine-box.scope", Some("machine-box.scope"), Some("box")),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", Some("machine-qemu-1-vm.scope"), None),
    ] {
        let group = of_path(&path.replace("NUMBER", NUMBER));
        let unit = unit.map(|unit| unit.replace("NUMBER", NUMBER));
        assert_eq!((group.unit, group.container.as_deref()), (unit, container), "{path}");
    }
}

#[test]
fn all_hierarchies_of_a_process_are_looked_at() {
    let text = format!("12:pids:/docker/{NUMBER}\n1:name=systemd:/system.slice/x.service\n0::/\n");
    let group = of_process(&text);
    assert_eq!((group.path.as_str(), group.unit.as_deref()), ("/", Some("x.service")));
    assert_eq!(group.container.as_deref(), Some(SHORT));
    assert_eq!(of_process("0::/a.slice/b.scope\n").path, "/a.slice/b.scope");
    assert_eq!(of_process("nonsense"), Group::default());
}

#[test]
fn what_is_no_escape_stays() {
    assert_eq!(unescaped("a\\x2db"), "a-b");
    assert_eq!(unescaped("a\\xzz"), "a\\xzz");
    assert_eq!(unescaped("a\\x"), "a\\x");
}

#[test]
fn the_root_of_the_hierarchy_has_a_number() {
    let Some(root) = hierarchy() else { return println!("skipped: no cgroup2 here") };
    let number = fs::metadata(root).unwrap().ino();
    let found = by_number([number, u64::MAX].into());
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(number, of_path("/"))]);
}

#[test]
fn a_mount_is_one_of_the_second_version() {
    assert_eq!(
        mount_of("30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw"),
        Some("/sys/fs/cgroup")
    );
    assert_eq!(mount_of("31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
    assert_eq!(mount_of("no mount"), None);
}

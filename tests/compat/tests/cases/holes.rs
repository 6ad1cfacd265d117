//! Past holes of bubblewrap and of those who call it, and what is close to them.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    // CVE-2017-5226: without a session of its own, a command on the caller's terminal types into it.
    Case::new("cve_2017_5226_new_session_takes_the_terminal_away", "cat > t.py <<'E'\nimport fcntl,os,pty,sys,termios\npid,fd=pty.fork()\nif pid==0: os.execvp(sys.argv[1],sys.argv[1:])\nwhile True:\n  try: d=os.read(fd,4096)\n  except OSError: break\n  if not d: break\n  sys.stdout.write(d.decode().replace('\\r',''))\nE\ncat > i.py <<'E'\nimport fcntl,termios\ntry:\n  fcntl.ioctl(0,termios.TIOCSTI,b'x'); print('typed')\nexcept OSError: print('refused')\nE\npython3 t.py $B --bind / / --dev-bind /dev /dev --new-session python3 i.py")
        .user()
        .out("refused\n")
        .needs("python3"),
    // CVE-2016-8659: the set-up ran as another user's traceable process.
    Case::new("cve_2016_8659_privileges_are_never_gained", "$B --bind / / --proc /proc grep -E 'NoNewPrivs|CapEff' /proc/self/status").user().out("CapEff:\t0000000000000000\nNoNewPrivs:\t1\n"),
    // CVE-2019-12439: a directory in /tmp, which somebody else could have made, was mounted on.
    Case::new("cve_2019_12439_nothing_is_mounted_on_a_directory_of_others", "unshare -Urm sh -c 'mount --bind . /mnt; mount -t tmpfs t /tmp; mkdir /tmp/o; ln -s /tmp/o /tmp/.bubblewrap-0; cd /mnt; ./bin/bwrap $RO --dir /d echo ran; ls -A /tmp/o; ls -A /tmp | sort -u'")
        .user()
        .out("ran\n.bubblewrap-0\no\n"),
    // CVE-2019-8308: a command that is root wrote into the program that had started it, for the next one to run.
    Case::new("cve_2019_8308_the_program_cannot_be_overwritten", "cp $(readlink -f $B) own; chmod 755 own; ./own bwrap --version >/dev/null 2>&1 && own='./own bwrap' || own=./own; $own $RO --unshare-pid --proc /proc --dev /dev sh -c 'head -c 4 /proc/1/exe | tail -c 3; echo x 2>/dev/null > /proc/1/exe || echo busy' 2>/dev/null")
        .root()
        .out("ELFbusy\n"),
    // CVE-2020-5291: a set-uid installation let everybody become root; CVE-2026-41163: its set-up could be traced. We run set-uid for nobody.
    Case::new("cve_2020_5291_and_cve_2026_41163_set_uid_is_refused", "cp $(readlink -f $B) s; chmod 4755 s; setpriv --reuid 64008 --regid 64008 --clear-groups ./s --version bwrap >/dev/null 2>&1; mkdir b; cp s b/bwrap; chown 0:0 b/bwrap; chmod 4755 b/bwrap; setpriv --reuid 64008 --regid 64008 --clear-groups b/bwrap $RO id -u 2>e; cut -c1-40 e")
        .root()
        .out("bwrap: must not be installed set-user-ID\n")
        .differs("0.8 runs set-uid where its build allows that"),
    Case::new("set_gid_is_refused", "mkdir b; cp $(readlink -f $B) b/bwrap; chown 0:0 b/bwrap; chmod 2755 b/bwrap; setpriv --reuid 64008 --regid 64008 --clear-groups b/bwrap $RO id -g 2>e; cut -c1-60 e")
        .root()
        .out("bwrap: must not be installed set-user-ID or set-group-ID: it\n")
        .differs("0.8 goes on as the user it was called by"),
    // CVE-2024-42472 (flatpak): a directory swapped for a link between check and bind. A descriptor cannot be swapped.
    Case::new("cve_2024_42472_a_descriptor_is_not_swapped", "exec 3<dir; mv dir gone; ln -s /etc dir; $B $RO --bind-fd 3 /x ls /x").out("f\nsub\n"),
    Case::new("cve_2024_42472_a_file_descriptor_is_not_swapped", "exec 3<file; mv file gone; ln -s /etc/passwd file; $B $RO --ro-bind-fd 3 /x cat /x").out("data\n"),
    // bubblewrap 0.1.8 and issue 119 there: a destination that is a link.
    Case::new("a_destination_that_is_a_relative_link", "$B $RO --dir /a --symlink a /l --bind $W/dir /l ls /a").out("f\nsub\n"),
    Case::new("a_destination_that_is_an_absolute_link_stays_inside", "$B $RO --dir /a --symlink /a /l --bind $W/dir /l ls /a")
        .out("f\nsub\n")
        .differs("bubblewrap resolves it in its own scaffolding and fails"),
    // Links in a tree that a sandboxed program could write, followed at the next set-up: CVE-2026-87766, in bubblewrap before 0.12. See also `races`.
    Case::new("cve_2026_87766_a_link_to_the_old_root_is_not_followed_by_file", "ln -s /oldroot$W/out/victim dir/l; $B $RO --bind $W/dir /x --file 3 /x/l true 3<file 2>/dev/null; ls out")
        .out("")
        .differs("bubblewrap writes to the host's file through its /oldroot"),
    Case::new("cve_2026_87766_a_link_to_the_old_root_is_not_followed_by_dir", "ln -s /oldroot$W/out dir/l; $B $RO --bind $W/dir /x --dir /x/l/made true 2>/dev/null; ls out")
        .out("")
        .differs("bubblewrap makes the directory on the host"),
    Case::new("cve_2026_87766_a_link_to_the_old_root_is_not_followed_by_chmod", "ln -s /oldroot$W/file dir/l; $B $RO --bind $W/dir /x --chmod 0600 /x/l true 2>/dev/null; stat -c %a file")
        .out("644\n")
        .differs("bubblewrap changes the host's file"),
    Case::new("cve_2026_87766_a_link_to_the_old_root_is_not_followed_by_bind", "ln -s /oldroot/etc dir/l; $B $RO --bind $W/dir /x --tmpfs /x/l sh -c 'ls /oldroot' 2>/dev/null; true"),
    Case::new("dots_do_not_leave_the_new_root", "$B $RO --dir ../../made ls -d /made")
        .out("/made\n")
        .differs("bubblewrap makes it beside the new root"),
    Case::new("dots_in_a_link_do_not_leave_the_new_root", "$B $RO --symlink ../../.. /l --dir /l/made ls -d /made")
        .out("/made\n")
        .differs("bubblewrap makes it beside the new root"),
    Case::new("nothing_of_the_scaffolding_is_left", "$B $RO sh -c 'ls -d /oldroot /newroot /.. /../usr'").out("/..\n/../usr\n").status(2).err(&["ls: cannot access '/oldroot'", "ls: cannot access '/newroot'"]),
    Case::new("the_old_root_is_not_mounted", "$B $RO --proc /proc sh -c 'wc -l < /proc/self/mountinfo; grep -c oldroot /proc/self/mountinfo' > o; tail -n 1 o").out("0\n"),
    Case::new("nothing_is_stacked_on_the_root", "$B --ro-bind / / touch /..$W/out/new 2>&-; ls out; $B --ro-bind / / unshare -U true"),
    Case::new("nothing_is_stacked_on_a_bound_root", "mkdir r r/usr r/bin r/lib r/lib64; $B --bind r / $RO sh -c 'ls -d /../home /../etc 2>&-; ls /..'").out("bin\nlib\nlib64\nusr\n"),
    Case::new("no_descriptor_leads_to_the_host", "$B $RO --proc /proc sh -c 'for d in /proc/self/fd/*; do [ -d $d/ ] && ls $d/; done | head -n 1'; true"),
    Case::new("a_pipe_in_place_of_a_file_is_not_waited_for", "mkfifo dir/p; timeout --foreground 3 $B $RO --bind $W/dir /x --file 3 /x/p true 3<file")
        .refused(&["bwrap: Can't create file /x/p: No such device or address"])
        .differs("bubblewrap waits for a reader for ever"),
    Case::new("a_device_in_a_layer_does_not_work", "mknod low1/n c 1 5; $B $RO --overlay-src low1 --tmp-overlay /o sh -c ': < /o/n'")
        .root()
        .status(2)
        .err(&["sh: 1: cannot open /o/n: Permission denied"])
        .differs("bubblewrap's overlays show devices that its binds would not"),
    // bubblewrap 0.1.3: mounts of the host that appear later must not be seen with more rights; read-only is recursive.
    Case::new("read_only_holds_below", "$B --ro-bind / / --proc /proc cat /proc/self/mountinfo | awk '{ m[$5] = $6 } END { for (k in m) if (k !~ \"^/proc\" && m[k] !~ /^ro/) print k }'"),
    Case::new("no_set_uid_below", "$B --bind / / --proc /proc cat /proc/self/mountinfo | awk '{ m[$5] = $6 } END { for (k in m) if (m[k] !~ /nosuid/) print k }'"),
    Case::new("no_devices_below", "$B --bind / / sh -c ': < /dev/zero'").status(2).err(&["sh: 1: cannot open /dev/zero"]),
    Case::new("a_user_cannot_undo_a_read_only_mount", "$B $RO mount -o remount,rw,bind /usr 2>/dev/null; [ $? != 0 ]").user(),
    // What a mount of the host hides stays hidden from root in a user namespace, who has all capabilities there; and so does a restriction of that mount.
    Case::new("a_mount_of_the_host_cannot_be_taken_off", "unshare -m sh -c 'mount -t tmpfs t dir; mount -t tmpfs -o ro t out; $B --unshare-user --bind / / sh -c \"grep CapEff /proc/self/status | grep -c 0000000000000000; umount dir; mount -o remount,bind,rw out; touch out/f\"' 2>&1 | grep -v dmesg | sed 's/.*: //'; ls out")
        .root()
        .out("0\nnot mounted.\npermission denied.\nRead-only file system\n"),
    Case::new("a_user_cannot_see_below_a_tmpfs", "$B --bind / / --tmpfs $W/dir sh -c \"umount $W/dir 2>&- ; ls $W/dir\"").user(),
    Case::new("a_nested_namespace_cannot_see_below_a_tmpfs", "$B --bind / / --tmpfs $W/dir unshare -U -r -m sh -c \"umount $W/dir 2>&- ; ls $W/dir\""),
    // Status descriptors belong to the caller alone.
    Case::new("the_command_cannot_forge_its_status", "$B $RO --json-status-fd 3 sh -c 'echo \"{ \\\"exit-code\\\": 9 }\" >&3' 3>s 2>/dev/null; grep -c exit-code s").out("1\n"),
    // --userns-block-fd and the like must not leave a child hanging when the caller errs.
    Case::new("a_bad_info_fd_leaves_nobody_behind", "timeout --foreground 5 $B $RO --info-fd 9 sleep 7777.$$ 2>/dev/null; sleep 0.1; pgrep -f 7777.$$ | wc -l")
        .out("0\n")
        .differs("bubblewrap leaves its child waiting for ever"),
    Case::new("an_argument_cannot_smuggle_an_option", "$B $RO -- --version 2>/dev/null").status(1),
    Case::new("mount_points_with_spaces_and_newlines", "mkdir 'a b' 'n\nl'; touch 'a b/1' 'n\nl/2'; $B $RO --ro-bind 'a b' '/x y' --ro-bind 'n\nl' '/p\nq' sh -c 'ls \"/x y\"; ls \"/p\nq\"; touch \"/p\nq/3\" 2>&- || echo ro'")
        .out("1\n2\nro\n"),
    Case::new("a_mount_over_a_mount_is_the_one_that_counts", "$B $RO --tmpfs /x --ro-bind $W/dir /x touch /x/n 2>/dev/null").status(1),
];

//! What the command sees of the file system, and where its writes go.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use enclos_testkit::{Run, World};
use enclos_tests_e2e::{both, printed, sh};

/// A directory with a file in it, writable by whoever the command turns out to be.
fn data(world: &World) -> PathBuf {
    let dir = world.make_dir("out/data");
    let file = world.make_file("out/data/file", b"old\n");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o777)).expect("our own directory");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o666)).expect("our own file");
    dir
}

both! {
    fn the_current_directory_is_there_and_read_only(world) {
        world.make_file("work/note", b"hello\n");
        let work = world.text("work");
        assert_eq!(printed(world, &[], "pwd; cat note"), format!("{work}\nhello"));
        let outcome = sh(world, &[], "echo x > note || echo x > new || exit 9");
        assert_eq!(outcome.code, Some(9), "{}", outcome.describe());
        assert_eq!(std::fs::read(world.path("work/note")).unwrap(), b"hello\n");
    }

    fn tmp_and_home_are_private_and_writable(world) {
        let text = printed(world, &[], "echo x > /tmp/file && echo x > $HOME/file && ls -A /tmp $HOME");
        // The way to the current directory may lead through /tmp.
        let way = world.path("work");
        let names: Vec<&str> = text.lines().filter(|line| !way.iter().any(|part| part == *line)).collect();
        assert_eq!(names, ["/home/enclos:", "file", "", "/tmp:", "file"]);
        assert_eq!(printed(world, &[], "test -e /tmp/file || echo gone; test -e $HOME/file || echo gone"), "gone\ngone");
    }

    fn ro_shows_and_does_not_give(world) {
        let dir = data(world).display().to_string();
        assert_eq!(printed(world, &[], &format!("test -e {dir} || echo absent")), "absent");
        assert_eq!(printed(world, &["--ro", &dir], &format!("cat {dir}/file")), "old");
        let outcome = sh(world, &["--ro", &dir], &format!("echo new > {dir}/file || touch {dir}/x || exit 9"));
        assert_eq!(outcome.code, Some(9), "{}", outcome.describe());
    }

    fn ro_takes_a_single_file(world) {
        let file = data(world).join("file").display().to_string();
        assert_eq!(printed(world, &["--ro", &file], &format!("cat {file}; ls $(dirname {file})")), "old\nfile");
    }

    fn rw_writes_reach_the_host(world) {
        let dir = data(world);
        let d = dir.display().to_string();
        assert_eq!(printed(world, &["--rw", &d], &format!("echo new > {d}/file && echo x > {d}/added && rm -f {d}/none && echo done")), "done");
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"new\n");
        assert!(dir.join("added").exists());
    }

    fn rw_works_for_a_directory_of_the_caller_with_plain_modes(world) {
        // Mode 0755, owned by whoever calls the tool: the usual project directory.
        let project = world.make_dir("out/project").display().to_string();
        assert_eq!(printed(world, &["--rw", &project], &format!("mkdir {project}/sub && echo x > {project}/sub/file && echo done")), "done");
        assert!(world.path("out/project/sub/file").exists());
    }

    fn bind_shows_elsewhere(world) {
        let dir = data(world);
        let flag = format!("{}:/srv/place", dir.display());
        assert_eq!(printed(world, &["--bind", &flag], "cat /srv/place/file; echo new > /srv/place/file; ls /srv"), "old\nplace");
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"new\n");
    }

    fn bind_takes_a_single_file(world) {
        let flag = format!("{}/file:/tmp/name", data(world).display());
        assert_eq!(printed(world, &["--bind", &flag], "cat /tmp/name"), "old");
    }

    fn hide_covers_a_directory_and_a_file(world) {
        let dir = data(world).display().to_string();
        let file = format!("{dir}/file");
        assert_eq!(printed(world, &["--ro", &dir, "--hide", &file], &format!("cat {file} 2>/dev/null; echo end")), "end");
        assert_eq!(printed(world, &["--hide", "/usr/share"], "ls /usr/share 2>/dev/null; echo end"), "end");
        assert_eq!(printed(world, &["--hide", "/no/such/path"], "echo end"), "end");
    }

    fn tmpfs_is_fresh_and_writable(world) {
        let dir = data(world).display().to_string();
        assert_eq!(printed(world, &["--ro", &dir, "--tmpfs", &dir], &format!("ls {dir}; echo x > {dir}/new && echo done")), "done");
        assert!(!world.path("out/data/new").exists());
    }

    fn more_specific_paths_have_the_last_word(world) {
        let dir = data(world);
        world.make_dir("out/data/sub");
        std::fs::set_permissions(dir.join("sub"), PermissionsExt::from_mode(0o777)).unwrap();
        let (d, s) = (dir.display().to_string(), dir.join("sub").display().to_string());
        for flags in [["--ro", &d, "--rw", &s], ["--rw", &s, "--ro", &d]] {
            assert_eq!(printed(world, &flags, &format!("touch {s}/yes && ! touch {d}/no 2>/dev/null && echo right")), "right");
        }
    }

    fn root_replaces_the_system(world) {
        if let Err(reason) = world.install_probe() {
            return enclos_testkit::skip("root_replaces_the_system", &reason);
        }
        let root = world.make_dir("out/root");
        world.make_dir("out/root/bin");
        world.make_dir("out/root/only-here");
        std::fs::copy(world.path("work/probe"), root.join("bin/probe")).unwrap();
        let run = || Run::new(world).flags(["--root".into(), root.clone().into_os_string()]);
        let outcome = run().command(["/bin/probe", "list", "/"]).output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        let text = outcome.out();
        assert!(text.contains("//only-here") && text.contains("//proc") && text.contains("//dev") && !text.contains("//usr\n"), "{text}");
        let outcome = run().command(["/bin/probe", "open", "c", "/bin/new", "/only-here/new", "/tmp/new"]).output();
        assert_eq!(outcome.out(), "/bin/new = EROFS\n/only-here/new = EROFS\n/tmp/new = ok\n", "{}", outcome.describe());
        assert!(!root.join("only-here/new").exists());
    }

    fn overlay_without_a_layer_is_thrown_away(world) {
        let dir = data(world);
        let d = dir.display().to_string();
        assert_eq!(printed(world, &["--overlay", &d], &format!("cd {d}; echo new > file; mkdir sub; mv file sub/; cat sub/file")), "new");
        assert_eq!(printed(world, &["--overlay", &d], &format!("cat {d}/file; ls {d}")), "old\nfile");
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"old\n");
    }

    fn overlay_with_a_layer_is_kept(world) {
        let dir = data(world);
        let layer = world.make_dir("out/layer");
        let d = dir.display().to_string();
        let flag = format!("{d}:{}", layer.display());
        assert_eq!(printed(world, &["--overlay", &flag], &format!("cd {d}; echo new > added; rm file; echo done")), "done");
        assert_eq!(printed(world, &["--overlay", &flag], &format!("ls {d}; cat {d}/added")), "added\nnew");
        assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"old\n", "the lower directory was changed");
        assert!(!dir.join("added").exists());
    }

    fn workdir_is_where_it_starts(world) {
        assert_eq!(printed(world, &["--workdir", "/usr/bin"], "pwd"), "/usr/bin");
        assert_eq!(printed(world, &["--workdir", "/tmp"], "pwd; touch file && echo done"), "/tmp\ndone");
        let outcome = sh(world, &["--workdir", "/no/such/place"], "echo ran");
        enclos_tests_e2e::assert_refused(&outcome, "/no/such/place");
    }

    fn a_current_directory_that_is_gone_is_no_trouble(world) {
        let gone = world.make_dir("out/gone");
        let script = "rmdir \"$0\" && exec \"$@\"";
        let outcome = Run::new(world).under(["sh", "-c", script, &gone.display().to_string()]).in_directory(&gone).sh("echo ran").output();
        assert!(outcome.out() == "ran\n" || outcome.code == Some(125), "{}", outcome.describe());
    }

    fn from_the_root_directory(world) {
        let outcome = Run::new(world).in_directory("/").sh("ls / | head -n 100; cat /etc/shadow 2>/dev/null | wc -c").output();
        assert_eq!(outcome.code, Some(0), "{}", outcome.describe());
        assert!(outcome.out().trim().ends_with('0') && !outcome.out().contains("root\n"), "{}", outcome.out());
    }

    fn devices_can_be_given(world) {
        if !std::path::Path::new("/dev/fuse").exists() {
            return enclos_testkit::skip("devices_can_be_given", "no /dev/fuse here");
        }
        assert_eq!(printed(world, &[], "test -e /dev/fuse || echo absent"), "absent");
        assert_eq!(printed(world, &["--dev", "/dev/fuse"], "test -c /dev/fuse && echo there"), "there");
    }

    fn the_usual_devices_work(world) {
        let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x > /dev/full || echo full; \
                      echo y | cat /dev/stdin; echo z > /dev/stdout; ls /dev/fd/ >/dev/null && echo fd";
        // Through a pipe of the command's own: the test's belongs to whoever runs the tests.
        assert_eq!(printed(world, &[], &format!("({script}) 2>/dev/null | cat")), "4\n4\nfull\ny\nz\nfd");
    }

    fn the_callers_streams_can_be_opened_by_name(world) {
        // What `echo message > /dev/stderr` in so many scripts does.
        if world.who.switch_to().is_some() {
            return enclos_testkit::skip("the_callers_streams_can_be_opened_by_name", "the streams belong to root, the tool runs as somebody else");
        }
        let outcome = sh(world, &[], "echo out > /dev/stdout && echo err > /dev/stderr && cat /dev/stdin");
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "out\n"), "{}", outcome.describe());
    }

    fn shared_memory_and_semaphores_work(world) {
        assert_eq!(printed(world, &[], "echo x > /dev/shm/file && cat /dev/shm/file"), "x");
    }
}

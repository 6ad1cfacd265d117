//! Flags that say which files the command sees.

use enclos_spec::policy::{Binding, Layered};

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

pub const FLAGS: &[Flag<Request>] = &[
    Flag {
        name: "ro",
        takes: Takes::Value("PATH", Complete::File),
        key: Some("ro"),
        default: "",
        adds: true,
        help: "Show a file or directory of the host, read-only",
        more: "It appears at the same path. What is mounted below it on the host is shown too, read-only as well.",
        apply: |request, v| {
            request.policy.ro.push(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "rw",
        takes: Takes::Value("PATH", Complete::File),
        key: Some("rw"),
        default: "",
        adds: true,
        help: "Show a file or directory of the host, writable",
        more: "It appears at the same path. Changes are real and stay. Nothing in it that belongs to the host is protected from the command. As root, a tree is \
               refused in which the command could rewrite a program with a set-id bit or file capabilities.",
        apply: |request, v| {
            request.policy.rw.push(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "bind",
        takes: Takes::Value("SRC:DST", Complete::File),
        key: Some("bind"),
        default: "",
        adds: true,
        help: "Show the host's SRC, writable, as DST",
        more: "DST is absolute. The first colon divides the two.",
        apply: |request, v| {
            let wrong = || format!("{v:?} is not allowed: write SRC:DST with an absolute DST, e.g. ./data:/data");
            let (src, dst) = value::pair(v).filter(|(_, dst)| dst.as_encoded_bytes().starts_with(b"/")).ok_or_else(wrong)?;
            let binding = Binding { src: value::path(&request.anchor, src)?, dst: value::path(&request.anchor, dst)? };
            request.policy.bind.push(binding);
            Ok(())
        },
    },
    Flag {
        name: "overlay",
        takes: Takes::Value("PATH[:LAYER]", Complete::Directory),
        key: Some("overlay"),
        default: "",
        adds: true,
        help: "Show a directory that looks writable; the host's stays as it is",
        more: "Writes go to a private layer that is thrown away, or, with :LAYER, to that directory of the host, where they are kept, in \
               LAYER/upper; LAYER/work is the kernel's. Both are made if they are missing. LAYER is closed to other users.",
        apply: |request, v| {
            let (path, layer) = value::pair(v).map_or((v, None), |(path, layer)| (path, Some(layer)));
            let layer = layer.map(|layer| value::path(&request.anchor, layer)).transpose()?;
            request.policy.overlay.push(Layered { path: value::path(&request.anchor, path)?, layer });
            Ok(())
        },
    },
    Flag {
        name: "hide",
        takes: Takes::Value("PATH", Complete::File),
        key: Some("hide"),
        default: "",
        adds: true,
        help: "Cover a path by nothing readable",
        more: "Applied last, so it hides part of a directory that another flag shows.",
        apply: |request, v| {
            request.policy.hide.push(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "tmpfs",
        takes: Takes::Value("PATH", Complete::Directory),
        key: Some("tmpfs"),
        default: "/tmp, /var/tmp, /dev/shm and the home",
        adds: true,
        help: "Put a fresh, private, bounded directory at a path",
        more: "Its size counts against --disk and --inodes; it is gone when the command ends.",
        apply: |request, v| {
            request.policy.tmpfs.push(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "root",
        takes: Takes::Value("DIR", Complete::Directory),
        key: Some("root"),
        default: "the host's system directories",
        adds: false,
        help: "Use a root file system of its own, read-only",
        more: "E.g. an unpacked container image or a debootstrap tree. The host's system directories and the current directory are not shown then.",
        apply: |request, v| {
            request.policy.root = Some(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "dev",
        takes: Takes::Value("PATH", Complete::File),
        key: Some("dev"),
        default: "null, zero, full, random, urandom, tty",
        adds: true,
        help: "Show a device of the host, e.g. /dev/kvm",
        more: "The command can do with it what its permissions on the host allow to the user behind the command.",
        apply: |request, v| {
            request.policy.dev.push(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "no-cwd",
        takes: Takes::Nothing,
        key: None,
        default: "",
        adds: false,
        help: "Do not show the current directory",
        more: "Without this flag it is shown read-only, unless that would show too much: a whole home, a hidden directory of a home, the root \
               or a top-level directory of many owners, or anything below /proc, /sys, /dev, /run, /etc or /boot. The report says which it was.",
        apply: |request, _| {
            request.show_directory = false;
            Ok(())
        },
    },
];

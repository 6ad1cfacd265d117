//! Flags for the terminal and the three streams.

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

pub const FLAGS: &[Flag<Request>] = &[
    Flag {
        name: "tty",
        takes: Takes::Nothing,
        key: Some("tty"),
        default: "when stdin is a terminal",
        adds: false,
        help: "Give it a private terminal, with job control and resizing",
        more: "",
        apply: |request, _| {
            request.policy.tty = Some(true);
            Ok(())
        },
    },
    Flag {
        name: "no-tty",
        takes: Takes::Nothing,
        key: None,
        default: "",
        adds: false,
        help: "Give it no terminal of its own",
        more: "The same as tty = false in a policy file.",
        apply: |request, _| {
            request.policy.tty = Some(false);
            Ok(())
        },
    },
    Flag {
        name: "stdin",
        takes: Takes::Value("FILE", Complete::File),
        key: Some("stdin"),
        default: "yours",
        adds: false,
        help: "Let it read this file",
        more: "",
        apply: |request, v| {
            request.policy.stdin = Some(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "stdout",
        takes: Takes::Value("FILE", Complete::File),
        key: Some("stdout"),
        default: "yours",
        adds: false,
        help: "Write its output to this file, made anew",
        more: "The command itself holds a pipe, as it does wherever your output is a file: it cannot cut or overwrite the file.",
        apply: |request, v| {
            request.policy.stdout = Some(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "stderr",
        takes: Takes::Value("FILE", Complete::File),
        key: Some("stderr"),
        default: "yours",
        adds: false,
        help: "Write its messages to this file, made anew",
        more: "",
        apply: |request, v| {
            request.policy.stderr = Some(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
];

//! Flags for the policy file and for what is said about the run.

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

pub const FLAGS: &[Flag<Request>] = &[
    Flag {
        name: "policy",
        takes: Takes::Value("FILE", Complete::File),
        key: None,
        default: "",
        adds: false,
        help: "Read a policy file (TOML) first",
        more: "Its keys are the names of the flags. Relative paths in it start from the directory it lies in. Unknown keys are refused.",
        // Read before any flag is applied (`Request::from_flags`), so that flags override it wherever they stand.
        apply: |_, _| Ok(()),
    },
    Flag {
        name: "report",
        takes: Takes::Optional("FILE", Complete::File),
        key: None,
        default: "",
        adds: false,
        help: "Say how it ended and what it used: on stderr, or as JSON in FILE",
        more: "May be given in both forms at once. FILE is opened before the command starts; a descriptor is /dev/fd/N.",
        apply: |request, v| {
            match v.is_empty() {
                true => request.report = true,
                false => request.report_file = Some(value::path(&request.anchor, v)?),
            }
            Ok(())
        },
    },
    Flag {
        name: "json",
        takes: Takes::Nothing,
        key: None,
        default: "",
        adds: false,
        help: "Write --report and --explain as JSON",
        more: "Alone it implies --report.",
        apply: |request, _| {
            request.json = true;
            Ok(())
        },
    },
    Flag {
        name: "explain",
        takes: Takes::Nothing,
        key: None,
        default: "",
        adds: false,
        help: "Print what would be done, step by step, and run nothing",
        more: "",
        apply: |request, _| {
            request.explain = true;
            Ok(())
        },
    },
];

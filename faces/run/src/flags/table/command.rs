//! Flags that say as whom, where and with what the command starts.

use enclos_spec::{Ids, Net};

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

pub const FLAGS: &[Flag<Request>] = &[
    Flag {
        name: "workdir",
        takes: Takes::Value("DIR", Complete::Directory),
        key: Some("workdir"),
        default: "the current directory where it is shown, else the home",
        adds: false,
        help: "Start in this directory",
        more: "",
        apply: |request, v| {
            request.policy.workdir = Some(value::path(&request.anchor, v)?);
            Ok(())
        },
    },
    Flag {
        name: "env",
        takes: Takes::Value("NAME=VALUE", Complete::Nothing),
        key: Some("env"),
        default: "PATH, HOME, USER and the locale",
        adds: true,
        help: "Set a variable",
        more: "",
        apply: |request, v| {
            let (name, text) = value::assignment(v)?;
            request.policy.env.insert(name, text);
            Ok(())
        },
    },
    Flag {
        name: "keep-env",
        takes: Takes::Value("NAME", Complete::Variable),
        key: Some("keep-env"),
        default: "TERM, TZ, LANG, LC_*",
        adds: true,
        help: "Pass a variable of yours on, if it is set",
        more: "--env of the same name wins.",
        apply: |request, v| {
            request.policy.keep_env.push(value::variable(v)?);
            Ok(())
        },
    },
    Flag {
        name: "hostname",
        takes: Takes::Value("NAME", Complete::Nothing),
        key: Some("hostname"),
        default: "enclos",
        adds: false,
        help: "Name the machine inside",
        more: "",
        apply: |request, v| {
            request.policy.hostname = Some(value::text(v)?.to_owned());
            Ok(())
        },
    },
    Flag {
        name: "uid",
        takes: Takes::Value("ID", Complete::Nothing),
        key: Some("uid"),
        default: "1000",
        adds: false,
        help: "Be this user inside",
        more: "On the host, somebody else stands behind it (--ids).",
        apply: |request, v| {
            request.policy.uid = value::id(v)?;
            Ok(())
        },
    },
    Flag {
        name: "gid",
        takes: Takes::Value("ID", Complete::Nothing),
        key: Some("gid"),
        default: "1000",
        adds: false,
        help: "Be of this group inside",
        more: "",
        apply: |request, v| {
            request.policy.gid = value::id(v)?;
            Ok(())
        },
    },
    Flag {
        name: "ids",
        takes: Takes::Value("auto|own|range", Complete::Words(Ids::WORDS)),
        key: Some("ids"),
        default: "auto",
        adds: false,
        help: "Choose who stands behind the command on the host",
        more: "range: ids that nobody else has, one range per sandbox. own: your own id; refused for root. auto: a range as root; as an ordinary \
               user a range from /etc/subuid where there is one and nothing writable of the host is shown, else your own id.",
        apply: |request, v| {
            request.policy.ids = value::policy(v)?;
            Ok(())
        },
    },
    Flag {
        name: "net",
        takes: Takes::Value("none|loopback|host", Complete::Words(Net::WORDS)),
        key: Some("net"),
        default: "none",
        adds: false,
        help: "Choose what it sees of the network",
        more: "none: nothing. loopback: a 127.0.0.1 of its own. host: the network of the host, its loopback services included.",
        apply: |request, v| {
            request.policy.net = value::policy(v)?;
            Ok(())
        },
    },
];

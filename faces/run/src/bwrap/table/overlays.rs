//! Overlays: several directories as one.

use std::path::PathBuf;

use super::{DEST, SRC, path};
use crate::bwrap::command_line::{Kind, Upper};
use crate::bwrap::flag::Flag;
use crate::bwrap::parse::Parser;

/// The sources that wait, if there are enough of them.
fn sources(parser: &mut Parser<'_>, flag: &Flag, least: usize, word: &str) -> Result<Vec<PathBuf>, String> {
    if parser.overlay_sources.len() < least {
        return Err(format!("{} requires at least {word} --overlay-src", flag.name));
    }
    Ok(std::mem::take(&mut parser.overlay_sources))
}

pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "--overlay-src",
        arguments: &[SRC],
        since: "0.11",
        help: "Read from the host's SRC in the overlay that follows",
        more: "May be given more than once; the first lies at the bottom, later ones hide what earlier ones have.",
        apply: |parser, _, values| {
            parser.overlay_sources.push(values[0].clone().into());
            Ok(())
        },
    },
    Flag {
        name: "--overlay",
        arguments: &[path("RWSRC"), path("WORKDIR"), DEST],
        since: "0.11",
        help: "Mount an overlay at DEST; writes go to the host's RWSRC",
        more: "WORKDIR is an empty directory on the file system of RWSRC.",
        apply: |parser, flag, values| {
            let sources = sources(parser, flag, 1, "one")?;
            let upper = Upper::Keep { upper: values[0].clone().into(), work: values[1].clone().into() };
            parser.operation(flag, Kind::Overlay { sources, upper }, &values[2]);
            Ok(())
        },
    },
    Flag {
        name: "--tmp-overlay",
        arguments: &[DEST],
        since: "0.11",
        help: "Mount an overlay at DEST; writes are forgotten at the end",
        more: "",
        apply: |parser, flag, values| {
            let sources = sources(parser, flag, 1, "one")?;
            parser.operation(flag, Kind::Overlay { sources, upper: Upper::Discard }, &values[0]);
            Ok(())
        },
    },
    Flag {
        name: "--ro-overlay",
        arguments: &[DEST],
        since: "0.11",
        help: "Mount an overlay at DEST, read-only (needs two --overlay-src)",
        more: "",
        apply: |parser, flag, values| {
            let sources = sources(parser, flag, 2, "two")?;
            parser.operation(flag, Kind::Overlay { sources, upper: Upper::None }, &values[0]);
            Ok(())
        },
    },
];
